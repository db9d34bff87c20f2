"""bopkit's convolution against TensorFlow's own: outputs, both gradients, files."""

from unittest import mock

import larq as lq
import numpy as np
import pytest
from graphs import operations
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import bopkit
from bopkit._tensorflow import tf
from bopkit.models import layers

BINARY = {"kernel_quantizer": lq.quantizers.NoOp(precision=1), "use_bias": False}


@pytest.fixture(params=[True, False], ids=["forward", "TensorFlow's"])
def forward(request, monkeypatch):
    """Both ways, whatever this machine would choose."""
    monkeypatch.setattr(layers, "forward_is_fastest", lambda: request.param)
    return request.param


def both_ways(convolve, x, kernel, back):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolve(x, kernel)
    return y, *tape.gradient(y, [x, kernel], output_gradients=back)


@settings(deadline=None, max_examples=40)
@given(
    images=st.integers(1, 4),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    window=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    padding=st.sampled_from(["SAME", "VALID"]),
    strides=st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2)]),
    seed=st.integers(0, 99),
)
@example(
    images=3, size=(9, 8), window=(3, 3), channels=(4, 5), padding="SAME", strides=(1, 1), seed=0
)
@example(
    images=3, size=(30, 29), window=(3, 3), channels=(2, 3), padding="VALID", strides=(1, 1), seed=0
)
@example(
    images=2, size=(6, 6), window=(6, 6), channels=(2, 3), padding="VALID", strides=(1, 1), seed=0
)
@example(
    images=2, size=(5, 7), window=(4, 2), channels=(2, 3), padding="SAME", strides=(1, 1), seed=0
)
def test_outputs_and_gradients_are_tensorflows(
    images, size, window, channels, padding, strides, seed
):
    # There TensorFlow's own convolution returns memory that it never wrote.
    assume(strides[0] == strides[1] or channels[0] > 1)
    if padding == "VALID":
        window = tuple(min(pair) for pair in zip(window, size, strict=True))
    random = np.random.default_rng(seed)
    x = tf.constant(random.normal(size=(images, *size, channels[0])), tf.float32)
    kernel = tf.constant(random.choice([-1, 1], (*window, *channels)), tf.float32)
    theirs = tf.nn.conv2d(x, kernel, strides, padding)
    back = tf.constant(random.normal(size=theirs.shape), tf.float32)
    expected = both_ways(lambda x, k: tf.nn.conv2d(x, k, strides, padding), x, kernel, back)
    with mock.patch.object(layers, "forward_is_fastest", return_value=True):  # on any machine
        found = both_ways(lambda x, k: layers.conv2d(x, k, padding, strides), x, kernel, back)
    for ours, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)], ids=str)
@pytest.mark.parametrize(("size", "window"), [(9, 3), (9, 5), (4, 3)])
def test_bfloat16_is_rounded_once(size, window, strides):
    """Sums are kept in float32: no gradient is further off than half a step of bfloat16."""
    random = np.random.default_rng(0)
    x = tf.constant(random.choice([-1.0, 1.0], (40, size, size, 30)), tf.float32)
    kernel = tf.constant(random.choice([-1.0, 1.0], (window, window, 30, 20)), tf.float32)
    back = tf.random.stateless_normal(tf.nn.conv2d(x, kernel, strides, "SAME").shape, (1, 2))
    back = tf.cast(tf.cast(back, tf.bfloat16), tf.float32)

    def gradients(dtype):
        with mock.patch.object(layers, "forward_is_fastest", return_value=dtype == tf.bfloat16):
            given = [tf.cast(tensor, dtype) for tensor in (x, kernel, back)]
            found = both_ways(lambda x, k: layers.conv2d(x, k, "SAME", strides), *given)
        return [tf.cast(gradient, tf.float32).numpy() for gradient in found[1:]]

    for half, full in zip(gradients(tf.bfloat16), gradients(tf.float32), strict=True):
        np.testing.assert_allclose(half, full, rtol=2**-8, atol=1e-4)


@pytest.mark.parametrize(
    "how",
    [
        {"padding": "same"},
        {"padding": "valid"},
        {"padding": "same", "pad_values": 1.0},
        {"padding": "same", "strides": 2},
        {"padding": "same", "dilation_rate": 2},
        {"padding": "same", "groups": 2},
    ],
    ids=str,
)
def test_a_layer_trains_as_larqs_does(how, forward):
    """In a graph of unknown batch size, as Keras' fit makes it."""
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(5, 9, 9, 4)), tf.float32)
    found, kernel = [], None
    for kind in (bopkit.QuantConv2D, lq.layers.QuantConv2D):
        layer = kind(6, 3, input_quantizer="ste_sign", **how, **BINARY)
        layer.build(x.shape)
        kernel = layer.get_weights() if kernel is None else kernel
        layer.set_weights(kernel)

        @tf.function(input_signature=[tf.TensorSpec((None, 9, 9, 4))])
        def step(x, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
                loss = tf.reduce_sum(y**2)
            return y, *tape.gradient(loss, [x, layer.trainable_variables[0]])

        found.append(step(x))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_images_of_unknown_size_keep_tensorflows_gradient_where_it_could_be_less_work(forward):
    layer = bopkit.QuantConv2D(2, 3, padding="valid", **BINARY)
    layer.build((None, None, None, 1))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1))])
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, x)

    assert gradient(tf.ones((2, 8, 7, 1))).shape == (2, 8, 7, 1)


def test_gradients_are_forward_convolutions_where_these_are_fastest(forward):
    layer = bopkit.QuantConv2D(2, 3, padding="same", **BINARY)
    layer.build((4, 8, 8, 1))
    x = tf.ones((4, 8, 8, 1))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, [x, layer.trainable_variables[0]])

    found = operations(gradients.get_concrete_function().graph)
    backward = {"Conv2DBackpropInput", "Conv2DBackpropFilter"} & set(found)
    assert found.count("Conv2D") == (3 if forward else 1)
    assert len(backward) == (0 if forward else 2)


def test_saved_and_loaded_it_is_the_same_layer(tmp_path):
    layer = bopkit.QuantConv2D(3, 3, padding="same", pad_values=1.0, **BINARY)
    model = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 2)), layer])
    layer.set_weights([np.where(layer.get_weights()[0] < 0, -1, 1)])
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype(np.float32)
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    assert type(again.layers[0]) is bopkit.QuantConv2D
    np.testing.assert_array_equal(again(images), model(images))


def test_tensorflow_still_says_whether_onednn_is_on(run_python):
    """The function is not public: without it the gradients would quietly be the slow ones."""
    code = "from bopkit.models import layers; print(layers.forward_is_fastest())"
    for setting in ("0", "1"):
        shown = run_python(
            code, env={"TF_ENABLE_ONEDNN_OPTS": setting, "CUDA_VISIBLE_DEVICES": "-1"}
        )
        assert shown.stdout.split()[-1] == str(setting == "0"), shown.stderr
