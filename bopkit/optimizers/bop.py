"""Bop as a Keras optimizer: in two methods what `bopkit.rules.bop_step` says in NumPy."""

from __future__ import annotations

from bopkit._tensorflow import tf
from bopkit.optimizers.base import FlipOptimizer
from bopkit.optimizers.hyper import Hyper
from bopkit.rules import ranges


@tf.keras.utils.register_keras_serializable("bopkit")
class Bop(FlipOptimizer):
    r"""The binary optimizer: flips weights, and keeps one average per weight.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    for each binary variable; all others are updated by `fp_optimizer`. Learning-rate
    callbacks act on `fp_optimizer` too: its rate is this optimizer's `learning_rate`.

    Args:
        fp_optimizer: a `tf.keras.optimizers.Optimizer` for everything that is not binary
            (batch normalization, real-valued layers), or its name.
        threshold: :math:`\tau \ge 0`, in units of the gradient; a float, or a
            `LearningRateSchedule` of the step.
        gamma: the adaptivity rate :math:`\gamma \in (0, 1]`; a float or a schedule.
        jit_compile: compile the update with XLA, or not; `None` does on a GPU, and elsewhere for
            variables of at least 131,072 weights.
        name: the optimizer's name.

    Raises:
        ValueError: `threshold` or `gamma` is out of range or NaN; when it first meets a
            model: no variable is binary, or a binary one holds anything but -1 and +1.
        TypeError: `fp_optimizer` is not an optimizer of Keras 2's current kind; or, at an
            update, a binary variable's gradient is sparse.

    Source:
        Algorithm 2 of arXiv:1906.02107, with two differences from larq's and the released
        code's: exact equality, w·m = τ, does not flip here (theirs sets the weight to +1),
        and weights are -1 or +1 from the first forward pass (theirs start real-valued).
    """

    gamma = Hyper(ranges.check_gamma)

    def __init__(self, fp_optimizer, threshold=1e-8, gamma=1e-4, *, jit_compile=None, name="Bop"):
        hypers = {"threshold": threshold, "gamma": gamma}
        super().__init__(fp_optimizer, jit_compile=jit_compile, name=name, **hypers)

    def update_averages(self, averages, gradient, now):
        """m_t = (1 - γ) m_{t-1} + γ g_t, written with one product."""
        m = averages["m"]
        return {"m": m + now["gamma"] * (gradient - m)}

    def signal(self, averages, now):
        """The signal is m itself."""
        return averages["m"]
