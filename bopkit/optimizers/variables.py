"""Recognize binary variables, check what they hold, and unwrap them."""

from __future__ import annotations

from absl import logging

from bopkit._tensorflow import tf


def is_binary_variable(variable: tf.Variable) -> bool:
    """Recognize a variable that larq marks as one bit wide, so that a flip rule moves it.

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
    """Return the plain variable inside larq's and mixed precision's wrappers."""
    # A wrapper counts as a new type at every call, so a function that takes one would be compiled
    # again in every step of an eager loop.
    for wrapped in ("latent_variable", "_variable"):
        variable = getattr(variable, wrapped, variable)
    return variable


def with_gradients(grads_and_vars: list[tuple]) -> list[tuple]:
    """Keep the pairs that have a gradient, and warn of the others as Keras does.

    Raises:
        ValueError: there are variables, and none has a gradient.
    """
    missing = [v.name for gradient, v in grads_and_vars if gradient is None]
    if missing and len(missing) == len(grads_and_vars):
        raise ValueError(f"No gradients provided for any variable: {', '.join(missing)}.")
    if missing:
        logging.warning(
            "Gradients do not exist for the variables %s, which keep their values.",
            ", ".join(missing),
        )
    return [pair for pair in grads_and_vars if pair[0] is not None]
