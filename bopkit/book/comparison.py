"""Compare two rules seed by seed, as results/cifar10/PROTOCOL.md says.

Attributes:
    SEEDS: with fewer pairs of runs, no comparison is decided.
    LEVEL: two rules are level if the interval of their difference contains zero and lies within so
        many percentage points of zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

# A difference within one point of zero is small enough to call two rules level.
LEVEL = 1.0
# With fewer pairs nothing is decided.
SEEDS = 3


def mean_interval(values: np.ndarray, comparisons: int = 1) -> tuple[np.ndarray, np.ndarray]:
    r"""Estimate means over the last axis, with the 95 % interval of Student's t.

    .. math:: \bar x \pm t_{1 - 0.025 / k,\, n-1}\, s / \sqrt n

    Args:
        values: (..., n); with n = 1 the interval is infinite.
        comparisons: :math:`k`, the number of intervals that are to hold together with at least
            95 % (Bonferroni's correction). With 1 there is no correction.

    Returns:
        The means, and half the width of their intervals.

    Example:
        >>> mean, half = mean_interval(np.array([1.0, 2.0, 3.0]))
        >>> print(f"{mean:.2f} ± {half:.2f}")
        2.00 ± 2.48
        >>> mean, half = mean_interval(np.array([1.0, 2.0, 3.0]), comparisons=4)
        >>> print(f"{mean:.2f} ± {half:.2f}")
        2.00 ± 5.12
    """
    values = np.asarray(values, float)
    n = values.shape[-1]
    if n < 2:
        return values.mean(-1), np.full(values.shape[:-1], math.inf)
    half = stdtrit(n - 1, 1 - 0.025 / comparisons) * values.std(-1, ddof=1) / n**0.5
    return values.mean(-1), half


class Comparison(NamedTuple):
    """Hold the difference between two rules, in percentage points.

    Attributes:
        mean: of the differences between runs with the same seed.
        half: half the width of its 95 % interval.
        seeds: number of pairs.
        verdict: of the first rule: "ahead", "behind", "level" or "not decided".

    Example:
        >>> found = compare({0: 91.0, 1: 92.0}, {0: 90.0, 1: 91.0})
        >>> found.mean, found.seeds, found.verdict  # two pairs are too few
        (1.0, 2, 'not decided')
    """

    mean: float
    half: float
    seeds: int
    verdict: str


def compare(
    first: Mapping[int, float], second: Mapping[int, float], comparisons: int = 1
) -> Comparison:
    """Decide whether one rule is ahead of another.

    Args:
        first: the first rule's scores by seed, in percent.
        second: the second's. Seeds that only one of them has do not count.
        comparisons: as in `mean_interval`. The protocol has no correction.

    Returns:
        A `Comparison`. The first rule is *ahead* if the interval lies above zero, *behind* if it
        lies below, and *level* if it contains zero and lies within one point of zero. Otherwise,
        or with fewer than three pairs, the comparison is *not decided*.

    Example:
        >>> compare({0: 91.0, 1: 92.1, 2: 93.2}, {0: 90.0, 1: 91.0, 2: 92.0}).verdict
        'ahead'
    """
    shared = sorted(first.keys() & second.keys())
    if len(shared) < 2:
        return Comparison(math.nan, math.inf, len(shared), "not decided")
    differences = np.array([first[s] - second[s] for s in shared])
    mean, half = map(float, mean_interval(differences, comparisons))
    verdict = "not decided"
    if len(shared) >= SEEDS:
        if mean - half > 0:
            verdict = "ahead"
        elif mean + half < 0:
            verdict = "behind"
        elif max(half - mean, half + mean) <= LEVEL:
            verdict = "level"
    return Comparison(mean, half, len(shared), verdict)
