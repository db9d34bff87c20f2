"""The staircase is the loss, exactly, and the reports are what the picture says they are."""

import numpy as np
import pytest

from bopkit.book.pictures import staircase
from bopkit.book.pictures.staircase import INPUT, WEIGHT, Staircase


@pytest.mark.parametrize("behind", [WEIGHT, INPUT])
def test_the_staircase_is_the_loss_everywhere(behind):
    stairs = staircase.staircase(behind)
    for x in np.random.RandomState(0).uniform(-2.5, 2.5, size=20):
        assert stairs(x) == pytest.approx(staircase._probe(behind, x).loss, abs=1e-12)
    assert len(stairs.steps) == (1 if behind == WEIGHT else 100)


def test_a_weight_outside_the_window_hears_nothing():
    assert staircase.reported(WEIGHT, 1.2, 1.0) == 0 != staircase.reported(WEIGHT, 0.8, 1.0)
    # on each side the report is the gradient there, wherever one stands
    assert staircase.reported(WEIGHT, -0.1, 1.0) == staircase.reported(WEIGHT, -0.9, 2.0)


def test_the_report_for_an_input_is_about_the_mean_slope_times_the_window():
    stairs, places = staircase.staircase(INPUT), np.linspace(-2, 2, 41)
    for clip in (0.5, 1.0, 2.0):
        reports = [staircase.reported(INPUT, x, clip) for x in places]
        assert np.corrcoef(reports, stairs.mean_slope(places, clip))[0, 1] > 0.9


def test_mean_slope_counts_steps_at_both_ends():
    stairs = Staircase(np.array([0.0]), np.array([1.0, 3.0]))
    assert stairs.mean_slope(1.0, 1.0) == stairs.mean_slope(-1.0, 1.0) == 1.0
    assert stairs.mean_slope(1.1, 1.0) == 0.0


def test_says_that_the_true_slope_is_zero_and_how_many_steps_are_near():
    assert "no step. The surrogate slope is 0" in staircase.draw(WEIGHT, -2.0, 1.0).description
    assert "has 1 step." in staircase.draw(WEIGHT, -0.4, 1.0).description
    assert "Shift −0.4: the true slope is 0" in staircase.draw(INPUT, -0.4, 1.0).description
