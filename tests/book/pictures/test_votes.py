"""Votes in the picture: Bop on signs, deaf to one huge gradient, and blind to size."""

import itertools

import numpy as np
import pytest

from bopkit import rules
from bopkit.book.pictures import votes
from bopkit.book.pictures.votes import SCENE, START, THRESHOLD, courses, signal

PUSHES, SIZES, RARITIES, GAMMAS = (slider.values for slider in SCENE.sliders)


@pytest.mark.parametrize(("name", "seen"), [("Bop", np.array), ("Votes", np.sign)])
def test_both_are_the_packages_rule(name, seen):
    gradients, _ = signal(0.4, 30.0, 50)
    weight, momentum = np.array([START]), np.zeros(1)
    course = courses(0.4, 30.0, 50, 0.05)[name]
    for step, gradient in enumerate(seen(gradients)):
        weight, momentum, flips = rules.bop_step(
            weight, momentum, gradient[None], threshold=THRESHOLD, gamma=0.05
        )
        assert course.weights[step] == weight[0] and course.signal[step] == momentum[0]
        assert flips[0] == (step in course.flips)


def test_an_outlier_flips_bop_and_never_moves_votes():
    _, outliers = signal(**{k: v for k, v in SCENE.start.items() if k != "gamma"})
    bop, voted = courses(**SCENE.start).values()
    steps = np.flatnonzero(outliers)
    assert len(steps) >= 2 and set(steps) <= set(bop.flips)
    assert len(voted.flips) == 1 and voted.flips[0] < steps[0]
    assert voted.wrong < bop.wrong


def test_one_vote_moves_the_signal_by_two_gamma_at_most():
    for values in SCENE.grid():
        voted = courses(**values)["Votes"].signal
        assert np.abs(voted).max() <= 1
        assert np.abs(np.diff(voted, prepend=0)).max() <= 2 * values["gamma"] + 1e-12


def test_votes_does_not_see_how_large_an_outlier_is():
    for push, every, gamma in itertools.product(PUSHES, RARITIES, GAMMAS):
        first, *others = (courses(push, size, every, gamma)["Votes"] for size in SIZES)
        for other in others:
            np.testing.assert_array_equal(first.signal, other.signal)
            np.testing.assert_array_equal(first.weights, other.weights)


def test_votes_sides_with_the_many_where_the_few_weigh_more():
    gradients, _ = signal(0.4, 100.0, 50)
    bop, voted = courses(0.4, 100.0, 50, 0.05).values()
    assert gradients.mean() < 0  # the few weigh more: +1 is the better weight
    assert voted.weights[-1] == -1 and voted.wrong > 0.9
    assert bop.wrong < 0.3


def test_the_description_says_which_weight_is_better():
    told = votes.draw(0.4, 100.0, 50, 0.05).description
    assert "once in 50 steps a gradient of −100: the mean of the 300 gradients is −1" in told
    assert "+1 the better weight" in told and "Votes makes 1 flip" in told
