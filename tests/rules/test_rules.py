"""The rules against hand-computed cases and the properties that must hold for any input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bopkit import rules

SHAPES = hnp.array_shapes(max_dims=3, max_side=5)
FLOATS = st.floats(-10, 10, width=32)


@st.composite
def bop_inputs(draw):
    shape = draw(SHAPES)
    weights = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([-1.0, 1.0])))
    momentum, gradient = (draw(hnp.arrays(np.float32, shape, elements=FLOATS)) for _ in range(2))
    gamma = draw(st.floats(1e-6, 1.0))
    threshold = draw(st.one_of(st.just(0.0), st.floats(1e-10, 5.0)))
    return weights, momentum, gradient, threshold, gamma


def test_bop_step_by_hand():
    # m = 0.9 m + 0.1 g = [0.3, 0.3, -0.4, 0.0]; w m = [0.3, -0.3, 0.4, 0.0]; flips above 0.35
    weights = np.array([1.0, -1.0, -1.0, 1.0])
    momentum = np.array([0.2, 0.2, -0.3, 0.0])
    gradient = np.array([1.2, 1.2, -1.3, 0.0])
    new = rules.bop_step(weights, momentum, gradient, threshold=0.35, gamma=0.1)
    np.testing.assert_allclose(new.momentum, [0.3, 0.3, -0.4, 0.0], atol=1e-15)
    np.testing.assert_array_equal(new.weights, [1.0, -1.0, 1.0, 1.0])
    np.testing.assert_array_equal(new.flips, [False, False, True, False])


def test_momentum_outlives_the_flip():
    """The flipped weight agrees with its average now, so that it stays until that turns."""
    state = np.ones(1), np.zeros(1)
    flips = []
    for gradient in [1.0, 1.0, 1.0, -1.0, -1.0, -1.0]:
        weights, momentum, flipped = rules.bop_step(
            *state, np.array([gradient]), threshold=0.1, gamma=0.25
        )
        state = weights, momentum
        flips.append(bool(flipped[0]))
    # m: 0.25, 0.4375, 0.578, 0.184, -0.112, -0.334
    assert flips == [True, False, False, False, True, False]


def test_exact_equality_does_not_flip():
    """Strictly greater, as in Algorithm 2; at τ = 0 a weight without any gradient stays."""
    new = rules.bop_step(np.ones(2), np.zeros(2), np.array([0.5, 0.0]), threshold=0.5, gamma=1.0)
    assert not new.flips.any()
    new = rules.bop_step(np.array([1.0, -1.0]), np.zeros(2), np.zeros(2), threshold=0.0, gamma=0.5)
    assert not new.flips.any()


@given(bop_inputs())
def test_bop_step_invariants(inputs):
    weights, momentum, gradient, threshold, gamma = inputs
    before = [a.copy() for a in (weights, momentum, gradient)]
    new = rules.bop_step(weights, momentum, gradient, threshold=threshold, gamma=gamma)
    assert np.all(np.abs(new.weights) == 1)
    np.testing.assert_array_equal(new.weights != weights, new.flips)
    # m is an average: it stays between what it was and what it saw
    low, high = np.minimum(momentum, gradient), np.maximum(momentum, gradient)
    slack = 1e-5 * (np.abs(momentum) + np.abs(gradient))
    assert np.all(new.momentum >= low - slack) and np.all(new.momentum <= high + slack)
    # a flip is always against the averaged gradient, so that the loss falls to first order
    assert np.all(np.sign(new.momentum[new.flips]) == weights[new.flips])
    assert np.all(np.abs(new.momentum[new.flips]) > threshold)
    for old, kept in zip(before, (weights, momentum, gradient), strict=True):
        np.testing.assert_array_equal(old, kept)


@given(bop_inputs(), st.floats(1e-3, 1e3))
def test_scale_of_the_gradient_is_the_scale_of_the_threshold(inputs, scale):
    """Bop's only unit: gradients and τ times anything change nothing."""
    weights, momentum, gradient, threshold, gamma = inputs
    momentum, gradient = momentum.astype(float), gradient.astype(float)
    one = rules.bop_step(weights, momentum, gradient, threshold=threshold, gamma=gamma)
    scaled = rules.bop_step(
        weights, scale * momentum, scale * gradient, threshold=scale * threshold, gamma=gamma
    )
    clear = np.abs(weights * one.momentum - threshold) > 1e-9
    np.testing.assert_array_equal(one.flips[clear], scaled.flips[clear])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": 0.0}, "gamma, the adaptivity rate, must be a number in"),
        ({"gamma": 1.1}, "gamma, the adaptivity rate, must be a number in"),
        ({"gamma": float("nan")}, "gamma, the adaptivity rate, must be a number in"),
        ({"threshold": -1e-9}, "threshold must be a finite number of at least 0"),
        ({"threshold": float("inf")}, "threshold must be a finite number of at least 0"),
        ({"threshold": "1e-8"}, "threshold must be a finite number of at least 0"),
        ({"weights": np.array([0.5, 1.0])}, "weights must all be -1 or"),
        ({"weights": np.array([np.nan, 1.0])}, "weights must all be -1 or"),
        ({"gradient": np.array([np.nan, 1.0])}, "gradient holds NaN or infinity"),
        ({"gradient": np.zeros(3)}, "must have one shape"),
        ({"weights": np.ones(2, bool)}, "weights must hold real numbers, .*; got an array of bool"),
        ({"weights": np.array([1j, 1])}, "weights must hold real numbers"),
        ({"gradient": np.array([None, 1.0])}, "gradient must hold real numbers, .* of object"),
    ],
)
def test_bop_step_refuses(change, message):
    inputs = {"weights": np.ones(2), "momentum": np.zeros(2), "gradient": np.zeros(2)}
    inputs |= {"threshold": 1e-8, "gamma": 1e-4} | change
    with pytest.raises(ValueError, match=message):
        rules.bop_step(
            inputs.pop("weights"), inputs.pop("momentum"), inputs.pop("gradient"), **inputs
        )


def test_bop2ndorder_by_hand():
    # m = 0.9 m + 0.1 g = [0.3, 0.3, -0.4]; v = 0.75 v + 0.25 g² = [0.36, 3.96, 0.4225];
    # w m / √v = 0.3 / 0.6 = 0.5; -0.3 / ... < 0; 0.4 / 0.65 = 0.615; flips above 0.5
    weights = np.array([1.0, -1.0, -1.0, 1.0])
    momentum, square = np.array([0.2, 0.2, -0.3, 0.0]), np.array([0.0, 4.8, 0.0, 0.0])
    gradient = np.array([1.2, 1.2, -1.3, 0.0])
    rates = {"gamma": 0.1, "sigma": 0.25}
    new = rules.bop2ndorder_step(weights, momentum, square, gradient, threshold=0.5001, **rates)
    np.testing.assert_allclose(new.momentum, [0.3, 0.3, -0.4, 0.0], atol=1e-15)
    np.testing.assert_allclose(new.square, [0.36, 3.96, 0.4225, 0.0], atol=1e-15)
    np.testing.assert_array_equal(new.flips, [False, False, True, False])
    np.testing.assert_array_equal(new.weights, [1.0, -1.0, 1.0, 1.0])
    lower = rules.bop2ndorder_step(weights, momentum, square, gradient, threshold=0.4999, **rates)
    np.testing.assert_array_equal(lower.flips, [True, False, True, False])
    # Step 2, corrected: m / 0.19, v / 0.4375; √v is divided by 0.6614, so that w m / √v grows 3.48
    new = rules.bop2ndorder_step(
        weights, momentum, square, gradient, threshold=1.7, shares=(0.1, 0.25), **rates
    )
    np.testing.assert_array_equal(new.flips, [True, False, True, False])
    new = rules.bop2ndorder_step(
        weights, momentum, square, gradient, threshold=1.75, shares=(0.1, 0.25), **rates
    )
    np.testing.assert_array_equal(new.flips, [False, False, True, False])
    np.testing.assert_allclose(new.momentum, [0.3, 0.3, -0.4, 0.0], atol=1e-15)  # as without
    np.testing.assert_allclose(new.shares, [0.19, 0.4375], atol=1e-15)
    assert lower.shares is None


RATE = st.sampled_from([1.0, 0.5, 1e-3, 1e-8, 1e-12])


@given(st.lists(st.tuples(RATE, RATE), min_size=1, max_size=9))
def test_a_corrected_average_of_one_gradient_is_that_gradient(rates):
    """However small the rates, and however they change: every signal is a sign."""
    gradient = np.array([1e-6, -3.0, 250.0])
    weights = np.sign(gradient)
    m = v = np.zeros(3)
    shares = (0.0, 0.0)
    for gamma, sigma in rates:
        for threshold, flips in ((0.99, True), (1.01, False)):
            new = rules.bop2ndorder_step(
                weights, m, v, gradient, threshold=threshold, gamma=gamma, sigma=sigma,
                shares=shares,
            )  # fmt: skip
            assert np.all(new.flips == flips)
        m, v, shares = new.momentum, new.square, new.shares


def test_the_correction_for_constant_rates_is_the_papers():
    shares = (0.0, 0.0)
    for step in range(1, 50):
        *_, shares = rules.bop2ndorder_step(
            *np.ones((4, 1)), threshold=0.1, gamma=0.1, sigma=1e-7, shares=shares
        )
        np.testing.assert_allclose(shares, [1 - 0.9**step, -np.expm1(step * np.log1p(-1e-7))])


@given(bop_inputs(), st.floats(1e-3, 1e3), st.sampled_from([1.0, 0.1, 1e-4]))
def test_the_second_moment_takes_the_unit_from_the_threshold(inputs, scale, sigma):
    """Gradients times anything change no flip, with τ as it was: Bop's unit is gone."""
    weights, momentum, gradient, threshold, gamma = inputs
    momentum, gradient = momentum.astype(float), gradient.astype(float)
    square = momentum**2 + 0.5
    rates = {"threshold": threshold, "gamma": gamma, "sigma": sigma}
    one = rules.bop2ndorder_step(weights, momentum, square, gradient, **rates)
    scaled = rules.bop2ndorder_step(
        weights, scale * momentum, scale**2 * square, scale * gradient, **rates
    )
    signal = weights * one.momentum / (np.sqrt(one.square) + 1e-10)
    clear = np.abs(signal - threshold) > 1e-6 * (1 + np.abs(signal))
    clear &= one.square * min(1, scale**2) > 1e-12  # or 1e-10 weighs
    np.testing.assert_array_equal(one.flips[clear], scaled.flips[clear])
    assert np.all(np.abs(one.weights) == 1)
    np.testing.assert_array_equal(one.weights != weights, one.flips)
    assert np.all(one.square >= 0)
    assert np.all(np.sign(one.momentum[one.flips]) == weights[one.flips])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": 0.0}, "sigma, the rate of the second moment, must be a number in"),
        ({"gamma": 2.0}, "gamma, the adaptivity rate, must be a number in"),
        ({"shares": (0.0, 1.5)}, r"shares must be two numbers in \[0, 1\], .*; got \(0.0, 1.5\)"),
        ({"shares": (0.5,)}, r"shares must be two numbers in \[0, 1\]"),
        ({"square": np.zeros(3)}, "weights, gradient, momentum, square must have one shape"),
        ({"square": np.array([np.inf, 0.0])}, "square holds NaN or infinity"),
        ({"square": np.array([-1e-9, 0.0])}, "square .* must be at least 0; .* got -1e-09"),
    ],
)
def test_bop2ndorder_step_refuses(change, message):
    names = ("weights", "momentum", "square", "gradient")
    inputs = dict(zip(names, (np.ones(2), *np.zeros((3, 2))), strict=True))
    inputs |= {"threshold": 1e-8, "gamma": 1e-4, "sigma": 1e-2} | change
    arrays = [inputs.pop(name) for name in names]
    with pytest.raises(ValueError, match=message):
        rules.bop2ndorder_step(*arrays, **inputs)


@given(
    hnp.arrays(np.float64, (4, 6), elements=st.floats(-1, 1)),
    st.floats(1e-3, 1e3),
    st.floats(1e-3, 10),
)
def test_scaling_latent_weights_and_rate_changes_no_binary_weight(gradients, scale, rate):
    """The paper's argument that the magnitude of a latent weight is inertia, nothing more."""
    start = np.linspace(-1.05, 0.95, 6)
    latent, scaled = start, scale * start
    for gradient in gradients:
        latent = rules.latent_sgd_step(latent, gradient, learning_rate=rate)
        scaled = rules.latent_sgd_step(scaled, gradient, learning_rate=scale * rate)
        clear = np.abs(latent) > 1e-9
        np.testing.assert_array_equal(rules.sign(latent)[clear], rules.sign(scaled)[clear])


def test_latent_steps_by_hand():
    latent = np.array([0.5, -0.95])
    gradient = np.array([1.0, 1.0])
    np.testing.assert_allclose(
        rules.latent_sgd_step(latent, gradient, learning_rate=0.1, clip=1.0), [0.4, -1.0]
    )
    stepped, velocity = rules.latent_momentum_step(
        latent, np.zeros(2), gradient, learning_rate=0.1, momentum=0.9
    )
    np.testing.assert_allclose(velocity, [0.1, 0.1])
    np.testing.assert_allclose(stepped, [0.49, -0.96])


def moments(shape=(2,)):
    return rules.AdamMoments(np.zeros(shape), np.zeros(shape), 0)


# Each rule for latent weights with one name for all its arguments.
LATENT_STEPS = {
    "sgd": rules.latent_sgd_step,
    "momentum": lambda latent, gradient, velocity, **rates: rules.latent_momentum_step(
        latent, velocity, gradient, **rates
    ),
    "adam": lambda latent, gradient, moments, **rates: rules.latent_adam_step(
        latent, moments, gradient, **rates
    ),
}
KEPT = {"sgd": {}, "momentum": {"velocity": np.zeros(2)}, "adam": {"moments": moments()}}
IN_RANGE = {"latent": np.zeros(2), "gradient": np.ones(2), "learning_rate": 0.1}
ABOVE_ZERO = "must be a positive number that float32 can hold"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0}, f"learning_rate {ABOVE_ZERO}; got 0"),
        ({"learning_rate": -0.1}, f"learning_rate {ABOVE_ZERO}"),
        ({"learning_rate": float("nan")}, f"learning_rate {ABOVE_ZERO}"),
        ({"learning_rate": float("inf")}, f"learning_rate {ABOVE_ZERO}"),
        ({"learning_rate": "0.1"}, f"learning_rate {ABOVE_ZERO}; got '0.1'"),
        ({"learning_rate": np.ones(2)}, f"learning_rate {ABOVE_ZERO}"),
        ({"clip": 0.0}, f"clip {ABOVE_ZERO}"),
        ({"clip": -1}, f"clip {ABOVE_ZERO}"),
        ({"clip": float("nan")}, f"clip {ABOVE_ZERO}"),
        ({"gradient": np.zeros(3)}, r"must have one shape; got latent \(2,\), .*gradient \(3,\)"),
        ({"gradient": 1.0}, r"must have one shape; got latent \(2,\), .*gradient \(\)"),
        ({"gradient": np.array([np.nan, 1.0])}, "gradient holds NaN or infinity"),
        ({"latent": np.array([np.inf, 1.0])}, "latent holds NaN or infinity"),
    ],
)
@pytest.mark.parametrize("rule", LATENT_STEPS)
def test_a_step_of_latent_weights_refuses(rule, change, message):
    with pytest.raises(ValueError, match=message):
        LATENT_STEPS[rule](**IN_RANGE | KEPT[rule] | change)


@pytest.mark.parametrize(
    ("rule", "change", "message"),
    [
        ("momentum", {"momentum": 1.0}, r"momentum must be a number in \[0, 1\), .*; got 1.0"),
        ("momentum", {"momentum": -0.1}, r"momentum must be a number in \[0, 1\)"),
        ("momentum", {"velocity": np.zeros(3)}, r"one shape; got .*velocity \(3,\)"),
        ("momentum", {"velocity": np.full(2, np.nan)}, "velocity holds NaN or infinity"),
        ("adam", {"beta_1": 1.0}, r"beta_1 must be a number in \[0, 1\)"),
        ("adam", {"beta_2": 1.0}, r"beta_2 must be a number in \[0, 1\)"),
        ("adam", {"beta_2": float("nan")}, r"beta_2 must be a number in \[0, 1\)"),
        ("adam", {"epsilon": 0.0}, f"epsilon {ABOVE_ZERO}"),
        ("adam", {"moments": rules.AdamMoments(np.zeros(2), -np.ones(2), 1)}, "square .* at least"),
        ("adam", {"moments": moments((3,))}, r"one shape; got .*mean \(3,\), square \(3,\)"),
    ],
)
def test_momentum_and_adam_refuse(rule, change, message):
    with pytest.raises(ValueError, match=message):
        LATENT_STEPS[rule](**IN_RANGE | KEPT[rule] | change)


@pytest.mark.parametrize(
    ("kind", "large"),
    [("int8", 120), ("uint8", 250), ("int64", 2**31), ("float16", 300), ("float32", 300.5)],
)
def test_small_types_are_computed_in_larger_ones(kind, large):
    """Nothing wraps and nothing overflows: the result is that of float64."""
    weights, gradient = np.array([1, 1], kind), np.array([100, large], kind)
    latent, zeros = np.array([3, 4], kind), np.zeros(2, kind)
    rates = {"threshold": 1e-8, "gamma": 0.5}

    def steps(convert):
        w, g, x, zero = (convert(array) for array in (weights, gradient, latent, zeros))
        adam, moments = rules.latent_adam_step(x, None, g, learning_rate=0.5)
        return [
            *rules.bop_step(w, zero, g, **rates),
            *rules.bop2ndorder_step(w, zero, zero, g, **rates, sigma=0.5)[:4],
            rules.latent_sgd_step(x, g, learning_rate=0.5, clip=9),
            *rules.latent_momentum_step(x, zero, g, learning_rate=0.5),
            adam,
            moments.square,
            rules.ste_sign_gradient(x, g, clip=3.5),
        ]

    found = steps(lambda array: array)
    for each, expected in zip(found, steps(lambda array: array.astype(float)), strict=True):
        assert each.dtype in (bool, np.result_type(kind, np.float32))
        np.testing.assert_allclose(each, expected, rtol=1e-6)
    assert found[0].tolist() == [-1, -1]


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan"), None])
def test_the_estimators_window_has_a_width(clip):
    with pytest.raises(ValueError, match=f"clip {ABOVE_ZERO}"):
        rules.ste_sign_gradient(np.zeros(2), np.ones(2), clip=clip)
    everything = rules.ste_sign_gradient(np.array([-1e30]), np.ones(1), clip=np.inf)
    np.testing.assert_array_equal(everything, [1.0])
    with pytest.raises(ValueError, match="values, gradient must have one shape"):
        rules.ste_sign_gradient(np.zeros(2), 1.0)


@st.composite
def latent_inputs(draw):
    shape = draw(SHAPES)
    latent, gradient, average = (
        draw(hnp.arrays(np.float32, shape, elements=FLOATS)) for _ in range(3)
    )
    rates = {"learning_rate": draw(st.floats(1e-6, 10.0))}
    rates["clip"] = draw(st.one_of(st.none(), st.floats(1e-3, 10.0)))
    decay = st.floats(0.0, 1.0, exclude_max=True)
    betas = {"beta_1": draw(decay), "beta_2": draw(st.floats(0.0, 0.999))}
    return latent, gradient, average, rates, draw(decay), betas


@given(latent_inputs())
def test_invariants_of_latent_weights(inputs):
    latent, gradient, average, rates, decay, betas = inputs
    before = [a.copy() for a in (latent, gradient, average)]
    by_sgd = rules.latent_sgd_step(latent, gradient, **rates)
    by_momentum, velocity = rules.latent_momentum_step(
        latent, average, gradient, momentum=decay, **rates
    )
    kept = rules.AdamMoments(average, average**2, 3)
    by_adam, after = rules.latent_adam_step(latent, kept, gradient, **rates, **betas)
    assert after.step == 4 and np.all(after.square >= 0)
    for new in (by_sgd, by_momentum, by_adam, velocity, after.mean, after.square):
        assert new.shape == latent.shape and np.isfinite(new).all()
    if rates["clip"] is not None:
        largest = np.float32(rates["clip"])
        assert all(np.abs(new).max() <= largest for new in (by_sgd, by_momentum, by_adam))
    else:  # a weight moves against its gradient, or stays
        assert np.all(np.sign(latent - by_sgd) * np.sign(gradient) >= 0)
    # An average stays between what it was and what it saw.
    low, high = np.minimum(average, gradient), np.maximum(average, gradient)
    slack = 1e-5 * (np.abs(average) + np.abs(gradient))
    for mean in (velocity, after.mean):
        assert np.all(mean >= low - slack) and np.all(mean <= high + slack)
    for old, same in zip(before, (latent, gradient, average), strict=True):
        np.testing.assert_array_equal(old, same)


@given(st.floats(), st.sampled_from(sorted(LATENT_STEPS)))
def test_any_learning_rate_is_refused_or_gives_finite_weights(rate, rule):
    arguments = IN_RANGE | KEPT[rule] | {"learning_rate": rate}
    if 1e-30 <= rate <= 1e30:
        new = LATENT_STEPS[rule](**arguments)
        assert np.isfinite(new if rule == "sgd" else new[0]).all()
    elif not 1e-38 < rate < 1e39:
        with pytest.raises(ValueError, match="learning_rate must be a positive number"):
            LATENT_STEPS[rule](**arguments)


def test_adam_agrees_with_keras():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    latent, moments = rng.normal(size=5).astype(np.float32), None
    variable, adam = tf.Variable(latent), tf.keras.optimizers.Adam(0.01)
    for _ in range(20):
        gradient = rng.normal(size=5).astype(np.float32)
        latent, moments = rules.latent_adam_step(latent, moments, gradient, learning_rate=0.01)
        adam.apply_gradients([(tf.constant(gradient), variable)])
    np.testing.assert_allclose(variable.numpy(), latent, rtol=1e-4)


def test_ste_and_sign():
    np.testing.assert_array_equal(rules.sign([-2, -0.0, 0.0, 3]), [-1, 1, 1, 1])
    passed = rules.ste_sign_gradient(np.array([-2.0, -1.0, 0.3, 1.1]), np.full(4, 7.0))
    np.testing.assert_array_equal(passed, [0, 7, 7, 0])


def test_log_flip_ratio():
    assert rules.log_flip_ratio(0.0) == pytest.approx(-9)
    assert rules.log_flip_ratio(1.0) == pytest.approx(np.log(1 + np.exp(-9)))
    assert np.isnan(rules.log_flip_ratio([np.nan, 0.5])).tolist() == [True, False]
    for wrong in (-1e-9, [0.5, 3.0], [np.nan, 2.0]):  # 3.0 may be meant as percent
        with pytest.raises(ValueError, match=r"flip_ratio must be in \[0, 1\]"):
            rules.log_flip_ratio(wrong)
