"""Weights and gradients of every precision: the rule is the same, and its averages lose nothing."""

import numpy as np
import pytest

import bopkit
from bopkit import rules

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq

RATES = {"threshold": 1e-4, "gamma": 1e-4}  # so small that float16 would keep nothing of γ·g
KINDS = [("float64", "float64"), ("float32", "float32"), ("float16", "float32"),
         ("bfloat16", "float32")]  # fmt: skip


def bop(**options):
    return bopkit.Bop("adam", **RATES | options)


def bop2ndorder(**options):
    return bopkit.Bop2ndOrder("adam", **RATES | options, sigma=1e-2, bias_correction=True)


def expected(name, weights, gradients):
    """The weights by the NumPy rule, in float64, and the average m."""
    m = v = np.zeros(weights.shape)
    shares = (0.0, 0.0)
    for g in gradients:
        if name == "bop":
            weights, m, _ = rules.bop_step(weights, m, g, **RATES)
        else:
            weights, m, v, _, shares = rules.bop2ndorder_step(
                weights, m, v, g, **RATES, sigma=1e-2, shares=shares
            )
    return weights, m


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("make", [bop, bop2ndorder])
@pytest.mark.parametrize(("kind", "kept"), KINDS)
def test_the_rule_is_the_same_in_every_precision(make, kind, kept, jit_compile):
    random = np.random.default_rng(0)
    signs = np.where(random.normal(size=(30, 7)) > 0, 1.0, -1.0)
    # Gradients that every precision holds exactly: they round once, here.
    trend = random.normal(size=(30, 7))
    gradients = [tf.cast(trend + random.normal(size=(30, 7)), kind) for _ in range(10)]
    variable = lq.quantized_variable.QuantizedVariable.from_variable(
        tf.Variable(signs, dtype=kind), precision=1
    )
    optimizer = make(jit_compile=jit_compile)
    for gradient in gradients:
        optimizer.apply_gradients([(gradient, variable)])
    weights, m = expected(make.__name__, signs, [tf.cast(g, tf.float64).numpy() for g in gradients])
    (averages,) = optimizer.read_averages().values()
    assert {average.dtype.name for average in averages.values()} == {kept}
    np.testing.assert_allclose(averages["m"], m, rtol=1e-3, atol=1e-9)
    agree = tf.cast(variable, tf.float64).numpy() == weights
    assert agree.mean() > 0.99 and 0 < (weights != signs).mean() < 1
    assert sum(optimizer.largest_signals().values()) > 0


@pytest.fixture(params=["float64", "float16", "mixed_float16", "floatx float64"])
def precision(request):
    """A policy of Keras', or its default type, for the length of a test."""
    policy, floatx = tf.keras.mixed_precision.global_policy(), tf.keras.backend.floatx()
    if request.param.startswith("floatx"):
        tf.keras.backend.set_floatx(request.param.split()[1])
    else:
        tf.keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    tf.keras.backend.set_floatx(floatx)
    tf.keras.mixed_precision.set_global_policy(policy)


@pytest.mark.parametrize("make", [bop, bop2ndorder])
def test_a_network_of_each_precision_trains_and_is_saved(make, precision, tmp_path):
    options = {
        "kernel_quantizer": lq.quantizers.NoOp(precision=1),
        "kernel_initializer": bopkit.RandomSign(0),
        "use_bias": False,
    }
    model = tf.keras.Sequential(
        [
            tf.keras.Input((6, 6, 1)),
            bopkit.QuantConv2D(4, 3, **options),
            tf.keras.layers.Flatten(),
            lq.layers.QuantDense(8, **options),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Dense(3),
        ]
    )
    random = np.random.default_rng(0)
    images, labels = random.normal(size=(32, 6, 6, 1)), random.integers(0, 3, 32)
    model.compile(make(gamma=0.1), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [w for w in model.get_weights() if w.ndim > 1]
    model.fit(images, labels, epochs=2, batch_size=8, verbose=0)
    after = [w for w in model.get_weights() if w.ndim > 1]
    for old, new in zip(before[:2], after[:2], strict=True):
        assert set(np.unique(new)) == {-1, 1} and (old != new).any()
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    for one in (model, again):
        one.fit(images, labels, epochs=1, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
