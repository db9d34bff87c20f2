"""The smallest experiment, where a step is short: what Python, Keras and the loop add to it."""

from __future__ import annotations

import math
import time

from bopkit._tensorflow import tf  # isort: skip

from benchmarks import steps
from benchmarks.timing import in_turn, ratio, summary
from bopkit import data as bopdata
from bopkit.training.build import build_model, build_optimizer
from bopkit.training.faults import Stop
from bopkit.training.loop import fit
from bopkit.training.progress import Progress

HPARAMS = {"batch_size": 100, "filters": 32, "dense_units": 256}


def run(smoke: bool) -> dict:
    """Measure whole epochs of the digits: 14 steps.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    data = bopdata.load("digits", image_size=16)
    loop = steps.make_loop(data, preprocess="default", **HPARAMS)
    runs = {
        "bare": _bare(steps.make_loop(data, preprocess="default", **HPARAMS)),
        "bopkit": _epoch(loop),
        "Keras": _keras_epoch(loop.experiment, data),
    }
    seconds = in_turn(runs, 2 if smoke else 15, warmup=2)
    overhead = {
        name: [1 - bare / whole for bare, whole in zip(seconds["bare"], seconds[name], strict=True)]
        for name in ("bopkit", "Keras")
    }
    one = [1.0] * len(seconds["bare"])
    return {
        "settings": {"steps": loop.steps, **HPARAMS},
        "times": {f"{name}, an epoch": summary(values) for name, values in seconds.items()},
        "ratios": {
            "bopkit": ratio(
                "share of an epoch's training that is not forward, backward and update: bopkit",
                overhead["bopkit"],
                one,
                at_most=0.25,
            ),
            "Keras": ratio(
                "the same share: Keras' fit, the same model, optimizer, metrics and pipeline",
                overhead["Keras"],
                one,
            ),
            "bopkit against Keras": ratio(
                "epochs per second: bopkit's loop against Keras' fit",
                seconds["Keras"],
                seconds["bopkit"],
            ),
        },
    }


def _bare(loop):
    """An epoch's steps, compiled as one, on a batch that is there: no input, metrics, Python."""
    images, labels = steps.batch_of(loop)

    @tf.function
    def epoch(images, labels):
        for _ in tf.range(loop.steps):
            with tf.GradientTape() as tape:
                probabilities = loop.model(images, training=True)
                losses = tf.keras.losses.categorical_crossentropy(labels, probabilities)
                loss = tf.reduce_mean(losses)
            variables = loop.model.trainable_variables
            gradients = tape.gradient(loss, variables)
            loop.optimizer.apply_gradients(zip(gradients, variables, strict=True))

    return lambda: _ignore(epoch(images, labels))


class _Watch(Progress):
    """Measures the steps of an epoch, without its validation, as `_keras_epoch` does."""

    def start(self, epoch, step):
        super().start(epoch, step)
        self.started = time.perf_counter()

    def advance(self, *_):
        self.seconds = time.perf_counter() - self.started


def _epoch(loop):
    watch = _Watch(steps.EPOCHS, loop.steps, HPARAMS["batch_size"], silent=True)
    rows = fit(
        loop.state,
        loop.experiment,
        loop.data,
        seed=0,
        cluster=loop.cluster,
        show=watch,
        stop=Stop(),
        log=lambda step, scalars: None,
        save=lambda: None,
        save_seconds=math.inf,
    )

    def epoch():
        next(rows)
        return watch.seconds

    return epoch


def _keras_epoch(experiment, data):
    class Watch(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = time.perf_counter() - self.started

    model = build_model(experiment, data)
    optimizer = build_optimizer(experiment, data.train_examples)
    top_5 = tf.keras.metrics.TopKCategoricalAccuracy(5)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy", top_5])
    every = data.steps_per_epoch(experiment.batch_size)
    batches = data.train_batches(experiment.batch_size, seed=0, epochs=3)

    def epoch():
        watch = Watch()
        # The last of three: `fit` sets up its iterator within the first.
        model.fit(batches, epochs=3, steps_per_epoch=every, verbose=0, callbacks=[watch])
        return watch.seconds

    return epoch


def _ignore(_):
    return None
