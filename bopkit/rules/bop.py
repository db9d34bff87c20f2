"""Update weights by Bop in NumPy; the tests hold every other implementation to this one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bopkit.rules.ranges import check_arrays, check_gamma, check_threshold


class BopUpdate(NamedTuple):
    """Hold what one update of Bop returns.

    Attributes:
        weights: the new weights, each -1 or +1.
        momentum: the new moving average of the gradient.
        flips: true where a weight flipped.

    Example:
        >>> ones = np.ones(1)
        >>> update = bop_step(ones, np.zeros(1), ones, threshold=0.1, gamma=0.25)
        >>> weights, momentum, flips = update
        >>> weights.item(), momentum.item(), flips.item()
        (-1.0, 0.25, True)
    """

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
    r"""Update once by Bop: average the gradient, and flip where the average exceeds the threshold.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    If a weight has the sign of the averaged gradient, flipping it lowers the loss to first order.
    The weight flips when the average is also larger than :math:`\tau`: the condition is the same as
    :math:`|m_t| > \tau` and :math:`\operatorname{sign}(m_t) = \operatorname{sign}(w_{t-1})`. A flip
    does not reset the momentum.

    Args:
        weights: binary weights, each -1 or +1; any shape.
        momentum: the moving average before this update, the same shape; zeros at the start.
        gradient: the gradient of the loss with respect to `weights`, the same shape.
        threshold: :math:`\tau \ge 0`, in units of the gradient.
        gamma: :math:`\gamma \in (0, 1]`, without unit; 1 forgets all but the last gradient.

    Returns:
        `BopUpdate(weights, momentum, flips)`. Floats keep their precision, and smaller types than
        float32 become float32.

    Raises:
        ValueError: a weight is not -1 or +1, the shapes differ, an array holds NaN, infinity or no
            real numbers, or a hyperparameter is out of range.

    Source:
        Algorithm 2 of arXiv:1906.02107. The paper's equation (6) flips on
        :math:`w\,m \ge \tau` and its algorithm on :math:`>`; this function follows the algorithm.

    Example:
        >>> weights, momentum = np.array([1.0, 1.0, -1.0]), np.zeros(3)
        >>> update = bop_step(
        ...     weights, momentum, np.array([2.0, -2.0, 0.5]), threshold=0.1, gamma=0.1
        ... )
        >>> update.momentum.tolist()
        [0.2, -0.2, 0.05]
        >>> update.weights.tolist()
        [-1.0, 1.0, -1.0]
    """
    check_gamma(gamma)
    check_threshold(threshold)
    weights, gradient, momentum = check_arrays(weights, gradient, momentum=momentum)
    # m_t = (1 - γ) m_{t-1} + γ g_t, written with one product
    momentum = momentum + gamma * (gradient - momentum)
    # flip where w·m > τ, strictly
    flips = weights * momentum > threshold
    return BopUpdate(np.where(flips, -weights, weights), momentum, flips)
