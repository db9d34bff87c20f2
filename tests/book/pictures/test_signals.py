"""What chapter 3 says of the four optimizers on the same streams, counted for several seeds."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from bopkit import rules
from bopkit.book import streams
from bopkit.book.pictures import signals
from bopkit.book.streams import tenths

CHAPTER = Path(__file__).resolve().parents[3] / "book" / "intuition" / "bop.ipynb"
SEEDS = (1, 2, 3)
ETAS = next(slider.values for slider in signals.SCENE.sliders if slider.name == "learning_rate")
SGD, _, ADAM = signals.METHODS[1:]


@functools.cache
def run(seed=1, **changed):
    results = signals.compute(**signals.SCENE.start | changed, seed=seed)
    return dict(zip(signals.METHODS, results, strict=True))


def flips(result):
    return tenths(result.flips.sum(), signals.DRAWS)


def wrong(result):
    return tenths(100 * result.wrong.sum(), signals.DRAWS * signals.STEPS)


def says(sentence):
    cells = json.loads(CHAPTER.read_text(encoding="utf8"))["cells"]
    return sentence in " ".join("".join("".join(c["source"]) + "\n" for c in cells).split())


def test_adam_alone_flips_for_a_weak_gradient_at_every_eta():
    found = {eta: run(strength=0.05, noise=0.0, learning_rate=eta) for eta in ETAS}
    for results in found.values():
        assert set(results["Bop"].flips) == {0} and set(results[ADAM].flips) == {3}
    assert set(found[0.1][SGD].flips) == {0} and set(found[0.5][SGD].flips) == {3}
    late = found[0.5][SGD]
    mean, _ = signals.signal(0.05, 0.0)
    turns = np.flatnonzero(np.diff(mean, prepend=-mean[0]))
    flipped = np.flatnonzero(np.diff(late.weights[:, 0], prepend=-1.0))
    assert list(flipped + 1 - turns) == [40, 40, 40]
    assert says(f"it needs 40 steps for each flip and is wrong {wrong(late)} % of the time")
    assert set(run(strength=0.05, noise=0.0, threshold=0.02)["Bop"].flips) == {3}


@pytest.mark.parametrize("seed", SEEDS)
def test_latent_weights_need_the_clipping(seed):
    mean, gradients = signals.signal(0.4, 1.0, seed)
    for rule in (streams.latent_sgd, streams.latent_momentum, streams.latent_adam):
        weights = rule(gradients, learning_rate=1.0).weights
        assert streams.score(weights, mean).wrong.mean() > signals.STEPS / 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_start_at_zero_is_an_advantage_for_bop(seed):
    mean, gradients = signals.signal(0.4, 1.0, seed)
    weights, average, course = -np.ones(signals.DRAWS), np.full(signals.DRAWS, 0.4), []
    for gradient in gradients:
        weights, average, _ = rules.bop_step(weights, average, gradient, gamma=0.05, threshold=0.1)
        course.append(weights)
    settled = streams.score(np.array(course), mean)
    start = run(seed)["Bop"]
    assert settled.wrong.mean() > start.wrong.mean() + 0.02 * signals.STEPS
    if seed == 1:
        told = f"wrong {wrong(settled)} % of the time instead of {wrong(start)} %"
        assert says(f"with $m$ settled at 0.4 it would be {told}")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_threshold_pays_for_a_quicker_average(seed):
    start, quick = run(seed)["Bop"], run(seed, gamma=0.2)["Bop"]
    both = run(seed, gamma=0.2, threshold=0.4)["Bop"]
    assert quick.flips.mean() > 5 * start.flips.mean()
    assert both.flips.mean() < 2 * start.flips.mean() and both.wrong.mean() < start.wrong.mean()
    if seed == 1:
        assert says(f"Bop flips {flips(quick)} times instead of {flips(start)}")
        told = f"flips {flips(both)} times and is wrong {wrong(both)} % of the time instead of"
        assert says(f"{told} {wrong(start)} %")


def test_for_a_clear_signal_latent_sgd_is_faster_than_bop():
    found = run(strength=0.8, noise=0.0, learning_rate=0.5)
    assert found[SGD].wrong.max() < found["Bop"].wrong.min()
    assert all(set(results.flips) == {3} for results in found.values())
