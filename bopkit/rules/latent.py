"""Train latent weights in NumPy: the sign, its surrogate gradient, and three optimizers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bopkit.rules.ranges import (
    check_finite,
    check_positive,
    check_shapes,
    check_squares,
    is_number,
)


class AdamMoments(NamedTuple):
    """Hold Adam's two moving averages and the number of updates.

    Attributes:
        mean: the moving average of the gradient.
        square: the moving average of the squared gradient.
        step: how many updates the averages have seen.

    Example:
        >>> _, moments = latent_adam_step(np.zeros(1), None, np.ones(1), learning_rate=0.01)
        >>> round(moments.mean.item(), 4), round(moments.square.item(), 4), moments.step
        (0.1, 0.001, 1)
    """

    mean: np.ndarray
    square: np.ndarray
    step: int


def sign(values: np.ndarray) -> np.ndarray:
    """Binarize: -1 below zero, +1 at zero and above.

    Args:
        values: real numbers; any shape.

    Returns:
        An array of -1.0 and +1.0 of the same shape and floating type.

    Example:
        >>> sign([-0.5, 0.0, 2.0]).tolist()
        [-1.0, 1.0, 1.0]
    """
    values = np.asarray(values)
    kind = np.result_type(values, np.float32).type
    return np.where(values >= 0, kind(1), kind(-1))


def ste_sign_gradient(values: np.ndarray, gradient: np.ndarray, *, clip: float = 1.0) -> np.ndarray:
    r"""Pass a gradient through `sign` by the straight-through estimator.

    .. math:: \frac{\partial L}{\partial x} := \frac{\partial L}{\partial \operatorname{sign}(x)}
              \cdot 1_{|x| \le c}

    Args:
        values: :math:`x`, the argument of `sign` in the forward pass; any shape.
        gradient: the gradient with respect to :math:`\operatorname{sign}(x)`, the same shape.
        clip: :math:`c > 0`; the gradient passes unchanged where :math:`|x| \le c`.

    Returns:
        The surrogate gradient with respect to :math:`x`, the same shape.

    Raises:
        ValueError: the shapes differ, an array does not hold real numbers, or `clip` is out of
            range.

    Source:
        Bengio et al. 2013, arXiv:1308.3432; the clipped form of Hubara et al. 2016.

    Example:
        >>> ste_sign_gradient(np.array([-2.0, 0.3]), np.array([7.0, 7.0])).tolist()
        [0.0, 7.0]
    """
    check_positive(clip, "clip", math.inf)
    values, gradient = check_shapes(values=values, gradient=gradient).values()
    return np.where(np.abs(values) <= clip, gradient, 0.0)


def latent_sgd_step(
    latent: np.ndarray, gradient: np.ndarray, *, learning_rate: float, clip: float | None = None
) -> np.ndarray:
    r"""Take one step of SGD on latent weights; the binary weights are ``sign(latent)``.

    .. math:: \tilde w_t = \operatorname{clip}(\tilde w_{t-1} - \eta\, g_t,\ -c,\ c)

    Args:
        latent: latent weights :math:`\tilde w`; any shape.
        gradient: the gradient with respect to the *binary* weights, the same shape.
        learning_rate: :math:`\eta > 0`.
        clip: :math:`c > 0`, the largest magnitude allowed; `None` for no clipping.

    Returns:
        The new latent weights.

    Raises:
        ValueError: the shapes differ, an array holds NaN, infinity or no real numbers, or a
            hyperparameter is out of range.

    Source:
        Algorithm 1 of arXiv:1906.02107.

    Example:
        >>> latent = latent_sgd_step(np.array([0.25, -0.75]), np.ones(2), learning_rate=0.5, clip=1)
        >>> latent.tolist()
        [-0.25, -1.0]
    """
    _check_rates(learning_rate, clip)
    latent, gradient = _check_arrays(latent=latent, gradient=gradient)
    return _move(latent, gradient, learning_rate, clip)


def _move(latent, direction, learning_rate, clip):
    # w̃_t = w̃_{t-1} - η d_t, where d_t is the gradient or what momentum or Adam makes of it
    latent = latent - learning_rate * direction
    return latent if clip is None else np.clip(latent, -clip, clip)


def latent_momentum_step(
    latent: np.ndarray,
    velocity: np.ndarray,
    gradient: np.ndarray,
    *,
    learning_rate: float,
    momentum: float = 0.9,
    clip: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Take one step of SGD with momentum on latent weights.

    .. math::

        v_t &= \mu\, v_{t-1} + (1 - \mu)\, g_t \\
        \tilde w_t &= \operatorname{clip}(\tilde w_{t-1} - \eta\, v_t,\ -c,\ c)

    Args:
        latent: latent weights; any shape.
        velocity: :math:`v`, the moving average of the gradient, the same shape; zeros at the start.
        gradient: the gradient with respect to the binary weights, the same shape.
        learning_rate: :math:`\eta > 0`.
        momentum: :math:`\mu \in [0, 1)`.
        clip: :math:`c > 0`, the largest magnitude allowed; `None` for no clipping.

    Returns:
        The new latent weights and the new velocity.

    Raises:
        ValueError: the shapes differ, an array holds NaN, infinity or no real numbers, or a
            hyperparameter is out of range.

    Source:
        Section 3.2 of arXiv:1906.02107, where momentum is the same average as Bop's.

    Example:
        >>> latent, velocity = latent_momentum_step(
        ...     np.zeros(1), np.zeros(1), np.ones(1), learning_rate=1.0, momentum=0.75
        ... )
        >>> latent.tolist(), velocity.tolist()
        ([-0.25], [0.25])
    """
    _check_rates(learning_rate, clip, momentum=momentum)
    latent, velocity, gradient = _check_arrays(latent=latent, velocity=velocity, gradient=gradient)
    # v_t = μ v_{t-1} + (1 - μ) g_t
    velocity = momentum * velocity + (1 - momentum) * gradient
    return _move(latent, velocity, learning_rate, clip), velocity


def latent_adam_step(
    latent: np.ndarray,
    moments: AdamMoments | None,
    gradient: np.ndarray,
    *,
    learning_rate: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    clip: float | None = None,
) -> tuple[np.ndarray, AdamMoments]:
    r"""Take one step of Adam on latent weights, the usual way to train a binary network.

    .. math::

        a_t &= \beta_1 a_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \tilde w_t &= \operatorname{clip}\!\left(\tilde w_{t-1} - \eta\,
            \frac{a_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon},\ -c,\ c\right)

    Args:
        latent: latent weights; any shape.
        moments: as the last call returned them; `None` at the start.
        gradient: the gradient with respect to the binary weights, the same shape as `latent`.
        learning_rate: :math:`\eta > 0`.
        beta_1: :math:`\beta_1 \in [0, 1)`, decay of the mean.
        beta_2: :math:`\beta_2 \in [0, 1)`, decay of the mean square.
        epsilon: :math:`\epsilon > 0`, keeps the quotient finite.
        clip: :math:`c > 0`, the largest magnitude allowed; `None` for no clipping.

    Returns:
        The new latent weights and the new moments.

    Raises:
        ValueError: the shapes differ, an array holds NaN, infinity or no real numbers, or a
            hyperparameter is out of range.

    Source:
        Kingma and Ba 2015, arXiv:1412.6980.

    Example:
        >>> latent, moments = latent_adam_step(
        ...     np.zeros(2), None, np.array([3.0, -0.1]), learning_rate=0.01
        ... )
        >>> latent.round(6).tolist(), moments.step  # the first step has the length of the rate
        ([-0.01, 0.01], 1)
    """
    _check_rates(learning_rate, clip, beta_1=beta_1, beta_2=beta_2)
    check_positive(epsilon, "epsilon")
    if moments is None:
        moments = AdamMoments(np.zeros_like(gradient), np.zeros_like(gradient), 0)
    latent, gradient, mean, square = _check_arrays(
        latent=latent, gradient=gradient, mean=moments.mean, square=moments.square
    )
    check_squares(square)
    step = moments.step + 1
    mean = beta_1 * mean + (1 - beta_1) * gradient
    square = beta_2 * square + (1 - beta_2) * gradient**2
    # a_t / (1 - β₁^t) and v_t / (1 - β₂^t) have no bias from the start at zero
    direction = (mean / (1 - beta_1**step)) / (np.sqrt(square / (1 - beta_2**step)) + epsilon)
    return _move(latent, direction, learning_rate, clip), AdamMoments(mean, square, step)


def log_flip_ratio(flip_ratio: np.ndarray) -> np.ndarray:
    r"""Compute what section 5.1 of the paper plots, the log of the share of weights that flipped.

    .. math:: \pi_t = \log\!\left(\frac{\text{flipped weights}}{\text{binary weights}}
              + e^{-9}\right)

    Args:
        flip_ratio: flipped weights over all binary weights, in [0, 1]; any shape.

    Returns:
        :math:`\pi_t`; -9 where nothing flipped, and NaN where the ratio is NaN.

    Raises:
        ValueError: a ratio is below 0 or above 1.

    Source:
        Section 5.1 of arXiv:1906.02107.

    Example:
        >>> float(log_flip_ratio(0.0)), round(float(log_flip_ratio(1e-3)), 2)
        (-9.0, -6.79)
    """
    flip_ratio = np.asarray(flip_ratio)
    if ((flip_ratio < 0) | (flip_ratio > 1)).any():
        raise ValueError(
            "flip_ratio must be in [0, 1], flipped weights over all binary weights; got numbers "
            f"from {np.nanmin(flip_ratio):g} to {np.nanmax(flip_ratio):g}."
        )
    return np.log(flip_ratio + np.exp(-9.0))


def _check_rates(learning_rate, clip, **decays):
    """Refuse a learning rate or a clip of 0 or less, and a decay outside [0, 1)."""
    check_positive(learning_rate, "learning_rate")
    if clip is not None:
        check_positive(clip, "clip", math.inf)
    for name, decay in decays.items():
        if not (is_number(decay) and 0 <= decay < 1):
            raise ValueError(f"{name} must be a number in [0, 1), such as 0.9; got {decay!r}.")


def _check_arrays(**given):
    """Make arrays in the given order, and refuse different shapes, NaN and infinity."""
    arrays = check_shapes(**given)
    check_finite(arrays)
    return arrays.values()
