"""Adam with a learning rate per layer, the paper's baseline for latent weights."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from larq.quantized_variable import QuantizedVariable

from bopkit import experiments, models
from bopkit.optimizers import GlorotAdam
from bopkit.optimizers.glorot import glorot_scale
from bopkit.training import build


def latent(values, **options):
    return QuantizedVariable.from_variable(tf.Variable(values, **options), precision=1)


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(0, 99))
def test_a_latent_weight_takes_adams_step_times_its_layers_factor(shape, seed):
    """Adam's step is proportional to its learning rate, so the factor may stand there."""
    draw = np.random.RandomState(seed)
    start = draw.uniform(-1, 1, shape).astype(np.float32)
    scaled, plain = latent(start), tf.Variable(start)
    optimizer = GlorotAdam(0.01)
    adam = tf.keras.optimizers.Adam(0.01 * glorot_scale(tuple(shape)))
    for _ in range(3):
        gradient = tf.constant(draw.normal(size=shape).astype(np.float32))
        optimizer.apply_gradients([(gradient, scaled)])
        adam.apply_gradients([(gradient, plain)])
    assert scaled.numpy() == pytest.approx(plain.numpy(), abs=1e-5)


def test_the_factor_undoes_glorots_first_weights():
    """Glorot's uniform weights have the limit √(6 / (n_in + n_out)): times the factor, it is 2."""
    for shape in ((7, 5), (3, 3, 16, 32)):
        weights = tf.keras.initializers.GlorotUniform(seed=1)(shape)
        assert float(tf.reduce_max(tf.abs(weights))) * glorot_scale(shape) == pytest.approx(2, 0.1)


def test_other_variables_and_constraints_are_adams():
    plain, twin = tf.Variable(tf.ones((2, 2))), tf.Variable(tf.ones((2, 2)))
    clipped = latent(tf.ones((2, 2)), constraint=lambda w: tf.clip_by_value(w, -1.0, 1.0))
    gradient = tf.constant([[1.0, -1.0], [2.0, -2.0]])
    optimizer, adam = GlorotAdam(0.1), tf.keras.optimizers.Adam(0.1)
    optimizer.apply_gradients([(gradient, plain), (gradient, clipped)])
    adam.apply_gradients([(gradient, twin)])
    assert np.array_equal(plain, twin)
    assert np.max(np.abs(clipped)) == 1


def test_the_baseline_of_section_52_is_the_papers(tmp_path):
    """500 epochs, batches of 50, Adam at 1e-3, divided by ten after each 100 epochs."""
    experiment = experiments.get("binarynet/latent_sec52")
    assert (experiment.epochs, experiment.batch_size, experiment.method) == (500, 50, "latent")
    optimizer = build.build_optimizer(experiment, 50_000)
    assert isinstance(optimizer, GlorotAdam)
    rate = optimizer._learning_rate
    for epoch, wanted in ((0, 1e-3), (99.9, 1e-3), (100.1, 1e-4), (499, 1e-7)):
        assert float(rate(epoch * 1000)) == pytest.approx(wanted)
    model = models.binarynet((32, 32, 3), 10, method="latent", filters=8, dense_units=8)
    model.compile(optimizer, "categorical_crossentropy")
    model.fit(np.zeros((4, 32, 32, 3)), np.eye(10)[:4], verbose=0)
    model.save(path := tmp_path / "model.keras")
    assert isinstance(tf.keras.models.load_model(path).optimizer, GlorotAdam)
