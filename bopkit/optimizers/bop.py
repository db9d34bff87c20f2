"""Train with Bop in Keras; `bopkit.rules.bop_step` is the same rule in NumPy."""

from __future__ import annotations

from bopkit._tensorflow import tf
from bopkit.optimizers.base import FlipOptimizer, Tensors
from bopkit.optimizers.hyper import Hyper, Optimizer, Schedule
from bopkit.rules import ranges


@tf.keras.utils.register_keras_serializable("bopkit")
class Bop(FlipOptimizer):
    r"""Flip binary weights by the average of their gradients, one average per weight.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    for each binary variable. `fp_optimizer` updates all other variables. Learning-rate callbacks
    act on `fp_optimizer` too, because its rate is this optimizer's `learning_rate`.

    A flip turns a weight's sign and keeps its size, so a kernel that is assigned 0.3 stays ±0.3.
    The optimizer checks that binary weights are -1 or +1 at their first update, and not again in
    Keras' `fit`, where a check per step would cost a pass over all weights. `bopkit.train` checks
    before each checkpoint, and `bopkit.save_packed` and `bopkit.export` before they write.

    Args:
        fp_optimizer: a `tf.keras.optimizers.Optimizer` for everything that is not binary
            (batch normalization, real-valued layers), or its name.
        threshold: :math:`\tau \ge 0`, in units of the gradient; a float, or a
            `LearningRateSchedule` of the step.
        gamma: the adaptivity rate :math:`\gamma \in (0, 1]`; a float or a schedule. A schedule is
            checked at step 0 and not later, because a check per step would cost time.
        jit_compile: compile the update with XLA, or not; `None` compiles it on a GPU, and elsewhere
            for variables of at least 131,072 weights.
        name: the optimizer's name.

    Raises:
        ValueError: `threshold` or `gamma` is out of range or NaN, or a binary variable holds
            anything but -1 and +1 at its first update. An update raises it too, if no variable has
            a gradient or a binary variable's gradient has another shape.
        TypeError: `fp_optimizer` is not an optimizer of Keras 2's current kind, or a binary
            variable's gradient is sparse at an update.

    Source:
        Algorithm 2 of arXiv:1906.02107. larq's code and the released code differ from it in two
        ways. At exact equality, w·m = τ, they set the weight to +1, but here the weight does not
        flip. Their weights start real-valued, but here the weights are -1 or +1 from the first
        forward pass.

    Example:
        >>> optimizer = bopkit.Bop("adam", threshold=1e-8, gamma=1e-3)
        >>> optimizer.gamma = 1e-4  # decay γ between epochs, or pass a schedule
        >>> network = bopkit.models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
        >>> network.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    """

    gamma = Hyper(ranges.check_gamma)

    def __init__(
        self,
        fp_optimizer: Optimizer | str,
        threshold: float | Schedule = 1e-8,
        gamma: float | Schedule = 1e-4,
        *,
        jit_compile: bool | None = None,
        name: str = "Bop",
    ):
        hypers = {"threshold": threshold, "gamma": gamma}
        super().__init__(fp_optimizer, jit_compile=jit_compile, name=name, **hypers)

    def update_averages(
        self, averages: Tensors, gradient: tf.Tensor, now: Tensors
    ) -> dict[str, tf.Tensor]:
        """Average the gradient: m moves towards g by the share γ.

        The arguments and the return value are those of `FlipOptimizer.update_averages`.

        Example:
            >>> Bop("adam").update_averages({"m": 0.0}, 2.0, {"gamma": 0.1})
            {'m': 0.2}
        """
        m = averages["m"]
        # m_t = (1 - γ) m_{t-1} + γ g_t, written with one product
        return {"m": m + now["gamma"] * (gradient - m)}

    def signal(self, averages: Tensors, now: Tensors) -> tf.Tensor:
        """Take m itself as the signal.

        The arguments and the return value are those of `FlipOptimizer.signal`.

        Example:
            >>> Bop("adam").signal({"m": 0.2}, {})
            0.2
        """
        return averages["m"]
