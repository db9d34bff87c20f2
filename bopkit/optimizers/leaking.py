"""Train latent weights that leak: SGD with weight decay, which equals Bop at τ = 0."""

from __future__ import annotations

from collections.abc import Sequence

from bopkit._tensorflow import tf
from bopkit.optimizers.grouped import GroupedOptimizer
from bopkit.optimizers.hyper import Hyper, Optimizer, Schedule
from bopkit.rules import ranges


@tf.keras.utils.register_keras_serializable("bopkit")
class LeakingSGD(GroupedOptimizer):
    r"""Train latent weights by SGD whose weight decay makes them forget.

    .. math:: \tilde w_t = (1 - \gamma)\, \tilde w_{t-1} - \gamma\, g_t

    for each latent weight; the forward pass sees :math:`\operatorname{sign}(\tilde w)`. All other
    variables are updated by `fp_optimizer`. This is Keras' `SGD` with learning rate :math:`\gamma`
    and `weight_decay` 1, so it also applies a variable's constraint after the update. Started at
    zero, :math:`\tilde w` is the moving average :math:`m` of Bop with its sign turned, so that its
    signs are Bop's weights at :math:`\tau = 0`.

    Args:
        fp_optimizer: a `tf.keras.optimizers.Optimizer` for everything that is not a latent weight,
            or its name.
        gamma: :math:`\gamma \in (0, 1]`, the learning rate and the share that is forgotten per
            step; a float or a `LearningRateSchedule` of the step, which is checked at step 0 and
            not later.
        name: the optimizer's name.

    Raises:
        ValueError: `gamma` is out of range or NaN. An update raises it too, if no variable has a
            gradient or a latent weight's gradient has another shape.
        TypeError: `fp_optimizer` is not an optimizer of Keras 2's current kind, or a latent
            weight's gradient is sparse at an update.

    Source:
        Section 3.2 of arXiv:1906.02107, where the latent weight is read as a moving average.

    Example:
        >>> optimizer = bopkit.optimizers.LeakingSGD("adam", gamma=0.5)
        >>> latent = lq.quantized_variable.QuantizedVariable.from_variable(
        ...     tf.Variable([0.5, -0.25]), precision=1
        ... )
        >>> step = optimizer.apply_gradients([(tf.constant([1.0, -1.0]), latent)])
        >>> latent.numpy()  # (1 - γ) w̃ - γ g
        array([-0.25 ,  0.375], dtype=float32)
    """

    gamma = Hyper(ranges.check_gamma)

    def __init__(
        self,
        fp_optimizer: Optimizer | str,
        gamma: float | Schedule = 1e-3,
        *,
        name: str = "LeakingSGD",
    ):
        super().__init__(fp_optimizer, name=name, gamma=gamma)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Build `fp_optimizer`; a latent weight needs nothing beside itself."""
        if getattr(self, "_built", False):
            return
        super().build(var_list)
        self._built = True

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Update the latent weights of one layer."""
        gamma = tf.cast(self.gamma, variable.dtype)
        # w̃_t = (1 - γ) w̃_{t-1} - γ g_t, written with one product
        variable.assign_sub(gamma * (variable + tf.cast(gradient, variable.dtype)))
        if variable.constraint is not None:  # such as larq's weight_clip
            variable.assign(variable.constraint(variable))
