"""Averages of batch normalization that belong to the current weights."""

import functools

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import bopkit
from bopkit import models
from bopkit.errors import ConfigError


def network(momentum=0.99, kind=tf.keras.layers.BatchNormalization):
    layers = tf.keras.layers
    inner = kind(momentum=momentum)
    block = tf.keras.Sequential([layers.Dense(3), inner])  # a network inside the network
    return tf.keras.Sequential([tf.keras.Input((4,)), block, layers.BatchNormalization()])


@pytest.mark.parametrize("kind", ["BatchNormalization", "experimental.SyncBatchNormalization"])
def test_the_averages_are_those_of_the_batches(kind):
    kind = functools.reduce(getattr, kind.split("."), tf.keras.layers)
    model, random = network(kind=kind), np.random.RandomState(0)
    batches = [random.normal(2, 3, (10, 4)).astype("float32") for _ in range(5)]
    weights = [v.numpy() for v in model.trainable_variables]
    assert models.recalibrate(model, iter(batches)) == 5
    dense, norm = model.layers[0].layers
    values = [dense(batch).numpy() for batch in batches]
    np.testing.assert_allclose(norm.moving_mean, np.mean([v.mean(0) for v in values], 0), rtol=1e-5)
    np.testing.assert_allclose(
        norm.moving_variance, np.mean([v.var(0) for v in values], 0), rtol=1e-4
    )
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert norm.momentum == 0.99  # training continues as before


def test_the_averages_of_before_do_not_matter_and_pairs_are_batches_too():
    model, other = network(), network(momentum=0.5)
    other.set_weights([np.full_like(value, 7) for value in model.get_weights()])
    for mine, value in zip(other.trainable_variables, model.trainable_variables, strict=True):
        mine.assign(value)
    images = np.random.RandomState(1).normal(size=(30, 4)).astype("float32")
    pairs = tf.data.Dataset.from_tensor_slices((images, np.zeros(30))).batch(10)
    models.recalibrate(model, [images[:10], images[10:20], images[20:]])
    assert models.recalibrate(other, pairs) == 3
    for mine, value in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, value, rtol=1e-5, atol=1e-6)


def test_frozen_layers_stay_as_they_are():
    model = network()
    model.layers[0].trainable = False
    norm = model.layers[0].layers[1]
    models.recalibrate(model, [np.ones((10, 4), "float32")])
    assert np.all(norm.moving_mean == 0) and norm.momentum == 0.99


def test_a_network_without_batch_normalization_is_refused():
    model = network()
    for layer in (model.layers[0].layers[1], model.layers[1]):
        layer.trainable = False
    for refused in (model, tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3)])):
        with pytest.raises(ConfigError, match="needs a batch normalization that is not frozen"):
            models.recalibrate(refused, [np.ones((10, 4), "float32")])


def test_without_a_batch_it_says_so_and_an_error_changes_nothing():
    model = network()
    models.recalibrate(model, [np.random.RandomState(2).normal(size=(9, 4)).astype("float32")])
    before = model.get_weights()
    with pytest.raises(ConfigError, match="at least one batch of training images; got none"):
        models.recalibrate(model, [])

    def broken():
        yield np.ones((10, 4), "float32")
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        models.recalibrate(model, broken())
    assert model.layers[0].layers[1].momentum == 0.99
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_a_network_whose_weights_still_flip_recognizes_more_images():
    tf.keras.utils.set_random_seed(0)
    digits = bopkit.data.load("digits")
    binary = {
        "kernel_quantizer": lq.quantizers.NoOp(precision=1),
        "kernel_initializer": bopkit.RandomSign(),
        "use_bias": False,
    }
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Flatten(),
            lq.layers.QuantDense(128, **binary),
            layers.BatchNormalization(),
            lq.layers.QuantDense(10, input_quantizer="ste_sign", **binary),
            layers.BatchNormalization(),
            layers.Softmax(),
        ]
    )
    optimizer = bopkit.Bop(tf.keras.optimizers.Adam(0.01), threshold=0.0, gamma=0.05)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    batches = digits.train_batches(32, seed=0, epochs=5)
    model.fit(batches, steps_per_epoch=44, epochs=5, verbose=0)
    held_out = digits.validation_batches(360)
    before = model.evaluate(held_out, verbose=0)[1]
    models.recalibrate(model, digits.train_batches(32, seed=1, epochs=1))
    assert model.evaluate(held_out, verbose=0)[1] > before + 0.1
