"""Check the contract that every optimizer of binary weights must keep.

If you add a rule, call `check(lambda: MyRule("adam", threshold=0.05, gamma=0.1))`. The check takes
seconds, and it says in one sentence what the rule breaks. The tests of bopkit hold its own rules to
the same contract.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq

from bopkit.models.initializers import RandomSign
from bopkit.optimizers.base import FlipOptimizer

Make = Callable[[], FlipOptimizer]


def check(make: Make) -> list[str]:
    """Hold an optimizer to the contract.

    Args:
        make: returns a new optimizer at each call, with hyperparameters at which some of the
            weights flip, but not all, when gradients are about 1 in size.

    Returns:
        What was checked, one sentence per check.

    Raises:
        AssertionError: the rule breaks the contract; the message says in a sentence how.

    Example:
        >>> bopkit.optimizers.checks.check(lambda: bopkit.Bop("adam", threshold=0.05, gamma=0.1))[0]
        'weights stay -1 and +1, and some flip'
    """
    for run in CHECKS.values():
        run(make)
    return list(CHECKS)


def _require(holds, otherwise):
    if not holds:
        raise AssertionError(otherwise)


def _variable(shape=(40, 5), name="kernel"):
    signs = np.where(np.random.default_rng(0).normal(size=shape) >= 0, 1, -1)
    variable = tf.Variable(signs, dtype=tf.float32, name=name)
    return lq.quantized_variable.QuantizedVariable.from_variable(variable, precision=1)


def _gradients(steps, shape=(40, 5)):
    """Draw gradients with a consistent part and noise, the same at each call."""
    random = np.random.default_rng(1)
    trend = random.normal(size=shape)
    for _ in range(steps):
        yield tf.constant(trend + random.normal(size=shape), tf.float32)


def _run(optimizer, steps=30):
    """Return the weights before the first update and after each update."""
    variable = _variable()
    weights = [variable.numpy()]
    for gradient in _gradients(steps):
        optimizer.apply_gradients([(gradient, variable)])
        weights.append(variable.numpy())
    return np.array(weights)


def _binary(make):
    weights = _run(make())
    _require(np.all(np.abs(weights) == 1), "a weight became something other than -1 and +1.")
    changed = (weights[1:] != weights[:-1]).mean()
    _require(
        changed > 0,
        "no weight flipped in 30 updates: give `check` an optimizer with a lower threshold.",
    )


def _counted(make):
    optimizer = make()
    weights = _run(optimizer)
    made = int((weights[1:] != weights[:-1]).sum())
    counted = sum(optimizer.flip_counts().values())
    _require(counted == made, f"{made} weights flipped, but flip_counts() says {counted}.")


def _still(make):
    optimizer, variable = make(), _variable()
    before = variable.numpy()
    for _ in range(5):
        optimizer.apply_gradients([(tf.zeros(before.shape), variable)])
    _require(
        np.array_equal(before, variable.numpy()), "weights flipped though every gradient was zero."
    )


def _opposed(make):
    optimizer, variable = make(), _variable()
    before = variable.numpy()
    # The loss falls in the direction of each weight, so that no flip can lower it.
    for _ in range(30):
        optimizer.apply_gradients([(tf.constant(-before), variable)])
    _require(np.array_equal(before, variable.numpy()), "weights flipped against their gradient.")


def _threshold(make):
    # As a configuration, because a threshold that follows a schedule cannot be set.
    config = make().get_config() | {"threshold": 1e30}
    weights = _run(type(make()).from_config(config))
    _require((weights == weights[0]).all(), "weights flipped below the threshold.")


def _repeated(make):
    _require(
        np.array_equal(_run(make()), _run(make())),
        "two new optimizers flipped different weights under the same gradients.",
    )


def _compiled(make):
    kinds = (make().get_config() | {"jit_compile": kind} for kind in (True, False))
    compiled, plain = (_run(type(make()).from_config(config)) for config in kinds)
    # A signal within rounding of the threshold may fall on either side of it.
    same = (compiled == plain).mean()
    _require(same > 0.999, f"the compiled and the uncompiled update agree on only {same:.1%}.")


def _configured(make):
    kind = type(make())
    # Of an optimizer made from a configuration: 0.1 becomes 0.10000000149 in float32, only once.
    optimizer = kind.from_config(make().get_config())
    config = optimizer.get_config()
    again = kind.from_config(config)
    _require(
        again.get_config() == config,
        "from_config(get_config()) makes an optimizer of another configuration.",
    )
    _require(
        np.array_equal(_run(make()), _run(again)),
        "the optimizer made from its configuration flips other weights; add what is missing to "
        "get_config(), or declare it as a Hyper.",
    )


def _restored(make):
    whole = _run(make())
    optimizer, variable = make(), _variable()
    gradients = list(_gradients(30))
    with tempfile.TemporaryDirectory() as folder:
        for number, gradient in enumerate(gradients):
            if number == 12:
                keep = tf.train.Checkpoint(optimizer=optimizer, variable=variable.latent_variable)
                path = keep.save(str(Path(folder) / "checkpoint"))
                optimizer, variable = make(), _variable()
                optimizer.build([variable])
                again = tf.train.Checkpoint(optimizer=optimizer, variable=variable.latent_variable)
                again.restore(path).assert_existing_objects_matched()
            optimizer.apply_gradients([(gradient, variable)])
    _require(
        np.array_equal(whole[-1], variable.numpy()),
        "restored from a checkpoint, the optimizer flips other weights; keep in its averages all "
        "that it remembers.",
    )


def _network():
    binary = {
        "kernel_quantizer": lq.quantizers.NoOp(precision=1),
        "kernel_initializer": RandomSign(0),
        "use_bias": False,
    }
    return tf.keras.Sequential(
        [
            tf.keras.Input((20,)),
            lq.layers.QuantDense(16, **binary),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Dense(3, kernel_initializer="zeros"),
        ]
    )


def _saved(make):
    random = np.random.default_rng(0)
    images, labels = random.normal(size=(64, 20)).astype("f4"), random.integers(0, 3, 64)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = _network()
    model.compile(make(), loss)
    fit = {"batch_size": 16, "shuffle": False, "verbose": 0}
    model.fit(images, labels, epochs=2, **fit)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        kinds = {type(model.optimizer).__name__: type(model.optimizer)}
        again = tf.keras.models.load_model(path, custom_objects=kinds)
    for either in (model, again):
        either.fit(images, labels, epochs=1, **fit)
    _require(
        all(map(np.array_equal, model.get_weights(), again.get_weights())),
        "a model that was saved and loaded learns other weights.",
    )


def _shared(make):
    model = _network()
    optimizer = make()
    before = [v.numpy() for v in model.trainable_variables]
    gradients = [tf.ones(v.shape) for v in model.trainable_variables]
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    for variable, old in zip(model.trainable_variables, before, strict=True):
        if getattr(variable, "precision", None) != 1:
            _require(
                not np.array_equal(old, variable.numpy()),
                f"{variable.name} is not binary and did not change, though its gradient was 1; "
                "hand it to fp_optimizer.",
            )


def _half(make):
    with _policy("mixed_bfloat16"):
        model = _network()
    optimizer = make()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.cast(model(tf.ones((8, 20)), training=True), tf.float32) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    kept = optimizer.read_averages().values()
    kinds = {average.dtype for averages in kept for average in averages.values()}
    _require(kinds == {tf.float32}, "averages are not float32 in a network of mixed_bfloat16.")


@contextlib.contextmanager
def _policy(name):
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


CHECKS: dict[str, Callable[[Make], None]] = {
    "weights stay -1 and +1, and some flip": _binary,
    "the flips counted are the flips made": _counted,
    "without a gradient nothing flips": _still,
    "nothing flips that the gradient agrees with": _opposed,
    "nothing flips below the threshold": _threshold,
    "the same gradients give the same weights": _repeated,
    "compiled and uncompiled updates agree": _compiled,
    "its configuration makes the same optimizer": _configured,
    "restored from a checkpoint, it continues as if it had not stopped": _restored,
    "saved and loaded with its model, it continues as if it had not stopped": _saved,
    "fp_optimizer trains the variables that are not binary": _shared,
    "averages are float32 in mixed precision too": _half,
}
