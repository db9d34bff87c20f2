"""Update weights by Bop2ndOrder in NumPy: Bop that divides its average by the gradient's size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bopkit.rules.ranges import (
    check_arrays,
    check_gamma,
    check_sigma,
    check_squares,
    check_threshold,
)

# Keeps the quotient finite where every gradient was zero; a constant of the rule.
EPSILON = 1e-10


class Bop2ndOrderUpdate(NamedTuple):
    """Hold what one update of Bop2ndOrder returns.

    Attributes:
        weights: the new weights, each -1 or +1.
        momentum: the new moving average of the gradient.
        square: the new moving average of the squared gradient.
        flips: true where a weight flipped.
        shares: with bias correction, :math:`c` and :math:`d` after this update; else `None`.

    Example:
        >>> ones, zeros = np.ones(1), np.zeros(1)
        >>> update = bop2ndorder_step(
        ...     ones, zeros, zeros, ones, threshold=0.1, gamma=0.25, sigma=0.5
        ... )
        >>> update.momentum.item(), update.square.item(), update.flips.item()
        (0.25, 0.5, True)
    """

    weights: np.ndarray
    momentum: np.ndarray
    square: np.ndarray
    flips: np.ndarray
    shares: tuple[float, float] | None = None


def bop2ndorder_step(
    weights: np.ndarray,
    momentum: np.ndarray,
    square: np.ndarray,
    gradient: np.ndarray,
    *,
    threshold: float,
    gamma: float,
    sigma: float,
    shares: tuple[float, float] | None = None,
) -> Bop2ndOrderUpdate:
    r"""Update once by Bop2ndOrder: Bop, with the average divided by the gradient's usual size.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t, \qquad
        v_t = (1 - \sigma)\, v_{t-1} + \sigma\, g_t^2 \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t / (\sqrt{v_t} + 10^{-10}) > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    With bias correction, the condition divides :math:`m_t` by :math:`c_t` and :math:`v_t` by
    :math:`d_t`, the shares of a constant that averages started at zero hold after these rates:

    .. math::

        c_t = (1 - \gamma)\, c_{t-1} + \gamma, \qquad
        d_t = (1 - \sigma)\, d_{t-1} + \sigma

    If the rates are constant, :math:`c_t = 1 - (1 - \gamma)^t` and
    :math:`d_t = 1 - (1 - \sigma)^t`.

    Args:
        weights: binary weights, each -1 or +1; any shape.
        momentum: :math:`m`, the average gradient before this update; zeros at the start.
        square: :math:`v`, the average squared gradient before it; zeros at the start.
        gradient: the gradient of the loss with respect to `weights`, the same shape.
        threshold: :math:`\tau \ge 0`, without unit: a share of the gradient's usual size.
        gamma: :math:`\gamma \in (0, 1]`, the adaptivity rate.
        sigma: :math:`\sigma \in (0, 1]`, the rate of the second moment.
        shares: :math:`(c, d)` before this update, to correct the bias of the start at zero;
            (0.0, 0.0) at the start, and `None` for no correction.

    Returns:
        `Bop2ndOrderUpdate(weights, momentum, square, flips, shares)`, whose averages are not
        corrected.

    Raises:
        ValueError: a weight is not -1 or +1, the shapes differ, an array holds NaN, infinity or no
            real numbers, `square` is below 0, or a hyperparameter or a share is out of range.

    Source:
        Suarez-Ramirez et al. 2021, arXiv:2104.05124.

    Example:
        >>> zeros, gradient = np.zeros(2), np.array([1e-6, -3.0])
        >>> update = bop2ndorder_step(
        ...     np.ones(2), zeros, zeros, gradient,
        ...     threshold=0.5, gamma=0.1, sigma=0.1, shares=(0.0, 0.0),
        ... )
        >>> update.weights.tolist()  # the size of a gradient does not matter
        [-1.0, 1.0]
        >>> update.shares
        (0.1, 0.1)
    """
    check_gamma(gamma)
    check_sigma(sigma)
    check_threshold(threshold)
    if shares is not None and not (len(shares) == 2 and all(0 <= share <= 1 for share in shares)):
        raise ValueError(f"shares must be two numbers in [0, 1], at first zeros; got {shares!r}.")
    weights, gradient, momentum, square = check_arrays(
        weights, gradient, momentum=momentum, square=square
    )
    check_squares(square)
    # m_t = (1 - γ) m_{t-1} + γ g_t;  v_t = (1 - σ) v_{t-1} + σ g_t²
    momentum = momentum + gamma * (gradient - momentum)
    square = square + sigma * (gradient**2 - square)
    m, v = momentum, square
    if shares is not None:
        # c_t = (1 - γ) c_{t-1} + γ;  d_t = (1 - σ) d_{t-1} + σ
        rates = float(gamma), float(sigma)
        shares = tuple(c + rate * (1 - c) for c, rate in zip(shares, rates, strict=True))
        m, v = momentum / shares[0], square / shares[1]
    # flip where w·m / (√v + 1e-10) > τ, strictly
    flips = weights * (m / (np.sqrt(v) + EPSILON)) > threshold
    return Bop2ndOrderUpdate(np.where(flips, -weights, weights), momentum, square, flips, shares)
