"""Rules are compared by pairs of seeds, and a verdict follows from the interval alone."""

import math
import statistics

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bopkit.book import comparison

SCORES = st.lists(
    st.tuples(st.floats(0, 100, width=32), st.floats(0, 100, width=32)), min_size=2, max_size=12
)


def by_seed(values):
    return dict(enumerate(values))


@given(SCORES)
def test_the_interval_is_students_and_the_verdict_follows_from_it(pairs):
    first, second = map(by_seed, zip(*pairs, strict=True))
    result = comparison.compare(first, second)
    differences = [a - b for a, b in pairs]
    n, mean = len(pairs), statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(n)
    low, high = stats.t.interval(0.95, n - 1, mean, error) if error else (mean, mean)
    assert result.seeds == n
    assert (result.mean - result.half, result.mean + result.half) == pytest.approx((low, high))
    assume(min(abs(low), abs(high), abs(low + 1), abs(high - 1)) > 1e-6)  # rounding decides there
    if n < 3:
        expected = "not decided"
    elif low > 0:
        expected = "ahead"
    elif high < 0:
        expected = "behind"
    else:
        expected = "level" if low >= -1 and high <= 1 else "not decided"
    assert result.verdict == expected


@given(SCORES, st.integers(1, 20))
def test_intervals_that_hold_together_are_wider_by_bonferroni(pairs, comparisons):
    first, second = map(by_seed, zip(*pairs, strict=True))
    result = comparison.compare(first, second, comparisons)
    differences = [a - b for a, b in pairs]
    n, mean = len(pairs), statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(n)
    low, high = (mean, mean)
    if error:
        low, high = stats.t.interval(1 - 0.05 / comparisons, n - 1, mean, error)
    assert (result.mean - result.half, result.mean + result.half) == pytest.approx((low, high))


@given(SCORES, st.floats(-50, 50))
def test_what_a_seed_does_to_both_rules_does_not_count(pairs, shift):
    first, second = map(by_seed, zip(*pairs, strict=True))
    result = comparison.compare(first, second)
    moved = [{s: v + shift * s for s, v in scores.items()} for scores in (first, second)]
    assert comparison.compare(*moved)[:2] == pytest.approx(result[:2], abs=1e-9)


def test_only_seeds_that_both_rules_have_count():
    result = comparison.compare({0: 90, 1: 91, 2: 92, 7: 10}, {0: 89, 1: 90, 2: 91, 8: 99})
    assert (result.mean, result.half, result.seeds, result.verdict) == (1, 0, 3, "ahead")
    assert comparison.compare({0: 90}, {1: 10}).verdict == "not decided"
