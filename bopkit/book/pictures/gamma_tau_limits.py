"""Where theory puts the ends of the plane of γ and τ: no flips above, noise below."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from bopkit.book import toy


class Limits(NamedTuple):
    """Bound the thresholds that can work, for each γ.

    Attributes:
        frozen: the largest w·m while no weight has flipped, over all steps and seeds. If τ is not
            below it, no weight ever flips. (gammas,).
        noise: what independent gradients of standard deviation s leave in m after the last step.
            It is s √(γ/(2-γ)) where a constant γ fills m, less where the run is shorter than a few
            1/γ steps, and more where γ falls faster than m forgets. (gammas,).
    """

    frozen: np.ndarray
    noise: np.ndarray


class _Still:
    """Move no weight, and note the averages that Bop would have, for each γ."""

    def __init__(self, gammas):
        self.gammas = gammas[..., None, None]  # for each epoch: (epochs, gammas, 1, 1)
        self.average: dict[int, np.ndarray] = {}
        self.gradients: dict[int, list[np.ndarray]] = {}
        self.largest = np.zeros(gammas.shape[1])

    def step(self, layer, weights, gradient, epoch):
        before = self.average.get(layer, 0.0)
        # m_t = (1 - γ) m_{t-1} + γ g_t
        average = before + self.gammas[epoch] * (gradient - before)
        self.average[layer] = average
        self.gradients.setdefault(layer, []).append(gradient)
        self.largest = np.maximum(self.largest, (weights * average).max(axis=(1, 2)))
        return weights


def noise_left(gammas: np.ndarray) -> np.ndarray:
    """Compute the noise in m after the last step, for independent gradients of deviation 1.

    Args:
        gammas: γ of each step; (steps, ...).

    Returns:
        The standard deviation of m, which starts at 0; (...).

    Example:
        >>> constant = np.full(1000, 0.1)
        >>> bool(np.isclose(noise_left(constant), np.sqrt(0.1 / 1.9)))
        True
    """
    variance = np.zeros(np.shape(gammas)[1:])
    for gamma in gammas:
        variance = (1 - gamma) ** 2 * variance + gamma**2
    return np.sqrt(variance)


@functools.cache
def limits(gammas: tuple[float, ...], last_factor: float, epochs: int, seeds: int) -> Limits:
    """Measure both limits on networks that keep their first weights.

    Args:
        gammas: γ in the first epoch.
        last_factor: what γ is multiplied by in the last epoch; it falls by the same factor after
            each epoch.
        epochs: passes over the digits.
        seeds: how many networks, of the seeds 0 and up.

    Returns:
        `Limits`, for each of `gammas`.
    """
    falls = last_factor ** (np.arange(epochs) / (epochs - 1))
    by_epoch = np.multiply.outer(falls, gammas)
    frozen, variances = np.zeros(len(gammas)), []
    for seed in range(seeds):
        still = _Still(by_epoch)
        toy.train(still, epochs=epochs, seed=seed)
        frozen = np.maximum(frozen, still.largest)
        layers = [np.var(seen, axis=0).ravel() for seen in still.gradients.values()]
        variances.append(np.concatenate(layers).mean())
    steps = len(still.gradients[0]) // epochs
    left = noise_left(np.repeat(by_epoch, steps, axis=0))
    return Limits(frozen, np.sqrt(np.mean(variances)) * left)
