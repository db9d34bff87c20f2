"""Bop2ndOrder in NumPy: Bop whose average is measured against the gradient's own size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bopkit.rules.ranges import check_arrays, check_gamma, check_sigma, check_threshold

# Keeps the quotient finite where no gradient was ever seen; of the rule, and no hyperparameter.
EPSILON = 1e-10


class Bop2ndOrderUpdate(NamedTuple):
    """What one update of Bop with a second moment gives back."""

    weights: np.ndarray
    momentum: np.ndarray
    square: np.ndarray
    flips: np.ndarray


def bop2ndorder_step(
    weights: np.ndarray,
    momentum: np.ndarray,
    square: np.ndarray,
    gradient: np.ndarray,
    *,
    threshold: float,
    gamma: float,
    sigma: float,
    step: int | None = None,
) -> Bop2ndOrderUpdate:
    r"""One update of Bop2ndOrder: the average, measured against the gradient's own size.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t, \qquad
        v_t = (1 - \sigma)\, v_{t-1} + \sigma\, g_t^2 \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t / (\sqrt{v_t} + 10^{-10}) > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    With bias correction, :math:`m_t` and :math:`v_t` are divided by :math:`1 - (1 - \gamma)^t` and
    :math:`1 - (1 - \sigma)^t` in the condition.

    Args:
        weights: binary weights, each -1 or +1; any shape.
        momentum: :math:`m`, the average gradient before this update; zeros at the start.
        square: :math:`v`, the average squared gradient before it; zeros at the start.
        gradient: the gradient of the loss with respect to `weights`, the same shape.
        threshold: :math:`\tau \ge 0`, without unit: a share of the gradient's usual size.
        gamma: :math:`\gamma \in (0, 1]`, the adaptivity rate.
        sigma: :math:`\sigma \in (0, 1]`, the rate of the second moment.
        step: :math:`t`, the number of this update from 1, to correct the bias of the start at
            zero; `None` for no correction.

    Returns:
        `Bop2ndOrderUpdate(weights, momentum, square, flips)`: the new weights and averages (never
        corrected), and a boolean array that is true where a weight flipped.

    Raises:
        ValueError: a weight is not -1 or +1, the shapes differ, an array holds NaN or infinity, or
            a hyperparameter is out of range.

    Source:
        Suarez-Ramirez et al. 2021, arXiv:2104.05124.
    """
    check_gamma(gamma)
    check_sigma(sigma)
    check_threshold(threshold)
    if step is not None and not (isinstance(step, int | np.integer) and step >= 1):
        raise ValueError(f"step counts updates from 1; got {step!r}.")
    weights, gradient, momentum, square = check_arrays(
        weights, gradient, momentum=momentum, square=square
    )
    # m_t = (1 - γ) m_{t-1} + γ g_t;  v_t = (1 - σ) v_{t-1} + σ g_t²
    momentum = momentum + gamma * (gradient - momentum)
    square = square + sigma * (gradient**2 - square)
    # 1 - (1 - γ)^t, by logarithms: a small γ would vanish beside 1
    grown = [1.0 if step is None else _grown(rate, step) for rate in (gamma, sigma)]
    # flip where w·m / (√v + 1e-10) > τ, strictly
    signal = momentum / grown[0] / (np.sqrt(square / grown[1]) + EPSILON)
    flips = weights * signal > threshold
    return Bop2ndOrderUpdate(np.where(flips, -weights, weights), momentum, square, flips)


def _grown(rate, step):
    """How much of a constant an average that began at zero holds after so many updates."""
    with np.errstate(divide="ignore"):  # a rate of 1 has grown at once
        return -np.expm1(step * np.log1p(-rate))
