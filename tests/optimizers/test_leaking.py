"""Leaking latent weights: Keras' SGD with weight decay, and Bop at τ = 0, flip for flip."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from larq.quantized_variable import QuantizedVariable

import bopkit
from bopkit import rules
from bopkit.models import binarynet
from bopkit.optimizers import LeakingSGD


def latent_variable(values):
    variable = tf.Variable(values, dtype=tf.float32)
    return QuantizedVariable.from_variable(variable, precision=1)


def gradients(seed, steps=40, shape=(30,)):
    random = np.random.default_rng(seed)
    trend = random.normal(size=shape)
    return [(trend + 2 * random.normal(size=shape)).astype(np.float32) for _ in range(steps)]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), gamma=st.floats(1e-3, 1.0))
def test_its_signs_are_the_weights_of_bop_at_threshold_zero(seed, gamma):
    start = np.where(np.random.default_rng(seed).normal(size=30) >= 0, 1.0, -1.0)
    latent = latent_variable(1e-20 * start)
    optimizer = LeakingSGD("adam", gamma=gamma)
    weights, momentum = start, np.zeros(30)
    for gradient in gradients(seed):
        optimizer.apply_gradients([(tf.constant(gradient), latent)])
        weights, momentum, _ = rules.bop_step(
            weights, momentum, gradient.astype(float), threshold=0.0, gamma=float(np.float32(gamma))
        )
        # -m, as far as float32 goes; where it is 0 but for rounding, no sign is compared
        np.testing.assert_allclose(latent.numpy(), -momentum, atol=1e-5)
        clear = np.abs(momentum) > 1e-5
        np.testing.assert_array_equal(rules.sign(latent.numpy())[clear], weights[clear])


@pytest.mark.parametrize("gamma", [0.01, 0.3])
def test_it_is_sgd_with_weight_decay_one(gamma):
    ours, theirs = latent_variable(np.linspace(-1, 1, 30)), tf.Variable(np.linspace(-1, 1, 30))
    leaking = LeakingSGD("adam", gamma=gamma)
    sgd = tf.keras.optimizers.SGD(gamma, weight_decay=1.0)
    for gradient in gradients(0):
        leaking.apply_gradients([(tf.constant(gradient), ours)])
        sgd.apply_gradients([(tf.constant(gradient, tf.float64), theirs)])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)


def test_it_applies_a_constraint_as_sgd_does():
    clip = lq.constraints.WeightClip(0.5)
    variables = [
        tf.Variable(np.linspace(-1, 1, 30), dtype=tf.float32, constraint=clip) for _ in range(2)
    ]
    latent = QuantizedVariable.from_variable(variables[0], precision=1)
    leaking = LeakingSGD("adam", gamma=0.1)
    sgd = tf.keras.optimizers.SGD(0.1, weight_decay=1.0)
    for gradient in gradients(0, steps=5):
        leaking.apply_gradients([(tf.constant(gradient), latent)])
        sgd.apply_gradients([(tf.constant(gradient), variables[1])])
        np.testing.assert_allclose(latent.numpy(), variables[1].numpy(), atol=1e-6)
    assert np.abs(latent.numpy()).max() == 0.5


def test_the_network_starts_as_bops_does_and_has_no_window():
    networks = []
    for method in ("bop", "leaking"):
        tf.keras.utils.set_random_seed(0)
        networks.append(binarynet((16, 16, 1), 10, method=method, filters=4, dense_units=8))
    images = np.random.default_rng(0).normal(size=(3, 16, 16, 1)).astype(np.float32)
    np.testing.assert_array_equal(*(n.predict(images, verbose=0) for n in networks))
    latent = networks[1].layers[0].kernel
    assert float(tf.reduce_max(tf.abs(latent.latent_variable))) < 1e-19
    far = tf.Variable(100.0 * tf.ones(3))
    with tf.GradientTape() as tape:
        signs = networks[1].layers[0].kernel_quantizer(far)
    np.testing.assert_array_equal(tape.gradient(signs, far), 1)


def test_a_run_learns_and_says_what_it_did(tmp_path):
    hparams = {"epochs": 4, "filters": 8, "dense_units": 32, "gamma": 0.03}
    record = bopkit.train(
        "binarynet/leaking", output_dir=tmp_path, hparams=hparams, progress=False, tensorboard=False
    )
    assert record["config"]["method"] == "leaking" and record["config"]["threshold"] is None
    rows = record["epochs"]
    assert rows[-1]["gamma"] < rows[0]["gamma"] and rows[0]["flip_ratio"] > 0
    assert rows[-1]["accuracy"] > rows[0]["accuracy"]
