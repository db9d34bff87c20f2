"""Train the small network on the digits by every rule, with the same trials and the same seeds.

Each rule has two numbers to choose. It is tried with every pair of six rates and five second
numbers, and scored on images held out of the training set, with seeds that no other run uses. Then
the best pair is scored on the test images. The trials are in `results/digits/trials.json`, which
`tools/digits_trials.py` writes; the runs on the test images are made when they are needed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

import numpy as np

from bopkit import rules
from bopkit.book import RESULTS, toy
from bopkit.book.remember import remember

EPOCHS = 15
SEEDS, TRIAL_SEEDS = tuple(range(40)), tuple(range(100, 112))
HOLDOUT = 300  # of the 1,437 training images
RATES = (3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
SHARES = (1e-5, 1e-4, 1e-3, 1e-2, 0.1)  # of a rate, in the last epoch


class Stepper:
    """Move each layer by a rule that keeps its averages from step to step.

    Args:
        rule: `rule(weights, kept, gradient, epoch)` returns the new weights and what to keep, which
            is `None` at first.
    """

    def __init__(self, rule: Callable):
        self.rule, self.kept = rule, {}

    def step(self, layer: int, weights, gradient, epoch: int):
        """The new weights of one layer."""
        weights, self.kept[layer] = self.rule(weights, self.kept.get(layer), gradient, epoch)
        return weights


def _progress(epoch):
    return epoch / (EPOCHS - 1)


def _falling(gamma, share):
    # By the same factor after every epoch, to a share of its start in the last.
    return gamma * share ** _progress(np.arange(EPOCHS))


def latent(rate, share):
    """Latent weights with Adam, whose learning rate falls linearly to a share of itself."""

    def rule(weights, kept, gradient, epoch):
        start, moments = kept or (_latent_start(weights), None)
        eta = rate * (1 - (1 - share) * _progress(epoch))
        start, moments = rules.latent_adam_step(
            start, moments, gradient, learning_rate=eta, clip=1.0
        )
        return rules.sign(start).astype(weights.dtype), (start, moments)

    return Stepper(rule)


def _latent_start(weights):
    # Glorot's uniform numbers, whose signs are the first weights.
    limit = (6 / sum(weights.shape)) ** 0.5
    return limit * np.random.RandomState(weights.size).uniform(0, 1, weights.shape) * weights


def bop_without_threshold(gamma, share):
    """Bop at τ = 0, where γ falls by the same factor after every epoch."""
    return toy.NumPyBop(0.0, _falling(gamma, share))


def bop_with_threshold(gamma, threshold):
    """Bop with τ above zero, where γ falls by the same factor after every epoch."""
    return toy.NumPyBop(threshold, _falling(gamma, 1e-3))


def papers_schedule(gamma, threshold):
    """Bop as in section 5.2: γ falls by 10 after each fifth of the run, and τ is above zero."""
    return toy.NumPyBop(threshold, gamma * 0.1 ** (np.arange(EPOCHS) // (EPOCHS // 5)))


def leaking(gamma, share):
    """Leaking latent weights: w̃ ← (1 - λ) w̃ - η g, and the weights are their signs.

    The leak λ is γ, and η = 7 γ falls with it. The unit of w̃ should not matter, and 7 is no power
    of two, so that numbers are rounded otherwise than in Bop.
    """
    leaks = _falling(gamma, share)

    def rule(weights, kept, gradient, epoch):
        kept = np.zeros_like(gradient) if kept is None else kept
        kept = (1 - leaks[epoch]) * kept - 7 * leaks[epoch] * gradient
        # sign(0) is what the weight was: before its first gradient a latent weight says nothing
        return np.where(kept == 0, weights, rules.sign(kept)).astype(weights.dtype), kept

    return Stepper(rule)


def second_order(gamma, noises):
    """Bop2ndOrder, whose τ counts standard deviations of the noise in its signal."""

    def rule(weights, kept, gradient, epoch):
        now = gamma * 1e-3 ** _progress(epoch)
        zeros = np.zeros_like(gradient)
        update = rules.bop2ndorder_step(
            weights,
            *(kept or (zeros, zeros)),
            gradient,
            threshold=noises * (now / 2) ** 0.5,  # of an average of independent gradients
            gamma=now,
            sigma=1e-2,
        )
        return update.weights, (update.momentum, update.square)

    return Stepper(rule)


# A rule, and the second numbers that are tried.
CONTENDERS = {
    "binarynet/default": (latent, SHARES),
    "binarynet/bop": (bop_without_threshold, SHARES),
    "binarynet/bop_threshold": (bop_with_threshold, (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)),
    "binarynet/bop_sec52": (papers_schedule, (0.0, 1e-6, 1e-5, 1e-4, 1e-3)),
    "binarynet/leaking": (leaking, SHARES),
    "binarynet/bop2ndorder": (second_order, (0.0, 0.3, 1.0, 3.0, 10.0)),
}


@remember
def score(name: str, rate: float, second: float, seed: int, trial: bool) -> float:
    """Train once; return the last epoch's top-1 in percent, on held-out images in a trial."""
    images, labels, _, _ = data = toy.digits()
    if trial:
        data = images[HOLDOUT:], labels[HOLDOUT:], images[:HOLDOUT], labels[:HOLDOUT]
    optimizer = CONTENDERS[name][0](rate, second)
    return 100 * float(toy.train(optimizer, epochs=EPOCHS, seed=seed, data=data).accuracy[-1])


@functools.cache
def trials() -> dict[str, dict[tuple[float, float], float]]:
    """Read what the trials scored: mean top-1 on held-out images in %, by rule, by pair of numbers.

    Leaking latent weights have no trials. They take Bop's numbers, because both make the same
    flips.
    """
    rows = json.loads((RESULTS / "digits" / "trials.json").read_text())
    found: dict[str, dict[tuple[float, float], float]] = {}
    for row in rows:
        found.setdefault(row["rule"], {})[row["rate"], row["second"]] = row["top_1"]
    return found


def choose(name: str) -> tuple[float, float]:
    """Find the pair of numbers with which a rule does best in the trials."""
    found = trials()["binarynet/bop" if name == "binarynet/leaking" else name]
    return max(found, key=found.get)


def scores() -> dict[str, dict[int, float]]:
    """Train every rule with its chosen numbers over all seeds: top-1 on the test images, in %."""
    return {name: {s: score(name, *choose(name), s, False) for s in SEEDS} for name in CONTENDERS}
