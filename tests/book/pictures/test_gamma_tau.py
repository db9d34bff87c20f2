"""The picture of γ and τ: its map is what training gives, and what Play says of it is so."""

import numpy as np
import pytest

from bopkit.book import remember, toy
from bopkit.book.pictures import gamma_tau
from bopkit.book.pictures.gamma_tau import CONSTANT, FALLING, GAMMAS, THRESHOLDS
from bopkit.book.pictures.gamma_tau_map import FINAL

STAYS, FALLS = np.array(FINAL[CONSTANT]), np.array(FINAL[FALLING])  # by τ, then γ


def test_the_map_has_a_cell_for_each_run():
    assert set(FINAL) == {CONSTANT, FALLING}
    assert STAYS.shape == FALLS.shape == (len(THRESHOLDS), len(GAMMAS))


def test_the_map_gives_some_cells_of_each_course():
    for gamma, threshold, schedule in ((0.003, 3e-5, CONSTANT), (0.1, 1e-3, FALLING)):
        cell = FINAL[schedule][THRESHOLDS.index(threshold)][GAMMAS.index(gamma)]
        found = gamma_tau.final_accuracy(gamma, threshold, schedule)
        assert found == pytest.approx(cell, abs=2)


@pytest.mark.slow
def test_the_map_is_what_training_gives():
    """At τ = 0 a rounding decides whether a weight flips, so that processors differ by points."""
    for schedule, table in ((CONSTANT, STAYS), (FALLING, FALLS)):
        found = np.array(
            [[gamma_tau.final_accuracy(g, t, schedule) for g in GAMMAS] for t in THRESHOLDS]
        )
        off = np.abs(found - table)
        why = "run tools/gamma_tau_map.py"
        assert off.mean() < 1 and off[0].max() < 12 and off[1:].max() < 5, why


def test_a_slider_trains_one_run_and_no_more(monkeypatch):
    monkeypatch.delenv(remember.FOLDER, raising=False)
    trained, train = [], toy.train
    monkeypatch.setattr(
        toy, "train", lambda *args, **kw: trained.append(args) or train(*args, **kw)
    )
    gamma_tau._trained.cache_clear()
    gamma_tau.draw(0.02, 2e-4, CONSTANT)  # between two values, as with a kernel
    assert len(trained) == 1


def test_a_gamma_of_one_without_a_threshold_is_no_better_than_chance():
    assert gamma_tau.final_accuracy(1.0, 0.0, CONSTANT) < 15


def test_a_threshold_beyond_all_averages_flips_nothing():
    run = gamma_tau.run(0.001, 0.01, CONSTANT)
    assert not run.flip_ratio.any() and run.accuracy[-1] < 0.15


def test_the_band_runs_diagonally():
    best = STAYS.argmax(axis=0)
    assert list(best) == sorted(best) and best[-1] > best[0] + 3
    assert ((STAYS > 90).sum(axis=0) >= 1)[:6].all()


def test_a_falling_gamma_widens_the_band_where_gamma_is_large_and_only_there():
    large = np.array(GAMMAS) >= 0.03
    assert (FALLS > 90)[:, large].sum() > 2 * (STAYS > 90)[:, large].sum()
    # a field: up to τ = 0.0003; at τ = 0 one run hangs on rounding, and the chapter asks three
    assert (FALLS > 90)[1:4, large].all() and FALLS[0, large].mean() > 90
    small = FALLS[1:5, :3] - STAYS[1:5, :3]  # a threshold, and γ up to 0.003
    assert small.mean() < -5 and (small < 0).mean() > 0.9
