"""What the picture draws once and slides, held to runs that are trained for real."""

import numpy as np
import pytest

from bopkit.book import toy
from bopkit.book.pictures import second_moment
from bopkit.book.pictures.second_moment import EPOCHS, FIRST, GAMMA, GRIDS, NOISE, SECOND, WIDTHS


class Times:
    """A rule that is given the gradients of a loss multiplied by a factor."""

    def __init__(self, rule, factor):
        self.rule, self.factor = rule, factor

    def step(self, layer, weights, gradient, epoch):
        return self.rule.step(layer, weights, self.factor * gradient, epoch)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_bops_curve_slides_as_the_runs_do(factor):
    thresholds, accuracy, flips = second_moment.curve(FIRST, 64, factor)
    for point in (4, 6):
        rule = Times(toy.NumPyBop(thresholds[point], GAMMA), factor)
        real = toy.train(rule, epochs=EPOCHS)
        assert 100 * real.accuracy[-2:].mean() == pytest.approx(accuracy[point], abs=3)
        assert real.flip_ratio[:14].mean() == pytest.approx(flips[point], rel=0.1)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_bop2ndorders_curve_stays_as_the_runs_do(factor):
    for threshold in (0.01, 0.2, 0.5):
        rule = Times(toy.NumPyBop2ndOrder(threshold, GAMMA, GAMMA), factor)
        real = toy.train(rule, epochs=EPOCHS)
        accuracy, flips = second_moment.measured(SECOND, threshold, 64)
        assert 100 * real.accuracy[-2:].mean() == pytest.approx(accuracy, abs=6)
        assert real.flip_ratio[:14].mean() == pytest.approx(flips, rel=0.1, abs=1e-4)
    moved, still = (second_moment.curve(rule, 64, factor) for rule in (FIRST, SECOND))
    assert np.array_equal(still, second_moment.curve(SECOND, 64, 1.0))
    assert not np.array_equal(moved, second_moment.curve(FIRST, 64, 1.0))


@pytest.mark.parametrize("rule", [FIRST, SECOND])
def test_nothing_flips_where_a_curve_ends(rule):
    for width in WIDTHS:
        assert second_moment.run(rule, GRIDS[rule][-1], width).flip_ratio.max() == 0
    assert second_moment.measured(rule, 1e3, 64) == second_moment.measured(rule, 1e9, 64)


def test_the_widths_are_apart_for_bop_and_together_for_bop2ndorder():
    def spread(rule, threshold):
        flips = [second_moment.measured(rule, threshold, width)[1] for width in WIDTHS]
        return max(flips) / min(flips)

    assert spread(FIRST, 1e-4) > 4
    assert spread(SECOND, NOISE) < 1.3


def test_the_marked_noise_is_the_noise():
    random, m, v = np.random.RandomState(0), np.zeros(2000), np.zeros(2000)
    for _ in range(400):
        g = random.normal(size=2000)
        m, v = m + GAMMA * (g - m), v + GAMMA * (g * g - v)
    assert (m / np.sqrt(v)).std() == pytest.approx(NOISE, rel=0.05)
