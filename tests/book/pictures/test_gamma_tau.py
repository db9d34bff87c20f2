"""The picture of γ and τ: its map is what training gives, and what the chapter says of it is so."""

import numpy as np
import pytest

from bopkit.book import remember, toy
from bopkit.book.pictures import gamma_tau
from bopkit.book.pictures.gamma_tau import (
    CONSTANT,
    EPOCHS,
    FALLING,
    GAMMAS,
    SCENE,
    THRESHOLDS,
)

STAYS, FALLS = (gamma_tau.table(schedule) for schedule in (CONSTANT, FALLING))  # by τ, then γ


LIMITS = {schedule: gamma_tau.limits(schedule) for schedule in (CONSTANT, FALLING)}


def test_no_setting_of_the_page_is_trained_and_every_part_of_the_picture_says_the_same(monkeypatch):
    monkeypatch.setattr(toy, "train", None)
    for values in SCENE.grid():
        final = gamma_tau.course(**values).final
        place = THRESHOLDS.index(values["threshold"]), GAMMAS.index(values["gamma"])
        assert final == {CONSTANT: STAYS, FALLING: FALLS}[values["schedule"]][place]
    figure = gamma_tau.draw(0.03, 0.0, CONSTANT)
    text = f"{gamma_tau.course(0.03, 0.0, CONSTANT).final:.0f}"
    assert f" {text} % of the held-out digits" in figure.description
    assert text in {label.get_text() for label in figure.axes[2].texts}


def test_the_stored_courses_are_what_training_gives():
    for values in ((0.003, 3e-5, CONSTANT), (0.1, 1e-3, FALLING), (0.03, 0.0, CONSTANT)):
        stored, trained = gamma_tau.course(*values), gamma_tau.train(*values)
        assert trained.final == pytest.approx(stored.final, abs=1), "run tools/gamma_tau_map.py"
        assert trained.flips == pytest.approx(stored.flips, rel=0.05, abs=1)


@pytest.mark.slow
def test_the_map_is_what_training_gives():
    for schedule, table in ((CONSTANT, STAYS), (FALLING, FALLS)):
        found = [[gamma_tau.train(g, t, schedule).final for g in GAMMAS] for t in THRESHOLDS]
        assert np.abs(found - table).max() < 2, "run tools/gamma_tau_map.py"


def test_a_slider_trains_one_setting_and_no_more(monkeypatch):
    monkeypatch.delenv(remember.FOLDER, raising=False)
    trained, train = [], toy.train
    monkeypatch.setattr(
        toy, "train", lambda *args, **kw: trained.append(args) or train(*args, **kw)
    )
    gamma_tau._trained.cache_clear()
    gamma_tau.draw(0.02, 2e-4, CONSTANT)  # between two values of the sliders
    assert len(trained) == gamma_tau.SEEDS


def test_a_gamma_of_one_without_a_threshold_is_no_better_than_chance():
    assert gamma_tau.course(1.0, 0.0, CONSTANT).final < 15


def test_a_threshold_beyond_all_averages_flips_nothing():
    run = gamma_tau.run(0.001, 0.01, CONSTANT)
    assert not run.flip_ratio.any() and run.accuracy[-1] < 0.15


@pytest.mark.parametrize("schedule", [CONSTANT, FALLING])
def test_nothing_flips_exactly_where_no_average_can_exceed_the_threshold(schedule):
    for gamma, largest in zip(GAMMAS, LIMITS[schedule].frozen, strict=True):
        for threshold in THRESHOLDS:
            flips = gamma_tau.course(gamma, threshold, schedule).flips
            assert (flips.sum() == 0) == (threshold >= largest)


def test_the_best_threshold_for_a_large_gamma_is_about_the_noise():
    """And far below the noise, no setting is good."""
    noise = LIMITS[CONSTANT].noise
    best = np.array(THRESHOLDS)[STAYS.argmax(axis=0)]
    assert GAMMAS[-1] == 1 and round(noise[-1], 3) == 0.006  # s
    large = np.array(GAMMAS) >= 0.03
    assert (best / noise)[large].min() > 0.4 and (best / noise)[large].max() < 2.5
    far_below = np.array(THRESHOLDS)[:, None] < noise / 3
    assert STAYS[:, -3:][far_below[:, -3:]].max() < 90 < STAYS[:, -3:-2].max()


def noise_left(gamma):
    """In m, on a network whose weights do not move: root mean square over the weights."""
    seen = []

    class Still(toy.NumPyBop):
        def step(self, layer, weights, gradient, epoch):
            super().step(layer, weights, gradient, epoch)
            seen.append(self.momentum[layer].copy())
            return weights

    toy.train(Still(1e9, gamma), epochs=EPOCHS, seed=0)
    late = [np.array(seen[layer::2][112:]) for layer in (0, 1)]
    return np.sqrt(np.concatenate([m.var(axis=0).ravel() for m in late]).mean())


def test_the_noise_is_what_the_averages_have_and_for_a_small_gamma_more():
    """The batches of an epoch share no image, so what one lacks another has."""
    expected = dict(zip(GAMMAS, LIMITS[CONSTANT].noise, strict=True))
    assert noise_left(1.0) == pytest.approx(expected[1.0], rel=0.05)
    assert noise_left(0.3) == pytest.approx(expected[0.3], rel=0.2)
    for gamma in (0.1, 0.03):
        assert noise_left(gamma) < 0.75 * expected[gamma]


def test_a_height_in_the_plane_is_on_the_side_of_its_row():
    middles = np.arange(1, len(THRESHOLDS)) + 0.5
    assert gamma_tau.heights(np.array(THRESHOLDS[1:])) == middles.tolist()
    assert gamma_tau.heights(np.array([2e-3, 1e-9, 1.0]))[1:] == [None, None]
    assert 4.5 < gamma_tau.heights(np.array([2e-3]))[0] < 5.5


def test_the_band_runs_diagonally():
    best = STAYS.argmax(axis=0)
    assert list(best) == sorted(best) and best[-1] > best[0] + 3
    assert ((STAYS > 90).sum(axis=0) >= 1)[:6].all()


def test_a_falling_gamma_widens_the_band_where_gamma_is_large_and_only_there():
    large = np.array(GAMMAS) >= 0.03
    assert (FALLS > 90)[:, large].sum() > 2 * (STAYS > 90)[:, large].sum()
    assert (FALLS > 90)[:4, large].all()  # a field: up to τ = 0.0003
    small = FALLS[1:5, :3] - STAYS[1:5, :3]  # a threshold, and γ up to 0.003
    assert small.max() < 0


def test_without_a_threshold_a_falling_gamma_may_begin_almost_anywhere():
    assert FALLS[0].min() > 90 and FALLS[0, :-1].min() > 94
    assert STAYS[0, 3:].max() < 91 and STAYS[0, -1] < 10
