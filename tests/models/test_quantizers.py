"""bopkit's quantizers against larq's: every number the same, at every edge."""

import larq as lq
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bopkit._tensorflow import tf
from bopkit.models import quantizers

SETTINGS = {
    "SteSign": {},
    "SteSign, clipped at 0.3": {"clip_value": 0.3},
    "SteSign, not clipped": {"clip_value": None},
    "ApproxSign": {},
}
EDGES = [0.0, -0.0, 1.0, -1.0, 0.3, -0.3, 1e-45, -1e-45, 1e38, -1e38, np.inf, -np.inf]


def made(module, name, **more):
    return getattr(module, name.partition(",")[0])(**SETTINGS[name], **more)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SETTINGS)
@settings(deadline=None, max_examples=20)
@given(
    more=st.lists(st.floats(width=32, allow_nan=False), min_size=4, max_size=4),
    back=st.floats(-10, 10, width=32),
)
def test_forward_and_backward_are_larqs_bit_by_bit(name, dtype, compiled, more, back):
    x = tf.cast(tf.constant([*EDGES, *more], tf.float32), dtype)
    found = []
    for module in (quantizers, lq.quantizers):
        quantizer = made(module, name, dtype=dtype)

        def both_ways(x, dy, quantizer=quantizer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = quantizer(x)
            return y, tape.gradient(y, x, output_gradients=dy)

        if compiled:  # as a part of a graph, bopkit's are
            both_ways = tf.function(both_ways)
        y, gradient = both_ways(x, tf.fill(x.shape, tf.cast(back, dtype)))
        found.append([tf.cast(t, tf.float32).numpy() for t in (y, gradient)])
        assert y.dtype == gradient.dtype == x.dtype
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", SETTINGS)
def test_nan_becomes_minus_one_where_larq_passes_it_on(name):
    x = tf.constant([np.nan])
    signs, gradients = [], []
    for module in (quantizers, lq.quantizers):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = made(module, name)(x)
        signs.append(y.numpy())
        gradients.append(tape.gradient(y, x).numpy())
    np.testing.assert_array_equal(signs, [[-1], [np.nan]])
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("name", SETTINGS)
def test_saved_and_loaded_they_are_the_same(name, tmp_path):
    """And larq's summary knows them for binary."""
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((4,)),
            lq.layers.QuantDense(
                3, input_quantizer=made(quantizers, name), kernel_quantizer="ste_sign"
            ),
        ]
    )
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    before, after = model.layers[0].input_quantizer, again.layers[0].input_quantizer
    assert type(after) is type(before)
    assert after.get_config() == before.get_config() and after.precision == 1
