"""The Keras optimizer: parity with the NumPy rule and with larq, and what users rely on."""

import json

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from larq.quantized_variable import QuantizedVariable

from bopkit import rules
from bopkit.models.initializers import RandomSign
from bopkit.optimizers import Bop, Bop2ndOrder, LeakingSGD, flip

schedules = tf.keras.optimizers.schedules

# Two devices for the test of replicas; TensorFlow takes it only before it starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def binary_variable(values, name="kernel"):
    variable = tf.Variable(values, dtype=tf.float32, name=name)
    return QuantizedVariable.from_variable(variable, precision=1)


def network(**layer):
    binary = {
        "kernel_quantizer": lq.quantizers.NoOp(precision=1),
        "kernel_initializer": RandomSign(),
        "use_bias": False,
        **layer,
    }
    return tf.keras.Sequential(
        [
            tf.keras.Input((20,)),
            lq.layers.QuantDense(30, **binary),
            tf.keras.layers.BatchNormalization(),
            lq.layers.QuantDense(3, input_quantizer="ste_sign", **binary),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Activation("softmax", dtype="float32"),
        ]
    )


def examples(count=96):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    images = rng.normal(size=(count, 20)) + rng.normal(size=(3, 20))[labels]
    return images.astype(np.float32), labels


def compiled(model, rule=Bop, **kwargs):
    kwargs = {"threshold": 1e-6, "gamma": 1e-2, **kwargs}
    optimizer = rule(tf.keras.optimizers.Adam(0.01), **kwargs)
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def run_three(seed, shape, steps, threshold, gamma, scale=1.0, jit_compile=True):
    """bopkit's optimizer, the NumPy rule and larq's optimizer on one sequence of gradients."""
    rng = np.random.default_rng(seed)
    start = rules.sign(rng.normal(size=shape).astype(np.float32))
    ours, theirs = binary_variable(start), tf.Variable(start)
    bop = Bop("sgd", threshold=threshold, gamma=gamma, jit_compile=jit_compile)
    larq_bop = lq.optimizers.Bop(threshold=threshold, gamma=gamma)
    weights, momentum, flips = start, np.zeros_like(start), 0
    closest = np.full(shape, np.inf)
    for _ in range(steps):
        gradient = (scale * rng.normal(size=shape)).astype(np.float32)
        weights_before = weights
        weights, momentum, flipped = rules.bop_step(
            weights, momentum, gradient, threshold=np.float32(threshold), gamma=np.float32(gamma)
        )
        flips += flipped.sum()
        margin = np.abs(weights_before * momentum - threshold) / scale
        closest = np.minimum(closest, margin)
        bop.apply_gradients([(tf.constant(gradient), ours)])
        larq_bop.apply_gradients([(tf.constant(gradient), theirs)])
    # a weight that came within rounding of the threshold may go either way
    clear = closest > 1e-6
    return clear, weights, ours.numpy(), theirs.numpy(), flips, bop


@pytest.mark.parametrize(("threshold", "gamma"), [(1e-3, 1e-2), (1e-8, 1e-3), (0.02, 0.3)])
@pytest.mark.slow
def test_a_thousand_updates_agree_on_every_weight(threshold, gamma):
    """No equality occurs here, so larq's rule and ours are the same rule."""
    _, weights, ours, theirs, flips, bop = run_three(1, (500,), 1000, threshold, gamma)
    np.testing.assert_array_equal(ours, weights)
    np.testing.assert_array_equal(ours, theirs)
    assert sum(bop.flip_counts().values()) == flips > 0


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    # sizes that the count's rows divide, and sizes that they do not
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    threshold=st.sampled_from([1e-8, 1e-4, 1e-2, 0.3]),
    gamma=st.floats(1e-4, 1.0),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
    jit_compile=st.booleans(),
)
def test_parity_over_random_sequences(seed, shape, threshold, gamma, scale, jit_compile):
    clear, weights, ours, theirs, flips, bop = run_three(
        seed, tuple(shape), 20, threshold * scale, gamma, scale, jit_compile
    )
    np.testing.assert_array_equal(ours[clear], weights[clear])
    np.testing.assert_array_equal(ours[clear], theirs[clear])
    assert set(np.unique(ours)) <= {-1.0, 1.0}
    if clear.all():
        assert sum(bop.flip_counts().values()) == flips


@pytest.mark.parametrize("bias_correction", [False, True])
@pytest.mark.parametrize(
    ("threshold", "gamma", "sigma"),
    [
        (0.05, 1e-2, 1e-2),
        (1e-6, 1e-3, 1e-7),
        (0.3, 1.0, 1.0),
        (0.05, schedules.PiecewiseConstantDecay([99], [1e-2, 1e-6]), 1e-2),
    ],
)
@pytest.mark.slow
def test_a_thousand_updates_of_the_second_order_rule(threshold, gamma, sigma, bias_correction):
    """Against NumPy in double precision, which rounds no rate away."""
    random = np.random.default_rng(1)
    weights = rules.sign(random.normal(size=400))
    momentum, square, flips = np.zeros(400), np.zeros(400), 0
    variable = binary_variable(weights)
    rule = {"bias_correction": bias_correction, "jit_compile": True}
    optimizer = Bop2ndOrder("sgd", threshold, gamma, sigma, **rule)
    clear = np.ones(400, bool)
    rates = {"threshold": threshold, "sigma": sigma}
    shares = (0.0, 0.0) if bias_correction else None
    for step in range(1000):
        gradient = random.normal(size=400) * 1e-3
        before = weights
        weights, momentum, square, flipped, shares = rules.bop2ndorder_step(
            weights,
            momentum,
            square,
            gradient,
            gamma=gamma if isinstance(gamma, float) else float(gamma(step)),
            shares=shares,
            **rates,
        )
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), variable)])
        m, v = (momentum, square) if shares is None else (momentum / shares[0], square / shares[1])
        signal = before * m / (np.sqrt(v) + 1e-10)
        # What came within float32's rounding of the threshold may go either way.
        clear &= np.abs(signal - threshold) > 2e-4 * (np.abs(signal) + 1e-3 * threshold)
        flips += flipped.sum()
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(variable.numpy()[clear], weights[clear])
    assert sum(optimizer.flip_counts().values()) == pytest.approx(flips, rel=1e-3) and flips > 0


def test_the_bias_correction_follows_gamma_wherever_it_goes():
    """Of a constant gradient the corrected signal is 1, after a drop of γ and at γ = 0 too."""
    gamma = schedules.PiecewiseConstantDecay([2, 4], [0.1, 1e-6, 0.0])
    variable = binary_variable([1.0, -1.0, -1.0])
    bop = Bop2ndOrder("sgd", 1.001, gamma, 0.1, bias_correction=True)
    for _ in range(7):
        bop.apply_gradients([(tf.constant([2.0, 0.5, -1.0]), variable)])
        assert bop.largest_signals() == pytest.approx({"kernel:0": 1.0}, rel=1e-5)
    assert float(bop.gamma) == 0 and int(bop.total_flips()) == 0


def test_the_flip_is_numpys():
    """Strictly above the threshold, and in the type of the weights."""
    random = np.random.default_rng(0)
    weights = rules.sign(random.normal(size=(7, 9)).astype(np.float32))
    signal = random.integers(-3, 4, (7, 9)).astype(np.float32)  # often exactly at the threshold
    expected = rules.bop_step(weights, 0 * signal, signal, threshold=2.0, gamma=1.0).weights
    np.testing.assert_array_equal(flip(tf.constant(weights), tf.constant(signal), 2.0), expected)
    assert (expected != weights).any()


def test_the_averages_can_be_read():
    variable, bop = binary_variable(np.ones(3)), Bop("sgd", threshold=1.0, gamma=0.5)
    assert bop.read_averages() == {}
    bop.apply_gradients([(tf.constant([1.0, 0.0, -2.0]), variable)])
    ((name, kept),) = bop.read_averages().items()
    assert name == variable.name and list(kept) == ["m"]
    np.testing.assert_array_equal(kept["m"], [0.5, 0.0, -1.0])


def test_where_larq_differs_at_exact_equality():
    """At w·m = τ ours keeps the weight; larq and the released code set it to +1."""
    start = np.array([-1.0, 1.0], np.float32)
    ours, theirs = binary_variable(start), tf.Variable(start)
    nothing = tf.zeros(2)
    Bop("sgd", threshold=0.0).apply_gradients([(nothing, ours)])
    lq.optimizers.Bop(threshold=0.0).apply_gradients([(nothing, theirs)])
    np.testing.assert_array_equal(ours.numpy(), [-1, 1])
    np.testing.assert_array_equal(theirs.numpy(), [1, 1])


def test_compiled_and_plain_updates_are_the_same():
    results = []
    for jit_compile in (True, False):
        variable = binary_variable(rules.sign(np.random.default_rng(0).normal(size=(9, 5))))
        bop = Bop("sgd", threshold=1e-3, gamma=0.1, jit_compile=jit_compile)
        rng = np.random.default_rng(1)
        for _ in range(30):
            bop.apply_gradients([(tf.constant(rng.normal(size=(9, 5)), tf.float32), variable)])
        results.append((variable.numpy(), bop.flip_counts()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit_learns_and_weights_stay_binary(policy):
    tf.keras.utils.set_random_seed(0)
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        model = compiled(network(), threshold=1e-4)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    images, labels = examples()
    history = model.fit(images, labels, batch_size=16, epochs=20, verbose=0).history
    assert history["accuracy"][-1] > 0.8
    kernels = [v for v in model.trainable_variables if "kernel" in v.name]
    assert all(set(np.unique(v.numpy())) == {-1.0, 1.0} for v in kernels)
    assert model.optimizer.binary_weights == 20 * 30 + 30 * 3
    shapes = {name: kept["m"].shape for name, kept in model.optimizer.read_averages().items()}
    assert shapes == {v.name: v.shape for v in kernels}


def test_flip_counts_are_the_changes_made():
    tf.keras.utils.set_random_seed(0)
    model = compiled(network())
    images, labels = examples()
    changes = {}
    for start in range(0, 96, 16):
        before = {v.name: v.numpy() for v in model.trainable_variables if "kernel" in v.name}
        model.train_on_batch(images[start : start + 16], labels[start : start + 16])
        for v in model.trainable_variables:
            if v.name in before:
                changes[v.name] = changes.get(v.name, 0) + (before[v.name] != v.numpy()).sum()
    assert model.optimizer.flip_counts() == changes
    assert sum(changes.values()) > 0


def test_custom_loop_equals_fit():
    images, labels = examples(16)
    weights = []
    for custom in (False, True):
        tf.keras.utils.set_random_seed(3)
        model = compiled(network())
        for _ in range(5):
            if not custom:
                model.train_on_batch(images, labels)
                continue
            with tf.GradientTape() as tape:
                probabilities = model(images, training=True)
                losses = tf.keras.losses.sparse_categorical_crossentropy(labels, probabilities)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, model.trainable_variables)
            model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


class Watched(Bop):
    """Bop that counts how often Python runs its rule: once per trace where it is compiled."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.runs = 0

    def update_averages(self, averages, gradient, now):
        self.runs += 1
        return super().update_averages(averages, gradient, now)


def run_eagerly(model, steps):
    for _ in range(steps):
        model.optimizer.apply_gradients([(tf.zeros(v.shape), v) for v in model.trainable_variables])
    return model.optimizer.runs


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_an_eager_loop_compiles_once(policy):
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        model = compiled(network(), Watched, jit_compile=True)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert run_eagerly(model, steps=5) == 2  # the network's two kernels


def test_large_variables_alone_are_compiled_unless_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("bopkit.optimizers.compiled.LARGE", 100)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])  # no GPU
    # Kernels of 600 and of 90 weights, 3 steps: one that is not compiled runs in Python each time.
    for asked, runs in ((None, 1 + 3), (True, 1 + 1), (False, 3 + 3)):
        model = compiled(network(), Watched, jit_compile=asked)
        assert run_eagerly(model, steps=3) == runs


def test_saved_model_goes_on_as_if_it_had_not_stopped(tmp_path):
    gamma = schedules.PolynomialDecay(1e-2, 100, 1e-4)
    tf.keras.utils.set_random_seed(0)
    model = compiled(network(), gamma=gamma)
    images, labels = examples()
    model.fit(images, labels, epochs=2, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    restored = tf.keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(model.optimizer.variables, restored.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert restored.optimizer.get_config() == model.optimizer.get_config()
    for either in (model, restored):
        either.fit(images, labels, epochs=2, verbose=0, shuffle=False)
    for one, other in zip(model.get_weights(), restored.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert float(restored.optimizer.gamma) == pytest.approx(gamma(12).numpy())


def test_checkpoint_restores_m_the_step_and_the_inner_slots(tmp_path):
    images, labels = examples()
    tf.keras.utils.set_random_seed(0)
    model = compiled(network())
    model.fit(images, labels, epochs=2, verbose=0)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(str(tmp_path / "c"))
    fresh = compiled(network())
    fresh.optimizer.build(fresh.trainable_variables)
    status = tf.train.Checkpoint(model=fresh, optimizer=fresh.optimizer).restore(path)
    status.assert_existing_objects_matched()
    for one, other in zip(model.optimizer.variables, fresh.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert int(fresh.optimizer.iterations) == 6


@pytest.mark.parametrize("rule", [Bop, Bop2ndOrder])
def test_replicas_equal_one_device(rule):
    """Gradients are summed over the replicas, and m and the flips are not counted twice."""
    kwargs = {"threshold": 0.05, "sigma": 0.1, "bias_correction": True}
    kwargs = {"threshold": 1e-3} if rule is Bop else kwargs
    images, labels = examples(64)
    results = []
    for strategy in (
        tf.distribute.get_strategy(),
        # Sums without collective operations, because TensorFlow numbers those by their order in the
        # process, and another file's replicas may have used the same number for another shape.
        tf.distribute.MirroredStrategy(
            ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
        ),
    ):
        tf.keras.utils.set_random_seed(0)
        with strategy.scope():
            binary = {
                "kernel_quantizer": lq.quantizers.NoOp(precision=1),
                "kernel_initializer": RandomSign(),
                "use_bias": False,
            }
            model = tf.keras.Sequential(
                [
                    tf.keras.Input((20,)),
                    lq.layers.QuantDense(30, **binary),
                    lq.layers.QuantDense(3, input_quantizer="ste_sign", **binary),
                    tf.keras.layers.Activation("softmax"),
                ]
            )
            compiled(model, rule, **kwargs)
        model.fit(images, labels, batch_size=32, epochs=3, verbose=0, shuffle=False)
        results.append((model.get_weights(), sum(model.optimizer.flip_counts().values())))
    for one, other in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert results[0][1] == results[1][1] > 0


def test_hyperparameters_can_be_read_and_set():
    bop = Bop("adam", threshold=1e-6, gamma=1e-3)
    bop.gamma, bop.threshold, bop.learning_rate = 0.5, 0.25, 0.125
    assert [float(v) for v in (bop.gamma, bop.threshold, bop.learning_rate)] == [0.5, 0.25, 0.125]
    with pytest.raises(ValueError, match="gamma"):
        bop.gamma = 0.0
    scheduled = Bop("adam", gamma=schedules.ExponentialDecay(0.1, 10, 0.5))
    with pytest.raises(TypeError, match="gamma follows a schedule"):
        scheduled.gamma = 0.5


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"gamma": 0.0}, "gamma"),
        ({"gamma": 1.5}, "gamma"),
        ({"gamma": float("nan")}, "gamma"),
        ({"gamma": "fast"}, "gamma"),
        ({"gamma": schedules.PolynomialDecay(2.0, 10, 1.0)}, "gamma at step 0"),
        ({"threshold": -1.0}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": float("inf")}, "threshold"),
    ],
)
def test_refuses_hyperparameters(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Bop("adam", **kwargs)


def test_the_second_order_rule_refuses_its_own():
    rates = {"threshold": 1e-6, "gamma": 1e-3, "sigma": 1e-2}
    for wrong, message in (
        ({"sigma": 0.0}, "sigma, the rate of the second moment"),
        ({"sigma": schedules.PolynomialDecay(2.0, 10, 1.0)}, "sigma at step 0"),
        ({"threshold": -1.0}, "threshold"),
    ):
        with pytest.raises(ValueError, match=message):
            Bop2ndOrder("adam", **(rates | wrong))
    bop = Bop2ndOrder("adam", **rates)
    bop.sigma = 0.25
    assert float(bop.sigma) == 0.25
    with pytest.raises(ValueError, match="sigma"):
        bop.sigma = 2.0


def every_optimizer_of_keras():
    base, kinds = tf.keras.optimizers.Optimizer, vars(tf.keras.optimizers).values()
    kinds = {k for k in kinds if isinstance(k, type) and issubclass(k, base) and k is not base}
    return sorted(kinds, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", every_optimizer_of_keras())
def test_every_optimizer_of_keras_is_found_by_its_name_and_comes_back_from_its_configuration(kind):
    optimizer = Bop(kind.__name__.lower())
    assert type(optimizer.fp_optimizer) is kind
    for rate in (0.25, schedules.PolynomialDecay(0.5, 10)):
        saved = json.loads(json.dumps(Bop(kind(rate)).get_config()))
        again = Bop.from_config(saved)
        assert type(again.fp_optimizer) is kind
        assert again.get_config() == saved


def test_jit_compile_can_be_read_and_set():
    optimizer = Bop("adam")
    assert optimizer.jit_compile is None
    optimizer.jit_compile = True
    assert optimizer.jit_compile is optimizer.get_config()["jit_compile"] is True
    assert Bop.from_config(optimizer.get_config()).jit_compile is True


def test_refuses_an_optimizer_of_another_kind():
    for wrong in (tf.keras.optimizers.legacy.Adam(), None, 0.01):
        with pytest.raises(TypeError, match="fp_optimizer must be"):
            Bop(wrong)


def test_an_optimizer_of_keras_3_is_named(run_python):
    code = "import bopkit, keras; bopkit.Bop(keras.optimizers.Adam())"
    shown = run_python(code, env={"TF_CPP_MIN_LOG_LEVEL": "3"}).stderr.splitlines()[-1]
    assert "of Keras 2" in shown and "got Adam of Keras 3." in shown and "import bopkit" in shown


def test_without_a_binary_variable_it_warns_and_trains_the_others():
    model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(3)])
    optimizer = compiled(model).optimizer
    with pytest.warns(UserWarning, match=r"no binary variable .*NoOp\(precision=1\)"):
        optimizer.build(model.trainable_variables)
    assert optimizer.binary_weights == 0 and optimizer.flip_counts() == {}
    before = model.get_weights()[0]
    optimizer.apply_gradients([(tf.ones(v.shape), v) for v in model.trainable_variables])
    assert (before != model.get_weights()[0]).all()


def test_equal_names_are_told_apart(tmp_path):
    model = compiled(network())
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "m.keras")
    again = tf.keras.models.load_model(tmp_path / "m.keras")
    counts = again.optimizer.flip_counts()
    assert len(counts) == len(model.optimizer.flip_counts()) > 1
    assert list(counts)[:2] == ["kernel:0", "kernel:0 (2)"]


@pytest.mark.parametrize(
    "layer",
    [{"kernel_initializer": "glorot_uniform"}, {"kernel_initializer": "zeros"}],
)
def test_refuses_weights_that_are_not_binary(layer):
    model = compiled(network(**layer))
    with pytest.raises(ValueError, match=r"other than -1 and \+1; give .*RandomSign"):
        model.fit(*examples(), verbose=0)


def test_a_model_of_converted_weights_is_saved_and_loaded(tmp_path):
    """Keras builds the optimizer of a loaded model while its weights are those it begins with."""
    model = compiled(network(kernel_initializer="glorot_uniform"))
    for layer in (model.layers[0], model.layers[2]):
        layer.set_weights([rules.sign(layer.get_weights()[0])])
    images, labels = examples()
    model.fit(images, labels, verbose=0)
    model.save(tmp_path / "m.keras")
    again = tf.keras.models.load_model(tmp_path / "m.keras")
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    again.fit(images, labels, verbose=0)
    assert again.optimizer.total_flips() >= model.optimizer.total_flips() > 0


@pytest.mark.parametrize("binary", [True, False])
def test_refuses_a_variable_that_it_was_not_built_with_before_any_flips(binary):
    """With the kind of error that Keras' Adam raises."""
    known = binary_variable([1.0, -1.0])
    unknown = binary_variable([1.0, 1.0]) if binary else tf.Variable([1.0, 1.0])
    bop = Bop("adam", threshold=0.0, gamma=1.0)
    bop.build([known, tf.Variable([0.0])])
    both = [(tf.constant([1.0, -1.0]), variable) for variable in (known, unknown)]
    with pytest.raises(KeyError, match=r"not know the variable .*call optimizer\.build\(model"):
        bop.apply_gradients(both)
    np.testing.assert_array_equal(known.numpy(), [1.0, -1.0])
    adam = tf.keras.optimizers.Adam()
    adam.build([known])
    with pytest.raises(KeyError):
        adam.apply_gradients(both)


@pytest.mark.parametrize("make", [Bop, LeakingSGD, tf.keras.optimizers.Adam])
def test_an_empty_list_of_gradients_changes_nothing(make):
    variable = binary_variable([1.0, 1.0])
    optimizer = make("adam") if make is not tf.keras.optimizers.Adam else make()
    assert optimizer.apply_gradients([]) == 0
    optimizer.apply_gradients([(tf.ones(2), variable)])
    assert optimizer.iterations == 1 and (variable.numpy() != 1).all()


@pytest.mark.parametrize("shape", [(1,), (), (4, 1), (2, 4)])
def test_a_gradient_of_another_shape_is_not_broadcast(shape):
    for optimizer in (Bop("adam"), Bop2ndOrder("adam", threshold=0.0, gamma=0.1, sigma=0.1)):
        variable = binary_variable(np.ones((4, 2)))
        with pytest.raises(ValueError, match=r"is of shape .*, and must be of .*\(4, 2\)"):
            optimizer.apply_gradients([(tf.ones(shape), variable)])
        np.testing.assert_array_equal(variable, np.ones((4, 2)))


def test_refuses_sparse_gradients():
    variable = binary_variable(np.ones((4, 2)))
    sparse = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([0]), tf.constant([4, 2]))
    with pytest.raises(TypeError, match="sparse"):
        Bop("adam").apply_gradients([(sparse, variable)])


def test_random_sign_draws_anew_and_repeats_under_a_seed():
    shared = RandomSign()
    one, other = shared((50, 50)).numpy(), shared((50, 50)).numpy()
    assert set(np.unique(one)) == {-1.0, 1.0} and (one != other).any()
    assert abs(one.mean()) < 0.1
    fixed = RandomSign.from_config(RandomSign(7).get_config())
    np.testing.assert_array_equal(fixed((9,)), fixed((9,)))


@pytest.mark.parametrize("first", ["tf.keras.layers", "tf.constant(0)"])
def test_says_so_when_keras_3_was_loaded_first(run_python, first):
    """Whether or not the program has looked at `tf.keras`, which TensorFlow loads on demand."""
    code = "import os; os.environ.pop('TF_USE_LEGACY_KERAS', None)\n"
    code += f"import tensorflow as tf; {first}\nfrom bopkit import Bop"
    done = run_python(code)
    assert done.returncode != 0
    assert "SetupError: bopkit needs Keras 2" in done.stderr.strip().splitlines()[-1]


def test_larqs_scheduler_moves_gamma():
    model = network()
    model.compile(Bop("adam", threshold=0.0, gamma=1e-2), "sparse_categorical_crossentropy")
    seen = []

    class Watch(tf.keras.callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append(float(self.model.optimizer.gamma))

    lowered = lq.callbacks.HyperparameterScheduler(lambda epoch: 0.1 / 10**epoch, "gamma")
    model.fit(*examples(), batch_size=96, epochs=3, verbose=0, callbacks=[lowered, Watch()])
    np.testing.assert_allclose(seen, [0.1, 0.01, 0.001], rtol=1e-6)
