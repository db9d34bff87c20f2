"""What chapter 3 says beside the derivation of Bop, counted, and on several streams."""

import json
from pathlib import Path

import numpy as np
import pytest

from bopkit import rules
from bopkit.book import streams
from bopkit.book.pictures import derivation

CHAPTER = Path(__file__).resolve().parents[3] / "book" / "intuition" / "bop.ipynb"
SEEDS = range(1, 21)


def says(sentence):
    cells = json.loads(CHAPTER.read_text(encoding="utf8"))["cells"]
    return sentence in " ".join("".join("".join(c["source"]) + "\n" for c in cells).split())


def percent(stage):
    return streams.tenths(100 * stage.wrong, derivation.STEPS)


def test_the_chapter_quotes_the_first_stream():
    whole, leaking, _, bop = derivation.compute(0.05, 0.1, 0.1)
    share = f"wrong {percent(leaking)} % of the time instead of {percent(whole)} %"
    assert says(share)
    assert says(f"follows the noise and flips {derivation.compute(0.4, 0.1, 0.1)[1].flips} times")
    assert bop.flips == 2 and says(f"The weight flips twice instead of {leaking.flips} times")
    assert says(f"wrong {percent(bop)} % of the time instead of {percent(leaking)} %")
    assert derivation.compute(0.05, 0.1, 0.5)[3].flips == 0


def test_the_leak_forgets_and_the_threshold_calms_on_every_stream():
    flips, wrong = np.empty((3, len(SEEDS))), np.empty((2, len(SEEDS)))
    for i, seed in enumerate(SEEDS):
        whole, leaking, _, bop = derivation.compute(0.05, 0.1, 0.1, seed)
        follower = derivation.compute(0.4, 0.1, 0.1, seed)[1]
        flips[:, i] = follower.flips, leaking.flips, bop.flips
        wrong[:, i] = whole.wrong, leaking.wrong
    assert (wrong[1] < wrong[0] / 2).all()
    assert (flips[0] > flips[1]).all() and (flips[1] >= flips[2]).all()
    assert np.median(flips[2]) == 2


@pytest.mark.parametrize("learning_rate", [0.01, 0.3, 1.0])
def test_other_units_change_no_weight_and_the_learning_rate_cancels(learning_rate):
    for seed in SEEDS:
        _, leaking, average, _ = derivation.compute(0.05, learning_rate, 0.1, seed)
        assert np.array_equal(leaking.weights, average.weights)
        assert np.allclose(-0.05 / learning_rate * leaking.real, average.real)


def test_the_last_step_is_bop():
    gradients = streams.turning_mean(0.4, 300) + streams.normals((300,), 1)
    weight, average = np.ones(1), np.zeros(1)
    for gradient, expected in zip(
        gradients, derivation.compute(0.05, 0.1, 0.1)[3].weights, strict=True
    ):
        weight, average, _ = rules.bop_step(
            weight, average, gradient[None], gamma=0.05, threshold=0.1
        )
        assert weight[0] == expected
