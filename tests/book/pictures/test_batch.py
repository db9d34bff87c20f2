"""What the picture of the batch size claims: noise falls, the mean stays, γ goes with the batch."""

import numpy as np
import pytest

from bopkit.book import toy
from bopkit.book.pictures import batch


def test_noise_falls_with_the_root_and_the_mean_stays():
    noise, signal = np.array([batch.split(size) for size in (100, 700)]).T
    assert noise[0] / noise[1] == pytest.approx(np.sqrt(7), rel=0.15)
    assert signal[0] == pytest.approx(signal[1], rel=0.1)


def test_a_right_weight_is_pulled_the_right_way_and_noise_carries_it_across():
    pull, average = batch.pulls(100, 0.1)
    assert pull.shape == average.shape == (batch.DRAWS, pull.shape[1])
    assert pull.mean(axis=0)[0] < 0  # the typical one, which is drawn
    assert np.mean(pull.mean(axis=0) < 0) > 0.9
    across = {
        (size, gamma, threshold): np.mean(batch.pulls(size, gamma)[1] > threshold)
        for size in (10, 100)
        for gamma in (0.03, 0.3)
        for threshold in (1e-4, 1e-3)
    }
    for setting, share in across.items():
        for place, less in enumerate((100, 0.03, 1e-3)):
            other = (*setting[:place], less, *setting[place + 1 :])
            assert across[other] <= share


def test_gamma_in_proportion_keeps_the_flips_of_an_epoch():
    flips = [batch.flips_per_epoch(batch.run(size, 3e-4 * size, 3e-4)) for size in (50, 200)]
    assert max(flips) < 2 * min(flips)
    fixed = [batch.flips_per_epoch(batch.run(size, 0.03, 3e-4)) for size in (50, 200)]
    assert fixed[0] > 4 * fixed[1]


def test_an_epoch_has_fewer_steps_with_larger_batches():
    for size, steps in ((100, 14), (700, 2), (1437, 1)):
        run = toy.train(toy.NumPyBop(), epochs=2, batch_size=size)
        assert len(run.flip_ratio) == 2 * steps


def test_the_number_of_cores_changes_nothing(run_python):
    code = "from bopkit.book import pictures; s = pictures.get('batch'); "
    code += "print(s.draw(**s.start).description)"
    found = {run_python(code, env={"OPENBLAS_NUM_THREADS": n}).stdout for n in ("1", "2")}
    assert len(found) == 1 and "right weights" in found.pop()
