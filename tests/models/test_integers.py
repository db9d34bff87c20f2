"""Convolutions of signs in 8-bit integers: exactly TensorFlow's numbers, in training alone."""

import larq as lq
import numpy as np
import pytest
from graphs import operations
from hypothesis import given, settings
from hypothesis import strategies as st

import bopkit
from bopkit._tensorflow import tf
from bopkit.models import integers, layers

PRODUCT = "QuantizedMatMulWithBiasAndDequantize"
SIGNS = {"input_quantizer": "ste_sign", "use_bias": False}


@pytest.fixture(autouse=True)
def onednn():
    # Not `require`: such a machine lacks nothing.
    if layers.forward_is_fastest() or not layers._on_processors():
        pytest.skip("TensorFlow does not convolve with oneDNN on this machine")
    # Where oneDNN is on, TensorFlow has the operation. If it drops it, this test says so.
    assert integers._works()


def signs(shape, seed):
    return tf.constant(np.random.default_rng(seed).choice([-1, 1], shape), tf.float32)


@settings(deadline=None, max_examples=40)
@given(
    images=st.integers(1, 3),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    channels=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    padding=st.sampled_from(["SAME", "VALID"]),
    sure=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_number_is_tensorflows(images, size, window, channels, padding, sure, seed):
    x, kernel = signs((images, *size, channels[0]), seed), signs((*window, *channels), seed + 1)
    found = integers.conv2d(x, kernel, layers._around(kernel, padding), sure=sure)
    np.testing.assert_array_equal(found, tf.nn.conv2d(x, kernel, 1, padding))


def test_the_longest_sums_are_exact():
    """All products are 1, in the widest layer of the paper's networks and one twice as wide."""
    for inputs in (512, 1024):
        x, kernel = tf.ones((1, 5, 5, inputs)), tf.ones((3, 3, inputs, 128))
        found = integers.conv2d(x, kernel, [(0, 0), (0, 0)], sure=True)
        assert np.unique(found).tolist() == [9 * inputs]


def test_a_kernel_that_is_not_binary_is_convolved_as_it_is():
    x = signs((2, 5, 5, 3), 0)
    kernel = tf.constant(np.random.default_rng(1).normal(size=(3, 3, 3, 4)), tf.float32)
    found = integers.conv2d(x, kernel, [(1, 1), (1, 1)], sure=False)
    np.testing.assert_allclose(found, tf.nn.conv2d(x, kernel, 1, "SAME"), rtol=1e-5)


def make_layer(kernel="bop", channels=128, **options):
    quantizer = lq.quantizers.NoOp(precision=1) if kernel == "bop" else lq.quantizers.SteSign()
    layer = bopkit.QuantConv2D(
        channels, 3, padding="same", kernel_quantizer=quantizer,
        kernel_initializer=bopkit.RandomSign(), **(SIGNS | options)
    )  # fmt: skip
    layer.build((None, 6, 6, 8))
    return layer


@pytest.mark.parametrize("kernel", ["bop", "latent"])
def test_a_layer_trains_in_integers_and_predicts_in_float32(kernel):
    layer, x = make_layer(kernel), tf.random.normal((3, 6, 6, 8))

    def gradients(training):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y**2)
        return y, *tape.gradient(loss, [x, layer.trainable_variables[0]])

    train, predict = (tf.function(lambda how=how: gradients(how)) for how in (True, False))
    assert PRODUCT in operations(train.get_concrete_function().graph)
    assert PRODUCT not in operations(predict.get_concrete_function().graph)
    for ours, theirs in zip(train(), predict(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "options",
    [
        {"input_quantizer": None},
        {"input_quantizer": "ste_tern"},
        {"channels": 16},
        {"strides": 2},
        {"pad_values": 0.5},
        {"policy": "mixed_bfloat16"},
        {"kernel": "bop", "jit_compile": True},
    ],
    ids=str,
)
def test_other_layers_convolve_as_before(options, request):
    options = dict(options)
    compiled = options.pop("jit_compile", False)
    # The policy of all layers: larq's quantizers are layers, too.
    request.addfinalizer(lambda: tf.keras.mixed_precision.set_global_policy("float32"))
    tf.keras.mixed_precision.set_global_policy(options.pop("policy", "float32"))
    layer, x = make_layer(**options), tf.ones((3, 6, 6, 8))

    @tf.function(jit_compile=compiled)
    def forward(x):
        return layer(x, training=True)

    assert PRODUCT not in operations(forward.get_concrete_function(x).graph)
    assert forward(x).shape[0] == 3


def test_keras_trains_the_same_weights_with_and_without(monkeypatch):
    """Through `fit`, where Keras itself says that the network trains."""
    random = np.random.default_rng(0)
    images, labels = random.normal(size=(64, 6, 6, 8)), random.integers(0, 2, 64)

    def train():
        tf.keras.utils.set_random_seed(0)
        layer = make_layer()
        norm, pool = tf.keras.layers.BatchNormalization(), tf.keras.layers.GlobalAvgPool2D()
        model = tf.keras.Sequential([layer, norm, pool, tf.keras.layers.Dense(2)])
        model.compile(
            bopkit.Bop(tf.keras.optimizers.Adam(0.01), gamma=1e-2),
            tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        model.fit(images, labels, batch_size=16, epochs=2, verbose=0)
        return model.get_weights()

    in_integers = train()
    monkeypatch.setattr(integers, "is_faster", lambda *_: False)
    for ours, plain in zip(in_integers, train(), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_a_saved_network_holds_no_products_where_it_predicts(tmp_path):
    """The file is to run on every machine: also on one whose TensorFlow has no such product."""
    model = tf.keras.Sequential([tf.keras.layers.Input((6, 6, 8)), make_layer()])
    model.export(tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    graph = served.graph.as_graph_def()
    found = {
        n.op for part in (graph.node, *(f.node_def for f in graph.library.function)) for n in part
    }
    assert "Conv2D" in found and PRODUCT not in found


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_the_kernels_gradient_in_bfloat16_by_products_is_tensorflows(monkeypatch, padding):
    """Up to half a step of bfloat16, as with every other way to compute it."""
    x, kernel = signs((20, 7, 7, 12), 0), signs((3, 3, 12, 20), 1)
    shape = tf.nn.conv2d(x, kernel, 1, padding).shape
    back = tf.cast(tf.random.stateless_normal(shape, (1, 2)), tf.bfloat16)

    def gradients(fewest, dtype):
        monkeypatch.setattr(layers, "FEWEST_CHANNELS", fewest)
        given = [tf.cast(tensor, dtype) for tensor in (x, kernel)]

        @tf.function
        def compute():
            with tf.GradientTape() as tape:
                tape.watch(given)
                y = layers.conv2d(*given, padding)
            return tape.gradient(y, given, output_gradients=tf.cast(back, dtype))

        found = operations(compute.get_concrete_function().graph)
        return "Conv2DBackpropFilter" in found, compute()

    plain, (wanted, wanted_kernel) = gradients(12, tf.float32)
    products, (found, found_kernel) = gradients(12, tf.bfloat16)
    few, _ = gradients(13, tf.bfloat16)
    assert plain and few and not products
    np.testing.assert_allclose(tf.cast(found, tf.float32), wanted, rtol=2**-8, atol=1e-3)
    np.testing.assert_allclose(
        tf.cast(found_kernel, tf.float32), wanted_kernel, rtol=2**-8, atol=1e-3
    )
