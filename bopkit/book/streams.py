"""Make the gradients that the live pictures show, by arithmetic that a browser repeats exactly.

NumPy's own random numbers cannot be had in a browser. These can: `book/_static/live/rules.js` has
the same functions, so that a picture's numbers are the same in the page, in a kernel, in the still
picture and in the text.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bopkit import rules


def _scramble(counter):
    """Turn counters into 32 bits that look random, by the last step of MurmurHash3."""
    bits = np.asarray(counter, np.uint32)
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return bits ^ (bits >> np.uint32(16))


def normals(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Draw nearly normal numbers of mean 0 and standard deviation 1.

    Each is a sum of twelve uniform numbers. Such a sum needs no logarithm, whose last digit
    depends on the machine.

    Args:
        shape: of the result.
        seed: a whole number from 0 to 2³² - 1.

    Returns:
        Numbers between -6 and 6, in double precision.

    Example:
        >>> normals((2, 2), seed=1).round(3).tolist()
        [[-0.219, -0.764], [2.028, -1.185]]
    """
    count = int(np.prod(shape))
    counters = np.arange(6 * count, dtype=np.uint32) + _scramble([seed])
    bits = _scramble(counters).reshape(count, 6)
    total = (bits & np.uint32(0xFFFF)).sum(1, dtype=np.int64)
    total += (bits >> np.uint32(16)).sum(1, dtype=np.int64)
    return ((total - 6 * 0xFFFF) / 65536).reshape(shape)


def turning_mean(strength: float, steps: int) -> np.ndarray:
    """Compute a mean that is -strength, +strength, -strength for a third of the steps each.

    Args:
        strength: size of the mean.
        steps: how many.

    Returns:
        The mean at each step; (steps,).

    Example:
        >>> turning_mean(0.5, 6).tolist()
        [-0.5, -0.5, 0.5, 0.5, -0.5, -0.5]
    """
    return np.where(np.arange(steps) * 3 // steps % 2 == 0, -strength, strength)


def noisy_signal(steps: int = 300, noise: float = 1.0, seed: int = 0) -> np.ndarray:
    """Make a gradient whose mean changes sign twice under noise, by NumPy's own random numbers.

    Args:
        steps: how many gradients.
        noise: standard deviation of the noise; the mean is -0.4 or +0.4.
        seed: of the noise.

    Returns:
        Gradients; (steps,).
    """
    return turning_mean(0.4, steps) + noise * np.random.RandomState(seed).normal(size=steps)


class Course(NamedTuple):
    """Hold what one rule made of some streams of gradients.

    Attributes:
        weights: the binary weights after each step; (steps, draws).
        real: the real number that the rule keeps for each, m or w̃; (steps, draws).
    """

    weights: np.ndarray
    real: np.ndarray


def bop(gradients: np.ndarray, *, gamma: float, threshold: float, start: float = -1.0) -> Course:
    """Run `bopkit.rules.bop_step` over streams of gradients, one weight for each.

    Args:
        gradients: (steps, draws).
        gamma: γ.
        threshold: τ.
        start: every weight before the first step, -1 or +1.

    Returns:
        A `Course`; its `real` is m.
    """
    weights, average = np.full(gradients.shape[1], start), np.zeros(gradients.shape[1])
    course = []
    for gradient in gradients:
        weights, average, _ = rules.bop_step(
            weights, average, gradient, threshold=threshold, gamma=gamma
        )
        course.append((weights, average))
    return Course(*(np.array(part) for part in zip(*course, strict=True)))


def latent_sgd(
    gradients: np.ndarray,
    *,
    learning_rate: float,
    clip: float | None = None,
    decay: float = 0.0,
    start: float = -1.0,
) -> Course:
    """Run `bopkit.rules.latent_sgd_step` over streams of gradients, one weight for each.

    Args:
        gradients: (steps, draws).
        learning_rate: η.
        clip: the largest magnitude of a latent weight; `None` for no clipping.
        decay: λ, the share of a latent weight that leaks away per step.
        start: every latent weight before the first step.

    Returns:
        A `Course`; its `real` is w̃.
    """
    latent, course = np.full(gradients.shape[1], start), []
    for gradient in gradients:
        latent = rules.latent_sgd_step(
            (1 - decay) * latent, gradient, learning_rate=learning_rate, clip=clip
        )
        course.append(latent)
    return Course(rules.sign(np.array(course)), np.array(course))


def latent_momentum(
    gradients: np.ndarray, *, learning_rate: float, clip: float | None = None, start: float = -1.0
) -> Course:
    """Run `bopkit.rules.latent_momentum_step`, with its μ of 0.9, over streams of gradients.

    Args:
        gradients: (steps, draws).
        learning_rate: η.
        clip: as for `latent_sgd`.
        start: every latent weight before the first step.

    Returns:
        A `Course`; its `real` is w̃.
    """
    latent, course = np.full(gradients.shape[1], start), []
    velocity = np.zeros_like(latent)
    for gradient in gradients:
        latent, velocity = rules.latent_momentum_step(
            latent, velocity, gradient, learning_rate=learning_rate, clip=clip
        )
        course.append(latent)
    return Course(rules.sign(np.array(course)), np.array(course))


def latent_adam(
    gradients: np.ndarray, *, learning_rate: float, clip: float | None = None, start: float = -1.0
) -> Course:
    """Run `bopkit.rules.latent_adam_step`, with its β₁ and β₂, over streams of gradients.

    Args:
        gradients: (steps, draws).
        learning_rate: η.
        clip: as for `latent_sgd`.
        start: every latent weight before the first step.

    Returns:
        A `Course`; its `real` is w̃.
    """
    latent, course = np.full(gradients.shape[1], start), []
    moments = None
    for gradient in gradients:
        latent, moments = rules.latent_adam_step(
            latent, moments, gradient, learning_rate=learning_rate, clip=clip
        )
        course.append(latent)
    return Course(rules.sign(np.array(course)), np.array(course))


class Score(NamedTuple):
    """Count what went wrong in each stream.

    Attributes:
        flips: how often the weight flipped; (draws,).
        wrong: on how many steps it had the sign that makes the loss grow; (draws,).
    """

    flips: np.ndarray
    wrong: np.ndarray


def score(weights: np.ndarray, mean: np.ndarray, start: float = -1.0) -> Score:
    """Count flips and steps on the wrong side.

    Args:
        weights: binary weights after each step; (steps, draws).
        mean: the mean gradient, whose sign a weight should not have; (steps,).
        start: every weight before the first step.

    Returns:
        A `Score`.
    """
    before = np.vstack([np.full((1, weights.shape[1]), start), weights[:-1]])
    return Score((weights != before).sum(0), (weights * mean[:, None] > 0).sum(0))


def tenths(total: int, count: int) -> str:
    """Write total / count to a tenth, rounded in whole numbers as the browser rounds it.

    Args:
        total: not below 0.
        count: above 0.

    Returns:
        The text.

    Example:
        >>> tenths(45, 20)
        '2.3'
    """
    rounded = (20 * int(total) + int(count)) // (2 * int(count))
    return f"{rounded // 10}.{rounded % 10}"
