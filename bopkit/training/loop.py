"""The training loop, to be read from top to bottom: steps, epochs, validation."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator

from bopkit import models
from bopkit._tensorflow import tf
from bopkit.errors import DataError, TrainingError
from bopkit.training.faults import Stop, in_short
from bopkit.training.progress import Progress
from bopkit.training.state import CURE, State, read_metrics
from bopkit.training.step import compile_evaluation, compile_training

# Several steps run inside one call of a compiled function, for about this long, so that Python's
# share of a small step is small and a bar still moves.
CALL_SECONDS = 0.5
# What a row says of the clock: two equal runs differ in it.
TIMES = ("seconds", "images_per_second")


def fit(
    state: State,
    experiment,
    data,
    *,
    seed: int,
    cluster,
    show: Progress,
    stop: Stop,
    log: Callable[[int, dict[str, float]], None],
    save: Callable[[], None],
    save_seconds: float,
    jit_compile: bool | None = None,
) -> Iterator[dict]:
    """Train from the state's step to the end of the experiment's last epoch.

    Args:
        state: what is trained; it changes in place.
        experiment: a `bopkit.experiments.Experiment`, resolved.
        data: what `bopkit.data.load` returned.
        seed: of the order of the data and of its augmentation.
        cluster: a `bopkit.training.devices.Cluster`.
        show: where the steps are shown.
        stop: whether the run was asked to stop. It is answered after a checkpoint, between two
            calls of the steps or two batches of the validation.
        log: takes the number of a step and its scalars, every few minutes.
        save: writes a checkpoint; called within an epoch.
        save_seconds: the age of the last checkpoint from which `save` is called.
        jit_compile: as in `bopkit.train`.

    Yields:
        The record's row of each epoch. The caller saves it, and then a checkpoint.

    Raises:
        TrainingError: the loss, a weight or one of the rule's averages is NaN or infinite.
        DataError: an image cannot be decoded.
        SystemExit, KeyboardInterrupt: the run was asked to stop.
    """
    batch_size, shard = experiment.batch_size, (cluster.worker, cluster.workers)
    steps, binary_weights = data.steps_per_epoch(batch_size), models.count_weights(state.model)[1]
    start = {"start_epoch": int(state.epoch), "start_step": int(state.step)}
    training = data.train_batches(
        batch_size, seed=seed, epochs=experiment.epochs, shard=shard, **start
    )
    validation = cluster.batches(data.validation_batches(batch_size, shard=shard), batch_size)
    train_steps = compile_training(state, cluster, batch_size, jit_compile)
    evaluate = compile_evaluation(state, cluster, validation, data.num_classes, stop, save)
    batches = iter(cluster.batches(training, batch_size))
    chunk, first, saved = 1, True, time.monotonic()
    stop.training = True

    for epoch in range(int(state.epoch), experiment.epochs):
        show.start(epoch + 1, int(state.step))
        while (step := int(state.step)) < steps:
            started, count = time.perf_counter(), min(cluster.agree(chunk), steps - step)
            with _damaged_images_named(data, show, batch_size, seed, epoch, step):
                train_steps(batches, tf.constant(count, tf.int64))
            now = read_metrics(state.metrics)
            _require_finite("loss", now["loss"], f"epoch {epoch + 1}, step {step + count}")
            took = time.perf_counter() - started
            state.step.assign_add(count)
            state.seconds.assign_add(took)
            scalars = show.advance(
                count, took, now, functools.partial(state.flip_ratio, step + count, binary_weights)
            )
            if scalars:
                log(epoch * steps + step + count, scalars)
            # The first call compiles too, so its time says nothing about the next one.
            chunk = 2 if first else max(1, min(2 * chunk, int(CALL_SECONDS * count / took)))
            first, due = False, time.monotonic() - saved > save_seconds
            stopping = cluster.any(stop.number is not None)
            if stopping or (step + count < steps and cluster.agree(due)):
                state.require_finite()
                save()
                saved = time.monotonic()
            if stopping:
                del batches  # its threads must end before the interpreter does
                stop.answer()
        state.require_finite()
        seconds = float(state.seconds)
        row = {"epoch": epoch + 1, "seconds": round(seconds, 3)}
        row["images_per_second"] = round(steps * batch_size / seconds, 1)
        row |= read_metrics(state.metrics)
        with _damaged_images_named(data, show):
            row |= {f"val_{name}": value for name, value in evaluate().items()}
        _require_finite("validation loss", row["val_loss"], f"epoch {epoch + 1}")
        row |= state.read_flips_and_rates(steps, binary_weights)
        state.end_epoch()
        yield row
        saved = time.monotonic()


def _require_finite(what, loss, where):
    if not math.isfinite(loss):
        raise TrainingError(f"the {what} became {loss} in {where}; {CURE}")


@contextlib.contextmanager
def _damaged_images_named(data, show, *where):
    """Name the image in the error: TensorFlow does not say which one it could not decode."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        # To decode them all again can take long, and the error may be of another kind.
        show.note(f"TensorFlow stopped ({in_short(error)}): looking for a damaged image.")
        damaged = data.find_damaged(*where)
        if damaged is None:
            raise
        raise DataError(damaged) from error
