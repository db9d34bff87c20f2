"""Train with Bop2ndOrder in Keras; `bopkit.rules.bop2ndorder_step` is the same rule in NumPy."""

from __future__ import annotations

from bopkit._tensorflow import tf
from bopkit.optimizers.base import FlipOptimizer, Tensors
from bopkit.optimizers.hyper import Hyper, Optimizer, Schedule
from bopkit.rules import EPSILON, ranges


@tf.keras.utils.register_keras_serializable("bopkit")
class Bop2ndOrder(FlipOptimizer):
    r"""Flip binary weights as Bop does, with the average divided by the gradient's usual size.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t, \qquad
        v_t = (1 - \sigma)\, v_{t-1} + \sigma\, g_t^2 \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t / (\sqrt{v_t} + 10^{-10}) > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    for each binary variable. `fp_optimizer` updates all other variables. Multiplying the loss by a
    number changes nothing while :math:`\sqrt{v_t}` stays far above :math:`10^{-10}`, so
    :math:`\tau` has no unit.

    Args:
        fp_optimizer: a `tf.keras.optimizers.Optimizer` for everything that is not binary, or its
            name.
        threshold: :math:`\tau \ge 0`, a share of the gradient's usual size; a float, or a
            `LearningRateSchedule` of the step.
        gamma: the adaptivity rate :math:`\gamma \in (0, 1]` of m; a float or a schedule. A schedule
            is checked at step 0 and not later, because a check per step would cost time.
        sigma: the rate :math:`\sigma \in (0, 1]` of v; a float or a schedule.
        bias_correction: divide m by c and v by d in the condition, where
            :math:`c_t = (1 - \gamma)\, c_{t-1} + \gamma` and
            :math:`d_t = (1 - \sigma)\, d_{t-1} + \sigma` start at zero. This removes the bias that
            comes from starting the averages at zero, even if the rates follow schedules. For a
            constant rate, :math:`c_t = 1 - (1 - \gamma)^t`.
        jit_compile: compile the update with XLA, or not; `None` compiles it on a GPU, and elsewhere
            for variables of at least 131,072 weights.
        name: the optimizer's name.

    Raises:
        ValueError: a hyperparameter is out of range or NaN, or a binary variable holds anything but
            -1 and +1 at its first update. An update raises it too, if no variable has a gradient
            or a binary variable's gradient has another shape.
        TypeError: `fp_optimizer` is not an optimizer of Keras 2's current kind, or a binary
            variable's gradient is sparse at an update.

    Source:
        Suarez-Ramirez et al. 2021, arXiv:2104.05124.

    Example:
        >>> optimizer = bopkit.Bop2ndOrder("adam", threshold=0.1, gamma=1e-2, sigma=1e-2)
        >>> optimizer.threshold.numpy()  # a share of the gradient's usual size
        0.1
    """

    averages = ("m", "v")
    signal_name = "|m|/√v"
    gamma = Hyper(ranges.check_gamma)
    sigma = Hyper(ranges.check_sigma)

    def __init__(
        self,
        fp_optimizer: Optimizer | str,
        threshold: float | Schedule,
        gamma: float | Schedule,
        sigma: float | Schedule,
        bias_correction: bool = False,
        *,
        jit_compile: bool | None = None,
        name: str = "Bop2ndOrder",
    ):
        self.bias_correction = bool(bias_correction)
        hypers = {"threshold": threshold, "gamma": gamma, "sigma": sigma}
        super().__init__(fp_optimizer, jit_compile=jit_compile, name=name, **hypers)

    @property
    def scalars(self) -> tuple[str, ...]:
        """The names of c and d, which only the bias correction needs.

        Example:
            >>> Bop2ndOrder("adam", 0.1, 0.01, 0.01, bias_correction=True).scalars
            ('c', 'd')
        """
        return ("c", "d") if self.bias_correction else ()

    def update_averages(
        self, averages: Tensors, gradient: tf.Tensor, now: Tensors
    ) -> dict[str, tf.Tensor]:
        """Average the gradient and its square: m by the share γ, v by the share σ.

        The arguments and the return value are those of `FlipOptimizer.update_averages`.

        Example:
            >>> now = {"gamma": 0.1, "sigma": 0.5}
            >>> Bop2ndOrder("adam", 0.1, 0.1, 0.5).update_averages({"m": 0.0, "v": 0.0}, 2.0, now)
            {'m': 0.2, 'v': 2.0}
        """
        m, v = averages["m"], averages["v"]
        # m_t = (1 - γ) m_{t-1} + γ g_t;  v_t = (1 - σ) v_{t-1} + σ g_t²
        new = {
            "m": m + now["gamma"] * (gradient - m),
            "v": v + now["sigma"] * (gradient * gradient - v),
        }
        # c_t = (1 - γ) c_{t-1} + γ;  d_t = (1 - σ) d_{t-1} + σ
        for name, rate in zip(self.scalars, ("gamma", "sigma"), strict=False):
            share = averages[name]
            new[name] = share + tf.cast(now[rate], share.dtype) * (1 - share)
        return new

    def signal(self, averages: Tensors, now: Tensors) -> tf.Tensor:
        """Compute m / (√v + 1e-10); with bias correction, m and v are divided first.

        The arguments and the return value are those of `FlipOptimizer.signal`.

        Example:
            >>> averages = {"m": tf.constant([0.2]), "v": tf.constant([0.25])}
            >>> Bop2ndOrder("adam", 0.1, 0.1, 0.5).signal(averages, {}).numpy()
            array([0.4], dtype=float32)
        """
        m, v = averages["m"], averages["v"]
        if self.bias_correction:
            # A share is 0 only while every rate was 0: then its average is 0 too.
            m, v = (
                tf.math.divide_no_nan(average, tf.cast(averages[name], average.dtype))
                for average, name in ((m, "c"), (v, "d"))
            )
        return m / (tf.sqrt(v) + EPSILON)

    def get_config(self) -> dict[str, object]:
        """Return everything that `from_config` needs to make the same optimizer again."""
        return super().get_config() | {"bias_correction": self.bias_correction}
