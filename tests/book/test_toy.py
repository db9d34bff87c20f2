"""The small network learns, and its gradients are those of the loss."""

import itertools

import numpy as np
import pytest

from bopkit import rules
from bopkit.book import toy, toy_network


def test_learns_the_digits():
    run = toy.train(toy.NumPyBop(1e-4, 0.01))
    assert run.accuracy[-1] > 0.9 > 0.3 > run.accuracy[0] - 0.6
    assert run.flip_ratio[:14].mean() > 3 * run.flip_ratio[-14:].mean() > 0
    assert all(np.abs(w).min() == np.abs(w).max() == 1 for w in run.weights)
    assert run.accuracy.shape == run.train_accuracy.shape == run.loss.shape == (10,)
    assert run.flip_ratio.shape == (140,)


def test_the_same_seed_is_the_same_run():
    first, second = (toy.train(toy.NumPyBop(1e-4, 0.01), epochs=2, seed=3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first.weights, second.weights, strict=True))
    other = toy.train(toy.NumPyBop(1e-4, 0.01), epochs=2, seed=4)
    assert not np.array_equal(first.weights[0], other.weights[0])


def test_the_number_of_cores_changes_nothing(run_python):
    code = """
import zlib
from bopkit.book import toy

run = toy.train(toy.NumPyBop(1e-4, 0.01), epochs=3, hidden=256)
print(zlib.crc32(run.loss.tobytes()), zlib.crc32(run.weights[0].tobytes()))
"""
    found = {run_python(code, env={"OPENBLAS_NUM_THREADS": n}).stdout for n in ("1", "2")}
    assert len(found) == 1 and found.pop().strip()


def test_a_pixel_that_is_blank_in_the_whole_batch_has_no_gradient():
    """Its weights stay: at τ = 0 a rounding error would flip them."""
    images, labels, _, _ = toy.digits()
    blank = np.ptp(images[:100], axis=0) == 0
    gradients = toy.probe(toy.start_weights(), images[:100], labels[:100]).gradients
    assert blank.any() and not gradients[0][blank].any() and gradients[0][~blank].all()


def test_the_order_within_a_batch_decides_no_flip(monkeypatch):
    """So a run without a threshold ends alike on machines that add up in another order."""
    backward = toy_network.backward

    def backwards(images, labels, *args):
        return backward(images[::-1], labels[::-1], *args)

    run = toy.train(toy.NumPyBop(0.0, 0.1), epochs=4)
    monkeypatch.setattr(toy, "backward", backwards)
    other = toy.train(toy.NumPyBop(0.0, 0.1), epochs=4)
    assert np.array_equal(run.flip_ratio, other.flip_ratio) and run.flip_ratio.all()


def test_flips_counted_are_flips_made():
    seen = [toy.start_weights()]
    run = toy.train(
        toy.NumPyBop(0.0, 0.1), epochs=1, watch=lambda _, w: seen.append([a.copy() for a in w])
    )
    made = [
        sum(np.count_nonzero(a != b) for a, b in zip(*pair, strict=True)) / 4736
        for pair in itertools.pairwise(seen)
    ]
    assert np.allclose(run.flip_ratio, made)


def test_the_last_layers_gradient_is_the_slope_of_the_loss():
    images, labels, _, _ = toy.digits()
    images, labels = images[:100].astype(np.float64), labels[:100]
    weights = [w.astype(np.float64) for w in toy.start_weights(16)]

    def loss():
        return toy_network.backward(images, labels, weights, fresh())[1]

    def fresh():
        return [np.zeros((2, n)) for n in (16, 10)]

    gradient = toy_network.backward(images, labels, weights, fresh())[0][1]
    for place in [(0, 0), (5, 3), (15, 9)]:
        before = weights[1][place]
        weights[1][place] = before + 1e-5
        above = loss()
        weights[1][place] = before - 1e-5
        below = loss()
        weights[1][place] = before
        assert gradient[place] == pytest.approx((above - below) / 2e-5, rel=1e-3, abs=1e-8)


def test_scaling_latent_weights_and_learning_rate_together_changes_no_weight():
    def trajectory(factor):
        seen = []
        toy.train(
            toy.LatentSGD(0.3 * factor, 1.0 * factor),
            epochs=3,
            watch=lambda _, weights: seen.append(np.concatenate([w.ravel() for w in weights])),
        )
        return np.array(seen)

    assert np.array_equal(trajectory(1), trajectory(1024))


def test_gamma_may_be_given_for_each_epoch():
    falling = toy.train(toy.NumPyBop(0.0, [0.1, 0.01, 0.001]), epochs=3)
    assert (
        falling.flip_ratio[-14:].mean()
        < toy.train(toy.NumPyBop(0.0, 0.1), epochs=3).flip_ratio[-14:].mean()
    )


def test_a_wrong_gamma_is_refused_by_the_rule():
    with pytest.raises(ValueError, match="adaptivity rate"):
        toy.train(toy.NumPyBop(1e-4, 2.0))


def test_labels_and_images_are_split_once():
    images, labels, held_out, held_out_labels = toy.digits()
    assert images.shape == (1437, 64) and held_out.shape == (360, 64)
    assert images.min() == -1 and images.max() == 1
    assert len(np.unique(labels)) == len(np.unique(held_out_labels)) == 10
    assert rules.sign(images).dtype == np.float32


def test_a_probe_measures_what_training_sees_and_changes_nothing():
    images, labels, _, _ = toy.digits()
    weights = toy.start_weights(16)
    before = [w.copy() for w in weights]
    probe = toy.probe(weights, images[:100], labels[:100])
    running = [np.zeros((2, n), np.float32) for n in (16, 10)]
    gradients, loss, *_ = toy_network.backward(images[:100], labels[:100], weights, running)
    assert probe.loss == pytest.approx(loss, rel=1e-4)
    assert all(
        np.allclose(a, b, atol=1e-4) for a, b in zip(probe.gradients, gradients, strict=True)
    )
    assert all(np.array_equal(a, b) for a, b in zip(weights, before, strict=True))


def test_a_probe_shifts_what_stands_before_the_sign():
    images, labels, _, _ = toy.digits()
    weights, shift = toy.start_weights(16), np.zeros(16)
    shift[3] = 0.5
    here = toy.probe(weights, images[:100], labels[:100])
    there = toy.probe(weights, images[:100], labels[:100], shift=shift, clip=0.1)
    assert np.allclose(there.inputs - here.inputs, shift)
    # far from zero no gradient goes through
    far = toy.probe(weights, images[:100], labels[:100], shift=50.0)
    assert here.shift_gradient.all() and not far.shift_gradient.any()
