"""Train the small network on the digits by every rule, with the same trials and the same seeds.

The protocol is a small version of `results/cifar10/PROTOCOL.md`. Each rule has ten trials, which
are scored on images held out of the training set, with seeds that no other run uses. Then the
chosen numbers are scored on the test images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bopkit import rules
from bopkit.book import toy
from bopkit.book.remember import remember

EPOCHS = 15
SEEDS, TRIAL_SEEDS = tuple(range(40)), (100, 101, 102, 103)
HOLDOUT = 300  # of the 1,437 training images
RATES = (3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)


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
    return epoch / EPOCHS


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
    return toy.NumPyBop(0.0, gamma * share ** (np.arange(EPOCHS) / EPOCHS))


def bop_with_threshold(gamma, threshold):
    """Bop with τ above zero, where γ falls by the same factor after every epoch."""
    return toy.NumPyBop(threshold, gamma * 1e-3 ** (np.arange(EPOCHS) / EPOCHS))


def papers_schedule(gamma, threshold):
    """Bop as in section 5.2: γ falls by 10 after each fifth of the run, and τ is above zero."""
    return toy.NumPyBop(threshold, gamma * 0.1 ** (np.arange(EPOCHS) // (EPOCHS // 5)))


def leaking(gamma, share):
    """Leaking latent weights: w̃ ← (1 - γ) w̃ - γ g, and the weights are their signs."""

    def rule(weights, kept, gradient, epoch):
        now = gamma * share ** _progress(epoch)
        kept = np.zeros_like(gradient) if kept is None else kept
        kept = kept - now * (gradient + kept)
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


# A rule, the rates that are tried, and its second number's start and trials.
CONTENDERS = {
    "binarynet/default": (latent, RATES, 1e-2, (1.0, 0.1, 1e-3, 1e-4)),
    "binarynet/bop": (bop_without_threshold, RATES, 1e-3, (0.1, 1e-2, 1e-4, 1e-5)),
    "binarynet/bop_threshold": (bop_with_threshold, RATES, 1e-4, (1e-6, 1e-5, 1e-3, 1e-2)),
    "binarynet/bop_sec52": (papers_schedule, RATES, 1e-5, (0.0, 1e-6, 1e-4, 1e-3)),
    "binarynet/leaking": (leaking, RATES, 1e-3, (0.1, 1e-2, 1e-4, 1e-5)),
    "binarynet/bop2ndorder": (second_order, RATES, 1.0, (0.0, 0.3, 3.0, 10.0)),
}


@remember
def score(name: str, rate: float, second: float, seed: int, trial: bool) -> float:
    """Train once; return the last epoch's top-1 in percent, on held-out images in a trial."""
    images, labels, _, _ = data = toy.digits()
    if trial:
        data = images[HOLDOUT:], labels[HOLDOUT:], images[:HOLDOUT], labels[:HOLDOUT]
    optimizer = CONTENDERS[name][0](rate, second)
    return 100 * float(toy.train(optimizer, epochs=EPOCHS, seed=seed, data=data).accuracy[-1])


@remember
def choose(name: str) -> tuple[float, float]:
    """Find a rule's two numbers in ten trials: six rates, then four second numbers at the best.

    Leaking latent weights take Bop's, because both make the same flips.
    """
    if name == "binarynet/leaking":
        return choose("binarynet/bop")
    _, rates, start, others = CONTENDERS[name]

    def best(grid):
        means = [np.mean([score(name, *pair, seed, True) for seed in TRIAL_SEEDS]) for pair in grid]
        return max(zip(means, grid, strict=True))

    first = best([(rate, start) for rate in rates])
    return max(first, best([(first[1][0], other) for other in others]))[1]


def scores() -> dict[str, dict[int, float]]:
    """Train every rule with its chosen numbers over all seeds: top-1 on the test images, in %."""
    return {name: {s: score(name, *choose(name), s, False) for s in SEEDS} for name in CONTENDERS}
