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
    STEPS,
    THRESHOLDS,
)
from bopkit.book.pictures.gamma_tau_limits import noise_left
from bopkit.book.toy_network import backward

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


@toy.on_one_core
def noise_of(gammas, orders=8):
    """In m late in a run, on weights that do not move: root mean square over weights and steps.

    Each order of the images gives other averages, whose spread is the noise. In units of s.
    """
    images, labels, *_ = toy.digits()
    weights, seen, gradients = toy.start_weights(), [], []
    rates = np.tile(gammas[:, None], (EPOCHS * STEPS, 1, 1))
    for order in range(orders):
        random, average, late = np.random.RandomState(order), 0.0, []
        running = [np.zeros((2, n), np.float32) for n in (64, 10)]
        for step, rate in enumerate(rates):
            if step % STEPS == 0:
                images_left = random.permutation(len(images))
            batch, images_left = np.split(images_left, [100])
            pair, *_ = backward(images[batch], labels[batch], weights, running)
            gradient = np.concatenate([g.ravel() for g in pair])
            gradients.append(gradient)
            average = average + rate * (gradient - average)
            late += [average] if step >= len(rates) - STEPS else []
        seen.append(late)
    noise = np.sqrt(np.var(seen, axis=0, ddof=1).mean(axis=(0, 2)))
    return noise / np.sqrt(np.var(gradients[: EPOCHS * STEPS], axis=0).mean())


def test_for_a_small_gamma_the_noise_is_below_that_of_independent_batches():
    """The batches of an epoch share no image, so what one lacks another has."""
    gammas = np.array(GAMMAS)
    noise = noise_of(gammas)
    share = noise / noise_left(np.full((EPOCHS * STEPS, 8), gammas))
    assert share[:5].min() > 0.4 and share[:5].max() < 0.6  # up to 0.03
    assert share[5] < 0.8 < share[6] < share[7] < 1.05


def test_the_noise_of_independent_batches_takes_a_few_times_one_over_gamma_steps_to_build_up():
    gammas = np.array(GAMMAS)
    steady = np.sqrt(gammas / (2 - gammas))
    filled = noise_left(np.full((EPOCHS * STEPS, 8), gammas)) / steady
    assert filled[:3].round(2).tolist() == [0.31, 0.53, 0.8] and filled[3:].min() > 0.98
    s = LIMITS[CONSTANT].noise[-1]
    assert LIMITS[CONSTANT].noise == pytest.approx(s * steady * filled)


def test_the_line_of_a_falling_gamma_holds_the_noise_that_m_has_not_forgotten():
    random, m = np.random.RandomState(0), np.zeros((len(GAMMAS), 2000))
    for fall in np.repeat(0.01 ** (np.arange(EPOCHS) / (EPOCHS - 1)), STEPS):
        m += fall * np.array(GAMMAS)[:, None] * (random.normal(size=2000) - m)
    s = LIMITS[CONSTANT].noise[-1]
    assert m.std(axis=1) == pytest.approx(LIMITS[FALLING].noise / s, rel=0.05)


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
