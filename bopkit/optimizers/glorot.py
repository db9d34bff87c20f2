"""Train latent weights with Adam and a learning rate per layer, as the paper's baseline does."""

from __future__ import annotations

import math

from bopkit._tensorflow import tf
from bopkit.optimizers.hyper import Schedule
from bopkit.optimizers.variables import is_binary_variable


def glorot_scale(shape: tuple[int, ...]) -> float:
    r"""Compute the factor by which the steps of a layer's latent weights are scaled.

    .. math:: \sqrt{\frac{n_\text{in} + n_\text{out}}{1.5}}

    Args:
        shape: of a kernel. The last two numbers are its channels in and out, and the others are its
            places, each of which has a weight per pair of channels.

    Returns:
        The factor, which has no unit. It is proportional to the inverse of the size of Glorot's
        first weights.

    Source:
        Courbariaux et al. 2015 (BinaryConnect), arXiv:1511.00363.

    Example:
        >>> round(glorot_scale((3, 3, 128, 128)), 1)
        39.2
    """
    *places, channels_in, channels_out = shape
    return math.sqrt(math.prod(places) * (channels_in + channels_out) / 1.5)


@tf.keras.utils.register_keras_serializable("bopkit")
class GlorotAdam(tf.keras.optimizers.Adam):
    r"""Train latent weights with Adam, whose steps are longer in layers with more connections.

    .. math:: \tilde w_t = \tilde w_{t-1} + \sqrt{\frac{n_\text{in} + n_\text{out}}{1.5}}\,\Delta_t

    where :math:`\Delta_t` is Adam's step. Variables that are not latent weights take Adam's step as
    it is. A constraint such as larq's `weight_clip` is applied after the step.

    Args:
        learning_rate: Adam's learning rate; a float or a `LearningRateSchedule` of the step.
        name: the optimizer's name.
        kwargs: Adam's other arguments.

    Source:
        Section 5.2 of arXiv:1906.02107, whose baseline uses "Xavier learning rate scaling".

    Example:
        >>> optimizer = bopkit.optimizers.GlorotAdam(0.001)
        >>> latent = lq.quantized_variable.QuantizedVariable.from_variable(
        ...     tf.Variable(tf.zeros((3, 3))), precision=1
        ... )
        >>> step = optimizer.apply_gradients([(tf.ones((3, 3)), latent)])
        >>> round(float(latent[0, 0]), 6)  # Adam's first step is -0.001, and √(6 / 1.5) is 2
        -0.002
    """

    def __init__(
        self, learning_rate: float | Schedule = 1e-3, *, name: str = "GlorotAdam", **kwargs
    ):
        super().__init__(learning_rate, name=name, **kwargs)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Update one variable."""
        if not is_binary_variable(variable):
            super().update_step(gradient, variable)
            return
        before = tf.identity(variable)
        super().update_step(gradient, variable)
        # w̃_t = w̃_{t-1} + s (Adam's w̃_t - w̃_{t-1})
        variable.assign(before + glorot_scale(variable.shape) * (variable - before))
