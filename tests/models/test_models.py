"""The networks against the released code's sizes, and the binary weights they start from."""

import numpy as np
import pytest
import tensorflow as tf

from bopkit import models
from bopkit.errors import ConfigError

# Parameters and binary parameters of the released code at the paper's sizes
PAPER = {
    "binarynet": ((32, 32, 3), 10, 10_363_550, 10_352_000),
    "binary_alexnet": ((224, 224, 3), 1000, 61_869_664, 61_827_776),
    "xnornet": ((224, 224, 3), 1000, 62_406_432, 58_236_928),
    "birealnet": ((224, 224, 3), 1000, 11_699_112, 10_985_472),
}


@pytest.mark.parametrize("method", models.METHODS)
@pytest.mark.parametrize("network", PAPER)
def test_parameters_equal_the_released_code(network, method):
    shape, classes, parameters, binary = PAPER[network]
    model = models.NETWORKS[network](shape, classes, method=method)
    assert models.count_weights(model) == (parameters, binary)
    assert model.output_shape == (None, classes)


@pytest.mark.parametrize("network", PAPER)
def test_smallest_input_works_and_a_smaller_one_is_refused_in_one_line(network):
    size = models.MINIMUM_SIZE[network]
    model = models.NETWORKS[network]((size, size, 3), 5)
    for variable in model.trainable_variables:
        if getattr(variable, "precision", None) == 1:
            assert set(np.unique(variable.numpy())) == {-1.0, 1.0}, variable.name
    probabilities = model(tf.zeros((2, size, size, 3)))
    np.testing.assert_allclose(tf.reduce_sum(probabilities, axis=1), 1.0, rtol=1e-5)
    with pytest.raises(ValueError, match=f"{network} needs images .* at least {size} by {size}"):
        models.NETWORKS[network]((size - 1, size, 3), 5)


def test_sizes_of_binarynet():
    model = models.binarynet((28, 28, 1), 10, filters=8, dense_units=16)
    kernels = [v.shape.as_list() for v in model.trainable_variables if "kernel" in v.name]
    convolutions = [[3, 3, 1, 8], [3, 3, 8, 8], [3, 3, 8, 16], [3, 3, 16, 16], [3, 3, 16, 32]]
    assert kernels == [*convolutions, [3, 3, 32, 32], [288, 16], [16, 16], [16, 10]]


def test_numpys_whole_numbers_are_whole_numbers(tmp_path):
    three, ten, sixteen = np.array([3, 10, 16])
    model = models.binarynet((sixteen, 16, three), ten, filters=three, dense_units=sixteen)
    assert model.input_shape == (None, 16, 16, 3) and model.output_shape == (None, 10)
    model.save(tmp_path / "model.keras")
    for wrong in (10.0, True, "10", np.float64(10), np.True_):
        with pytest.raises(ConfigError, match="num_classes must be a whole number of at least 2"):
            models.binarynet((16, 16, 3), wrong)


def test_latent_kernels_are_clipped_and_used_by_their_sign():
    model = models.binarynet((16, 16, 1), 10, method="latent", filters=8, dense_units=16)
    layer = model.layers[0]
    assert len(np.unique(layer.kernel.latent_variable.numpy())) > 2
    assert layer.kernel_constraint(tf.constant([3.0, -2.0, 0.5])).numpy().tolist() == [1, -1, 0.5]
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 1)).astype(np.float32)
    before = layer(images)
    layer.kernel.latent_variable.assign(0.25 * layer.kernel.latent_variable)
    np.testing.assert_array_equal(before, layer(images))


def test_unknown_method():
    with pytest.raises(ValueError, match="unknown method 'bob': did you mean bop"):
        models.binarynet((32, 32, 3), 10, method="bob")


def test_build_network_refuses_in_one_line():
    for network, sizes, message in (
        ("binarnet", {}, "unknown network 'binarnet': did you mean binarynet"),
        ("xnornet", {"filters": 8}, "xnornet has one size; only binarynet takes filters"),
    ):
        with pytest.raises(ConfigError, match=message):
            models.build_network(network, (224, 224, 3), 10, **sizes)


def test_frozen_weights_count():
    model = models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
    before = models.count_weights(model)
    model.trainable = False
    assert models.count_weights(model) == before and before[1] > 0


def test_only_first_and_last_kernels_of_xnornet_are_regularized():
    model = models.xnornet((217, 217, 3), 5)
    kernels = [layer.kernel for layer in (model.layers[0], model.layers[-2])]
    expected = 5e-7 * sum(float(tf.reduce_sum(k**2)) for k in kernels)
    assert float(tf.add_n(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert len(model.losses) == 2
