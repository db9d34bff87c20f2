"""Binarize activations as larq does, with the same numbers in fewer passes over memory.

larq's `sign(sign(x) + 0.1)` and its gradient read and write all activations of a layer seven
times. Here a sign is one comparison and one choice. The price is that NaN becomes -1, while larq
passes NaN on; the gradients are larq's for NaN too. In bfloat16 each direction is also compiled
into one pass, because that took 7 % off BinaryNet's step on a CPU with AVX512-BF16. In
float32 nothing is compiled, because on a CPU with AVX2 the compiled pass made the step 5 to
8 % longer.
"""

from __future__ import annotations

import functools

from bopkit._tensorflow import can_compile, tf  # isort: skip  (before larq)
import larq as lq


def _one_pass(function):
    """Compile a function with XLA where it is a part of a graph in bfloat16."""
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def run(x, *arguments):
        # Outside a graph, each new shape would be compiled for a single use.
        worth = x.dtype == tf.bfloat16 and can_compile() and not tf.executing_eagerly()
        return (compiled if worth else function)(x, *arguments)

    return run


@_one_pass
def sign(x: tf.Tensor) -> tf.Tensor:
    """Binarize: +1 where x ≥ 0, else -1.

    Args:
        x: real numbers; -0 counts as 0, and NaN becomes -1.

    Returns:
        A tensor of x's shape and type.

    Example:
        >>> sign(tf.constant([-0.5, 0.0, 2.0])).numpy()
        array([-1.,  1.,  1.], dtype=float32)
    """
    one = tf.ones((), x.dtype)
    return tf.where(x >= 0, one, -one)


@_one_pass
def _ste_gradient(x, dy, clip_value):
    return tf.where(tf.abs(x) <= clip_value, dy, tf.zeros_like(dy))


@_one_pass
def _approx_gradient(x, dy):
    size = tf.abs(x)
    return tf.where(size <= 1, (1 - size) * 2 * dy, tf.zeros_like(dy))


@tf.custom_gradient
def _approx_sign(x):
    return sign(x), lambda dy: _approx_gradient(x, dy)


@tf.keras.utils.register_keras_serializable("bopkit")
class SteSign(lq.quantizers.SteSign):
    r"""Binarize by the sign, with the gradient of the straight-through estimator.

    .. math::

        q(x) = \begin{cases} -1 & x < 0 \\ +1 & x \ge 0 \end{cases} \qquad
        \frac{\partial q}{\partial x} := \begin{cases} 1 & |x| \le c \\ 0 & |x| > c \end{cases}

    Args:
        clip_value: :math:`c`; `None` lets every gradient through.
        **kwargs: as for larq's `SteSign`, which gives the same numbers, but NaN for NaN; here the
            sign of NaN is -1.

    Source:
        Hubara et al. 2016, equation (4).

    Example:
        >>> x = tf.Variable([-2.0, -0.25, 0.5])
        >>> with tf.GradientTape() as tape:
        ...     y = tf.reduce_sum(bopkit.models.SteSign()(x))
        >>> tape.gradient(y, x).numpy()
        array([0., 1., 1.], dtype=float32)
    """

    def call(self, inputs):
        """Return the signs of `inputs`."""

        @tf.custom_gradient
        def quantize(x):
            def gradient(dy):
                return dy if self.clip_value is None else _ste_gradient(x, dy, self.clip_value)

            return sign(x), gradient

        # Skips larq's own `call`; the class above it adds larq's metrics.
        return super(lq.quantizers.SteSign, self).call(quantize(inputs))


@tf.keras.utils.register_keras_serializable("bopkit")
class ApproxSign(lq.quantizers.ApproxSign):
    r"""Binarize by the sign, with the gradient of a piecewise polynomial.

    .. math::

        q(x) = \begin{cases} -1 & x < 0 \\ +1 & x \ge 0 \end{cases} \qquad
        \frac{\partial q}{\partial x} := \begin{cases}
            2 - 2|x| & |x| \le 1 \\ 0 & |x| > 1 \end{cases}

    The polynomial approximates the sign more closely than the clipped identity does, whose gradient
    `SteSign` uses.

    Args:
        **kwargs: as for larq's `ApproxSign`, which gives the same numbers, but NaN for NaN; here
            the sign of NaN is -1.

    Source:
        Liu et al. 2018, section 3.2.

    Example:
        >>> x = tf.Variable([-2.0, -0.25, 0.5])
        >>> with tf.GradientTape() as tape:
        ...     y = tf.reduce_sum(bopkit.models.ApproxSign()(x))
        >>> tape.gradient(y, x).numpy()
        array([0. , 1.5, 1. ], dtype=float32)
    """

    def call(self, inputs):
        """Return the signs of `inputs`."""
        return super(lq.quantizers.ApproxSign, self).call(_approx_sign(inputs))
