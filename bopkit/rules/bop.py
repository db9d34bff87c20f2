"""Bop in NumPy: what every other implementation of the rule is held to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bopkit.rules.ranges import check_arrays, check_gamma, check_threshold


class BopUpdate(NamedTuple):
    """What one update of Bop gives back."""

    weights: np.ndarray
    momentum: np.ndarray
    flips: np.ndarray


def bop_step(
    weights: np.ndarray,
    momentum: np.ndarray,
    gradient: np.ndarray,
    *,
    threshold: float,
    gamma: float,
) -> BopUpdate:
    r"""One update of Bop: average the gradient, flip where the average insists.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    A weight whose sign agrees with the averaged gradient makes the loss grow; it flips once
    the average is larger than :math:`\tau`. For :math:`\tau \ge 0` the condition is the same
    as :math:`|m_t| > \tau` and :math:`\operatorname{sign}(m_t) = \operatorname{sign}(w_{t-1})`.
    The momentum is not reset by a flip.

    Args:
        weights: binary weights, each -1 or +1; any shape.
        momentum: the moving average before this update, the same shape; zeros at the start.
        gradient: the gradient of the loss with respect to `weights`, the same shape.
        threshold: :math:`\tau \ge 0`, in units of the gradient.
        gamma: :math:`\gamma \in (0, 1]`, without unit; 1 forgets all but the last gradient.

    Returns:
        `BopUpdate(weights, momentum, flips)`: the new weights and momentum, and a boolean
        array that is true where a weight flipped.

    Raises:
        ValueError: a weight is not -1 or +1, the shapes differ, the gradient holds NaN or
            infinity, or a hyperparameter is out of range.

    Source:
        Algorithm 2 of arXiv:1906.02107. The paper's equation (6) flips on
        :math:`w\,m \ge \tau`, its algorithm on :math:`>`; this is the algorithm.
    """
    check_gamma(gamma)
    check_threshold(threshold)
    weights, gradient, momentum = check_arrays(weights, gradient, momentum=momentum)
    # m_t = (1 - γ) m_{t-1} + γ g_t, written with one product
    momentum = momentum + gamma * (gradient - momentum)
    # flip where w·m > τ, strictly
    flips = weights * momentum > threshold
    return BopUpdate(np.where(flips, -weights, weights), momentum, flips)
