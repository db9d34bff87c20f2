r"""The update rules in NumPy: pure functions, the reference for everything else.

Each function takes arrays and returns new ones; none keeps state and none changes its
arguments. The Keras optimizer in `bopkit.optimizers` is held to `bop_step` by the tests,
and the figures and widgets of the book are drawn from this file alone.

Notation, here and through the book: :math:`w \in \{-1, +1\}` is a binary weight,
:math:`g` the gradient of the loss with respect to it, :math:`m` its exponential moving
average, :math:`\gamma` the adaptivity rate, :math:`\tau` the threshold,
:math:`\tilde w` a real-valued latent weight, :math:`\eta` a learning rate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bopkit.ranges import check_gamma, check_sigma, check_threshold


class BopUpdate(NamedTuple):
    """What one update of Bop gives back."""

    weights: np.ndarray
    momentum: np.ndarray
    flips: np.ndarray


class Bop2ndOrderUpdate(NamedTuple):
    """What one update of Bop with a second moment gives back."""

    weights: np.ndarray
    momentum: np.ndarray
    square: np.ndarray
    flips: np.ndarray


class AdamMoments(NamedTuple):
    """Adam's two moving averages and the number of updates they have seen."""

    mean: np.ndarray
    square: np.ndarray
    step: int


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
    weights, gradient, momentum = _check_arrays(weights, gradient, momentum=momentum)
    # m_t = (1 - γ) m_{t-1} + γ g_t, written with one product
    momentum = momentum + gamma * (gradient - momentum)
    # flip where w·m > τ, strictly
    flips = weights * momentum > threshold
    return BopUpdate(np.where(flips, -weights, weights), momentum, flips)


# Keeps the quotient finite where no gradient was ever seen; of the rule, and no hyperparameter.
EPSILON = 1e-10


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
    weights, gradient, momentum, square = _check_arrays(
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


def _check_arrays(weights, gradient, **averages):
    """Weights, gradient and averages as arrays, if they can be those of one update."""
    arrays = {"weights": weights, "gradient": gradient, **averages}
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{', '.join(arrays)} must have one shape; got {found}.")
    if not (np.abs(arrays["weights"]) == 1).all():
        raise ValueError("weights must all be -1 or +1; take np.where(w >= 0, 1.0, -1.0) first.")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity; the step before this one diverged.")
    return arrays.values()


def sign(values: np.ndarray) -> np.ndarray:
    """The binarization of the field: -1 below zero, +1 at zero and above.

    Args:
        values: real numbers; any shape.

    Returns:
        An array of -1.0 and +1.0 of the same shape and floating type.
    """
    values = np.asarray(values)
    kind = np.result_type(values, np.float32).type
    return np.where(values >= 0, kind(1), kind(-1))


def ste_sign_gradient(values: np.ndarray, gradient: np.ndarray, *, clip: float = 1.0) -> np.ndarray:
    r"""The straight-through estimator: what stands in for the derivative of `sign`.

    .. math:: \frac{\partial L}{\partial x} := \frac{\partial L}{\partial \operatorname{sign}(x)}
              \cdot 1_{|x| \le c}

    Args:
        values: :math:`x`, what was binarized in the forward pass; any shape.
        gradient: the gradient with respect to :math:`\operatorname{sign}(x)`, the same shape.
        clip: :math:`c > 0`; the gradient passes unchanged where :math:`|x| \le c`.

    Returns:
        The gradient that the estimator hands to :math:`x`, the same shape.

    Source:
        Bengio et al. 2013, arXiv:1308.3432; the clipped form of Hubara et al. 2016.
    """
    return np.where(np.abs(values) <= clip, gradient, 0.0)


def latent_sgd_step(
    latent: np.ndarray, gradient: np.ndarray, *, learning_rate: float, clip: float | None = None
) -> np.ndarray:
    r"""One step of SGD on latent weights; the binary weights are ``sign(latent)``.

    .. math:: \tilde w_t = \operatorname{clip}(\tilde w_{t-1} - \eta\, g_t,\ -c,\ c)

    Args:
        latent: latent weights :math:`\tilde w`; any shape.
        gradient: the gradient with respect to the *binary* weights, the same shape.
        learning_rate: :math:`\eta > 0`.
        clip: :math:`c`, the largest magnitude allowed; `None` for no clipping.

    Returns:
        The new latent weights.

    Source:
        Algorithm 1 of arXiv:1906.02107.
    """
    # w̃_t = w̃_{t-1} - η g_t
    latent = np.asarray(latent) - learning_rate * np.asarray(gradient)
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
    r"""One step of SGD with momentum on latent weights.

    .. math::

        v_t &= \mu\, v_{t-1} + (1 - \mu)\, g_t \\
        \tilde w_t &= \operatorname{clip}(\tilde w_{t-1} - \eta\, v_t,\ -c,\ c)

    Args:
        latent: latent weights; any shape.
        velocity: :math:`v`, the moving average of the gradient; zeros at the start.
        gradient: the gradient with respect to the binary weights.
        learning_rate: :math:`\eta > 0`.
        momentum: :math:`\mu \in [0, 1)`.
        clip: the largest magnitude allowed; `None` for no clipping.

    Returns:
        The new latent weights and the new velocity.

    Source:
        Section 3.2 of arXiv:1906.02107, where momentum is the same average as Bop's.
    """
    # v_t = μ v_{t-1} + (1 - μ) g_t
    velocity = momentum * np.asarray(velocity) + (1 - momentum) * np.asarray(gradient)
    return latent_sgd_step(latent, velocity, learning_rate=learning_rate, clip=clip), velocity


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
    r"""One step of Adam on latent weights: the usual way to train a binary network.

    .. math::

        a_t &= \beta_1 a_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \tilde w_t &= \operatorname{clip}\!\left(\tilde w_{t-1} - \eta\,
            \frac{a_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon},\ -c,\ c\right)

    Args:
        latent: latent weights; any shape.
        moments: what the last call returned; `None` at the start.
        gradient: the gradient with respect to the binary weights.
        learning_rate: :math:`\eta > 0`.
        beta_1: decay of the mean.
        beta_2: decay of the mean square.
        epsilon: keeps the quotient finite.
        clip: the largest magnitude allowed; `None` for no clipping.

    Returns:
        The new latent weights and the new moments.

    Source:
        Kingma and Ba 2015, arXiv:1412.6980.
    """
    gradient = np.asarray(gradient)
    if moments is None:
        moments = AdamMoments(np.zeros_like(gradient), np.zeros_like(gradient), 0)
    step = moments.step + 1
    mean = beta_1 * moments.mean + (1 - beta_1) * gradient
    square = beta_2 * moments.square + (1 - beta_2) * gradient**2
    # a_t and v_t without the bias of their start at zero
    direction = (mean / (1 - beta_1**step)) / (np.sqrt(square / (1 - beta_2**step)) + epsilon)
    latent = latent_sgd_step(latent, direction, learning_rate=learning_rate, clip=clip)
    return latent, AdamMoments(mean, square, step)


def log_flip_ratio(flip_ratio: np.ndarray) -> np.ndarray:
    r"""The quantity that section 5.1 plots, the log of the share of weights that flipped.

    .. math:: \pi_t = \log\!\left(\frac{\text{flipped weights}}{\text{binary weights}}
              + e^{-9}\right)

    Args:
        flip_ratio: flipped weights over all binary weights, in [0, 1]; any shape.

    Returns:
        :math:`\pi_t`; at least -9, which says that nothing flipped.

    Source:
        Section 5.1 of arXiv:1906.02107.
    """
    return np.log(np.asarray(flip_ratio) + np.exp(-9.0))
