"""What Keras lets one do with an optimizer, a row each; every row runs with Adam first.

A row is a function of a `Case`: it builds ordinary networks for Adam and binary ones for a flip
rule, does with them what a Keras user would do, and asserts what must hold of both.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

import bopkit  # isort: skip  # before TensorFlow
import larq as lq
import tensorflow as tf

ROWS = {}
MIRRORED = "`MirroredStrategy` on two devices"


def row(title):
    """Enter a function into the table under the title that the page shows."""

    def enter(function):
        ROWS[title] = function
        return function

    return enter


@tf.keras.utils.register_keras_serializable("as_keras")
class LastSign(bopkit.FlipOptimizer):
    """A rule of a reader's own: m is the mean of the last two gradients' signs."""

    averages = ("m", "last")

    def __init__(self, fp_optimizer, threshold=0.4, *, jit_compile=None, name="LastSign"):
        super().__init__(fp_optimizer, threshold=threshold, jit_compile=jit_compile, name=name)

    def update_averages(self, averages, gradient, now):
        sign = tf.sign(gradient)
        return {"m": (sign + averages["last"]) / 2, "last": sign}

    def signal(self, averages, now):
        return averages["m"]


class Case:
    """An optimizer to try, and the layers that go with it."""

    def __init__(self, name):
        self.name, self.flips = name, name != "Adam"

    def optimizer(self, adam=None, **inner):
        """A new optimizer; `inner` goes to Adam, which trains alone or the real-valued layers."""
        adam = adam or tf.keras.optimizers.Adam(inner.pop("learning_rate", 0.01), **inner)
        if self.name == "Bop":
            return bopkit.Bop(adam, threshold=1e-6, gamma=0.1)
        if self.name == "Bop2ndOrder":
            return bopkit.Bop2ndOrder(adam, threshold=1e-2, gamma=0.1, sigma=0.1)
        if self.name == "own rule":
            return LastSign(adam)
        return adam

    def dense(self, units, **kwargs):
        """A dense layer that the optimizer trains: binary for a flip rule, ordinary for Adam."""
        if not self.flips:
            return tf.keras.layers.Dense(units, use_bias=False, **kwargs)
        return lq.layers.QuantDense(
            units,
            kernel_quantizer=lq.quantizers.NoOp(precision=1),
            kernel_initializer=bopkit.RandomSign(),
            use_bias=False,
            **kwargs,
        )

    def layers(self):
        """The small network that most rows train."""
        batch_norm = tf.keras.layers.BatchNormalization
        return [self.dense(8), batch_norm(), self.dense(3), batch_norm(), tf.keras.layers.Softmax()]

    def net(self, optimizer=None, **options):
        """The small network, compiled; eagerly where no row asks for a graph."""
        tf.keras.utils.set_random_seed(0)
        model = tf.keras.Sequential([tf.keras.Input((16,)), *self.layers()])
        return self.compile(model, optimizer, **options)

    def compile(self, model, optimizer=None, **options):
        options = {"loss": "sparse_categorical_crossentropy", "run_eagerly": True} | options
        model.compile(optimizer or self.optimizer(), **options)
        return model

    def check(self, model):
        """Binary kernels hold -1 and +1, and the counts of flips are one per kernel."""
        if not self.flips:
            return
        binary = [v for v in model.trainable_variables if getattr(v, "precision", None) == 1]
        assert all((np.abs(v.numpy()) == 1).all() for v in binary)
        counts = model.optimizer.flip_counts()
        assert len(counts) == len(model.optimizer.largest_signals())
        assert sum(counts.values()) == int(model.optimizer.total_flips())


X = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
Y = (X[:, :3].argmax(1)).astype(np.int64)


def fit(model, epochs=1, **options):
    options = {"batch_size": 16, "shuffle": False, "verbose": 0} | options
    return model.fit(X, Y, epochs=epochs, **options)


def same(one, other, optimizers=True):
    """Two models hold the same numbers, bit for bit, and so do their optimizers, if compared."""
    numbers = [model.get_weights() for model in (one, other)]
    if optimizers:
        for model, own in zip((one, other), numbers, strict=True):
            own += [variable.numpy() for variable in model.optimizer.variables]
    for a, b in zip(*numbers, strict=True):
        np.testing.assert_array_equal(a, b)


def goes_on_alike(case, model, again):
    """Both models learn on to the same weights, and something was learned."""
    same(model, again)
    before = model.get_weights()
    for either in (model, again):
        fit(either, epochs=2)
        case.check(either)
    same(model, again)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


OBJECTS = {"RandomSign": bopkit.RandomSign}  # what tf-keras cannot find in an .h5 by itself


@row('`model.save("m.keras")`, `load_model`, and training continues')
def saved_keras(case, folder):
    model = case.net()
    fit(model)
    model.save(folder / "m.keras")
    again = tf.keras.models.load_model(folder / "m.keras")
    again.run_eagerly = True
    goes_on_alike(case, model, again)
    again.save(folder / "m", save_format="tf")  # by now every kernel is called kernel:0


@row('`model.save("m.h5")`, `load_model`, and training continues')
def saved_h5(case, folder):
    model = case.net()
    fit(model)
    model.save(folder / "m.h5")
    again = tf.keras.models.load_model(folder / "m.h5", custom_objects=OBJECTS)
    again.run_eagerly = True
    goes_on_alike(case, model, again)


@row("`model.save(FOLDER)` (SavedModel), `load_model`; Keras starts the optimizer from scratch")
def saved_folder(case, folder):
    model = case.net()
    fit(model)
    model.save(folder / "m", save_format="tf")
    again = tf.keras.models.load_model(folder / "m")
    again.run_eagerly = True
    same(model, again, optimizers=False)
    fit(again)
    case.check(again)


@row("`tf.saved_model.save`, and the loaded model predicts the same")
def saved_model(case, folder):
    model = case.net()
    fit(model)
    tf.saved_model.save(model, str(folder / "m"))
    predict = tf.saved_model.load(str(folder / "m")).signatures["serving_default"]
    (found,) = predict(tf.constant(X[:4])).values()
    np.testing.assert_allclose(found, model.predict(X[:4], verbose=0), atol=1e-6)


@row("`tf.train.Checkpoint(model, optimizer)` restores everything")
def checkpoint(case, folder):
    model, again = case.net(), case.net()
    fit(model)
    fit(again, epochs=3)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(str(folder / "c"))
    status = tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(path)
    status.assert_consumed()
    goes_on_alike(case, model, again)


@row("`model.save_weights` and `load_weights`, in both formats")
def weights(case, folder):
    model = case.net()
    fit(model)
    for name in ("w", "w.h5", "w.weights.h5"):
        again = case.net()
        fit(again, epochs=2)
        model.save_weights(folder / name)
        again.load_weights(folder / name)
        same(model, again, optimizers=False)


@row("`optimizer.set_weights` from another optimizer's `variables`")
def set_weights(case, folder):
    model, again = case.net(), case.net()
    fit(model)
    fit(again, epochs=2)
    again.set_weights(model.get_weights())
    again.optimizer.set_weights([v.numpy() for v in model.optimizer.variables])
    goes_on_alike(case, model, again)


@row("each of the optimizer's variables has a name of its own")
def names(case, folder):
    model = case.net()
    fit(model)
    found = [v.name for v in model.optimizer.variables]
    assert len(set(found)) == len(found), found


@row("`get_config`, `from_config`, `serialize`, `deserialize`")
def configured(case, folder):
    optimizer = case.optimizer(learning_rate=tf.keras.optimizers.schedules.CosineDecay(0.1, 100))
    again = type(optimizer).from_config(optimizer.get_config())
    third = tf.keras.optimizers.deserialize(tf.keras.optimizers.serialize(optimizer))
    models = [case.net(o) for o in (optimizer, again, third)]
    for model in models:
        fit(model)
    same(models[0], models[1])
    same(models[0], models[2])


@row("`clone_model`, compiled with an optimizer of the same configuration")
def cloned(case, folder):
    model = case.net()
    again = case.compile(tf.keras.models.clone_model(model))
    again.set_weights(model.get_weights())
    goes_on_alike(case, model, again)


@row("`copy.deepcopy` and `pickle` of a compiled model")
def pickled(case, folder):
    model = case.net()
    fit(model)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        same(model, again)
        again.run_eagerly = True
        fit(again)
        case.check(again)


@row("`train_on_batch`, in a graph and eagerly")
def train_on_batch(case, folder):
    models = [case.net(run_eagerly=eager) for eager in (True, False)]
    for model in models:
        for _ in range(3):
            model.train_on_batch(X, Y)
        case.check(model)
    # A tenth of Adam's step: the first shift has no effect, because a batch normalization follows,
    # so its gradient is only rounding, which Adam divides by its own size.
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


@row("`steps_per_execution` and `jit_compile=True` of `compile`")
def compiled(case, folder):
    for options in ({"steps_per_execution": 2}, {"jit_compile": True}):
        model = case.net(run_eagerly=False, **options)
        before = model.get_weights()
        fit(model)
        case.check(model)
        assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


@row("a layer frozen, and thawed with `compile` again")
def frozen(case, folder):
    model = case.net()
    fit(model)
    first = model.layers[0]
    first.trainable = False
    case.compile(model)
    before, last = first.get_weights()[0], model.layers[2].get_weights()[0]
    fit(model, epochs=3)
    np.testing.assert_array_equal(before, first.get_weights()[0])
    assert (last != model.layers[2].get_weights()[0]).any()
    first.trainable = True
    case.compile(model)
    fit(model, epochs=3)
    assert (before != first.get_weights()[0]).any()
    case.check(model)


@row("all layers of one kind frozen: only a head is trained")
def head(case, folder):
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential([tf.keras.Input((16,)), *case.layers()])
    model.layers[0].trainable = model.layers[2].trainable = False
    case.compile(model)
    before = model.get_weights()
    fit(model)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


@row("Adam's `weight_decay`, `clipnorm`, `global_clipnorm`, `clipvalue`")
def inner_options(case, folder):
    plain = case.net()
    fit(plain)
    for option in ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue"):
        model = case.net(case.optimizer(**{option: 1e-3}))
        fit(model)
        case.check(model)
        assert any(
            (a != b).any() for a, b in zip(plain.get_weights(), model.get_weights(), strict=True)
        )


@row("Adam's `use_ema`: `fit` ends with the averages in the real-valued variables")
def ema(case, folder):
    model = case.net(case.optimizer(use_ema=True, ema_momentum=0.9))
    fit(model)
    adam = getattr(model.optimizer, "fp_optimizer", model.optimizer)
    real = [v for v in model.trainable_variables if getattr(v, "precision", None) != 1]
    averages = [v for v in adam.variables if "average" in v.name]
    assert len(averages) == len(real)
    for variable, average in zip(real, averages, strict=True):
        np.testing.assert_array_equal(variable.numpy(), average.numpy())
    case.check(model)


@row("`exclude_from_weight_decay`")
def excluded(case, folder):
    optimizer = case.optimizer(weight_decay=0.5, learning_rate=1.0)
    optimizer.exclude_from_weight_decay(var_names=["scale"])
    kept, decayed = tf.Variable([1.0], name="scale"), tf.Variable([1.0], name="other")
    binary = [v for v in case.net().trainable_variables if case.flips][:1]
    zero = [(tf.zeros(v.shape), v) for v in (kept, decayed, *binary)]
    optimizer.apply_gradients(zero)
    assert kept.numpy() == 1 and decayed.numpy() == 0.5


@row("`LossScaleOptimizer` under `mixed_float16`")
def loss_scale(case, folder):
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = case.net(tf.keras.mixed_precision.LossScaleOptimizer(case.optimizer()))
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    before = model.get_weights()
    fit(model)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    if case.flips:
        assert int(model.optimizer.inner_optimizer.total_flips()) > 0


class Accumulating(tf.keras.Sequential):
    """Sums the gradients of two batches before it applies them."""

    def train_step(self, data):
        x, y = data
        sums = None
        for part in (slice(0, 8), slice(8, 16)):
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x[part], y[part], self(x[part], training=True))
            found = tape.gradient(loss, self.trainable_variables)
            sums = found if sums is None else [a + b for a, b in zip(sums, found, strict=True)]
        self.optimizer.apply_gradients(zip(sums, self.trainable_variables, strict=True))
        return {"loss": loss}


@row("a custom `train_step` that accumulates gradients")
def accumulated(case, folder):
    tf.keras.utils.set_random_seed(0)
    model = case.compile(Accumulating([tf.keras.Input((16,)), *case.layers()]))
    before = model.get_weights()
    fit(model)
    case.check(model)
    assert int(model.optimizer.iterations) == 4
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


class Subclassed(tf.keras.Model):
    def __init__(self, case):
        super().__init__()
        self.all = case.layers()

    def call(self, x, training=False):
        for layer in self.all:
            x = layer(x, training=training) if "normalization" in layer.name else layer(x)
        return x


@row("a subclassed model")
def subclassed(case, folder):
    model = case.compile(Subclassed(case))
    fit(model)
    case.check(model)
    again = case.compile(Subclassed(case))
    again.train_on_batch(X, Y)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(str(folder / "c"))
    tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(path).assert_consumed()
    goes_on_alike(case, model, again)


def branches(case, inner="head"):
    """Two heads on one trunk, whose inner layers have the same name."""
    inputs = tf.keras.Input((16,))
    trunk = tf.keras.layers.BatchNormalization()(case.dense(8)(inputs))
    heads = [
        tf.keras.Sequential([tf.keras.Input((8,)), case.dense(3, name=inner), norm], name=name)
        for name, norm in (
            ("one", tf.keras.layers.BatchNormalization()),
            ("two", tf.keras.layers.BatchNormalization()),
        )
    ]
    return tf.keras.Model(inputs, [tf.keras.layers.Softmax()(head(trunk)) for head in heads])


@row("a functional model with two outputs, whose inner layers have equal names")
def nested(case, folder):
    tf.keras.utils.set_random_seed(0)
    model = case.compile(branches(case))
    model.fit(X, [Y, Y], batch_size=16, shuffle=False, verbose=0)
    case.check(model)
    if case.flips:
        assert len(model.optimizer.flip_counts()) == 3
    model.save(folder / "m.keras")
    again = tf.keras.models.load_model(folder / "m.keras")
    case.check(again)
    for either in (model, again):
        either.run_eagerly = True
        either.fit(X, [Y, Y], batch_size=16, shuffle=False, verbose=0)
        case.check(either)
    same(model, again)


@row("two heads trained one after the other: a variable without a gradient is left as it is")
def in_turn(case, folder):
    tf.keras.utils.set_random_seed(0)
    model = branches(case)
    optimizer = case.optimizer()
    optimizer.build(model.trainable_variables)
    for turn in range(4):
        before = [v.numpy() for v in model.trainable_variables]
        with tf.GradientTape() as tape:
            outputs = model(X, training=True)
            loss = tf.reduce_mean(
                tf.keras.losses.sparse_categorical_crossentropy(Y, outputs[turn % 2])
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for gradient, old, variable in zip(
            gradients, before, model.trainable_variables, strict=True
        ):
            assert gradient is not None or (old == variable.numpy()).all()
    assert int(optimizer.iterations) == 4


@row("only one group of variables has a gradient")
def one_group(case, folder):
    model = case.net()
    optimizer, variables = model.optimizer, model.trainable_variables
    for group in (slice(0, None, 3), slice(1, None, 3)):  # kernels, then batch normalization
        chosen = variables[group]
        gradients = [tf.ones(v.shape) if any(v is c for c in chosen) else None for v in variables]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    assert int(optimizer.iterations) == 2
    with pytest.raises(ValueError, match="No gradients provided for any variable"):
        optimizer.apply_gradients([(None, v) for v in variables])


@row("a layer that is shared")
def shared(case, folder):
    tf.keras.utils.set_random_seed(0)
    inputs, layer = tf.keras.Input((16,)), case.dense(16)
    x = layer(tf.keras.layers.BatchNormalization()(layer(inputs)))
    x = tf.keras.layers.BatchNormalization()(case.dense(3)(x))
    model = case.compile(tf.keras.Model(inputs, tf.keras.layers.Softmax()(x)))
    fit(model)
    case.check(model)
    if case.flips:
        assert len(model.optimizer.flip_counts()) == 2


@row("`ReduceLROnPlateau` and `LearningRateScheduler`")
def schedulers(case, folder):
    callbacks = tf.keras.callbacks
    model = case.net()
    reduce = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=1e3)
    history = fit(model, epochs=3, callbacks=[reduce]).history
    assert history["lr"][-1] < history["lr"][0] == np.float32(0.01)
    model = case.net()
    fit(
        model,
        epochs=2,
        callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))],
    )
    assert np.isclose(float(model.optimizer.learning_rate), 0.05)
    assert np.isclose(float(model.optimizer.lr), 0.05)


@row("`EarlyStopping(restore_best_weights=True)`")
def early(case, folder):
    model = case.net()
    stop = tf.keras.callbacks.EarlyStopping(
        "loss", patience=1, restore_best_weights=True, min_delta=1e3
    )
    fit(model, epochs=5, callbacks=[stop])
    assert stop.stopped_epoch == 1
    case.check(model)


@row("`BackupAndRestore`: a `fit` that was interrupted continues")
def backup(case, folder):
    def interrupt(epoch, logs):
        if epoch == 1:
            raise RuntimeError("interrupted")

    options = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0}
    callbacks = tf.keras.callbacks
    whole = case.net(run_eagerly=False)
    whole.fit(X, Y, **options)
    model = case.net(run_eagerly=False)
    keep = callbacks.BackupAndRestore(str(folder / "backup"))
    try:
        stop = callbacks.LambdaCallback(on_epoch_begin=interrupt)
        model.fit(X, Y, callbacks=[keep, stop], **options)
    except RuntimeError:
        pass
    model = case.net(run_eagerly=False)
    keep = callbacks.BackupAndRestore(str(folder / "backup"))
    model.fit(X, Y, callbacks=[keep], **options)
    assert int(model.optimizer.iterations) == 12
    case.check(model)
    same(whole, model)


@row("`ModelCheckpoint` in three formats")
def checkpoints(case, folder):
    model = case.net()
    names = ("best.keras", "best.h5", "best")
    keep = [
        tf.keras.callbacks.ModelCheckpoint(str(folder / n), "loss", save_best_only=True)
        for n in names
    ]
    fit(model, epochs=2, callbacks=keep)
    for name in names:
        assert Path(folder / name).exists()
        tf.keras.models.load_model(folder / name, custom_objects=OBJECTS)


@row("`TensorBoard` logs the learning rate, from a schedule")
def tensorboard(case, folder):
    schedule = tf.keras.optimizers.schedules.ExponentialDecay(0.01, 4, 0.5)
    for number, rate in enumerate((0.01, schedule)):
        logs = folder / str(number)
        model = case.net(case.optimizer(learning_rate=rate))
        fit(model, epochs=2, callbacks=[tf.keras.callbacks.TensorBoard(str(logs))])
        (file,) = (logs / "train").glob("events*")
        tags = {
            value.tag for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }  # fmt: skip
        assert ("epoch_learning_rate" in tags) == (number == 1), tags  # Keras logs no float


@row("`optimizer.iterations.assign(n)` moves every schedule")
def iterations(case, folder):
    schedule = tf.keras.optimizers.schedules.PolynomialDecay(0.01, 100, 0.0)
    model = case.net(case.optimizer(learning_rate=schedule))
    fit(model)
    model.optimizer.iterations.assign(50)
    model.train_on_batch(X, Y)
    assert np.isclose(float(model.optimizer.learning_rate), 0.005)
    assert int(model.optimizer.iterations) == 51


@row("`minimize(loss, variables)`, `build` before the first step")
def minimized(case, folder):
    model = case.net()
    optimizer = case.optimizer()
    optimizer.build(model.trainable_variables)
    number = len(optimizer.variables)

    def loss():
        return tf.reduce_mean(
            tf.keras.losses.sparse_categorical_crossentropy(Y, model(X, training=True))
        )

    before = float(loss())
    for _ in range(20):
        optimizer.minimize(loss, model.trainable_variables)
    assert float(loss()) < before and len(optimizer.variables) == number
    assert [v.name for v in optimizer.variables()] == [v.name for v in optimizer.variables]


@row("the same optimizer continues after `compile` again")
def recompiled(case, folder):
    model, again = case.net(), case.net()
    fit(model, epochs=2)
    fit(again)
    case.compile(again, again.optimizer, metrics=["accuracy"])
    fit(again)
    same(model, again)


@row(MIRRORED)
def mirrored(case, folder):
    devices = [d.name for d in tf.config.list_logical_devices("CPU")][:2]
    with tf.distribute.MirroredStrategy(devices).scope():
        model = case.net(run_eagerly=False)
    before = model.get_weights()
    fit(model)
    case.check(model)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    model.save(folder / "m.keras")
    again = tf.keras.models.load_model(folder / "m.keras")
    again.run_eagerly = True
    fit(again)
    case.check(again)
