"""Binary variables: how they are known, what they must hold, what they are underneath."""

from __future__ import annotations

from bopkit._tensorflow import tf


def is_binary_variable(variable: tf.Variable) -> bool:
    """Whether larq marks this variable as one bit wide, so that a flip rule moves it.

    Args:
        variable: a model's variable; any shape.

    Returns:
        True where ``variable.precision`` is 1.
    """
    return getattr(variable, "precision", None) == 1


def require_signs(variable: tf.Variable) -> None:
    """Refuse a binary variable that holds anything but -1 and +1 (ValueError)."""
    values = tf.convert_to_tensor(variable)
    if not bool(tf.reduce_all(tf.abs(values) == 1)):
        raise ValueError(
            f"the binary variable {variable.name} holds values other than -1 and +1; give its "
            "layer kernel_initializer=bopkit.RandomSign() (and NoOp(precision=1) as the "
            "quantizer: ste_sign is for latent weights)."
        )


def unwrap(variable: tf.Variable) -> tf.Variable:
    """The plain variable inside larq's."""
    # larq's and mixed precision's wrappers count as a new type at every call: a function that
    # was given one would be compiled anew in every step of an eager loop.
    for wrapped in ("latent_variable", "_variable"):
        variable = getattr(variable, wrapped, variable)
    return variable
