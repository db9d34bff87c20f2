"""The training loop: steps, epochs and checkpoints of one run, on one or several devices.

A run can stop after any step and go on from a checkpoint as if it had not: the weights, the
optimizer's state, the metrics of the half-done epoch and the place in the data are all saved,
and the data's order depends on (seed, epoch, step) alone.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from pathlib import Path

from bopkit import models
from bopkit._tensorflow import tf
from bopkit.errors import DataError, TrainingError
from bopkit.experiments.methods import RATES
from bopkit.optimizers.base import FlipOptimizer
from bopkit.training import checkpoints
from bopkit.training.build import build_model, build_optimizer, compiles
from bopkit.training.progress import Progress

# A chunk of steps runs inside one call of a compiled function, about this long, so that
# Python's share of a small step is small and a bar still moves.
CHUNK_SECONDS = 0.5
CURE = "a lower learning rate is the usual cure. The last good checkpoint is kept."


class Loop:
    """Trains one model; holds everything that changes while it does.

    Args:
        experiment: a `bopkit.experiments.Experiment`, resolved.
        data: what `bopkit.data.load` returned.
        seed: of the weights, of the order of the data and of its augmentation.
        cluster: a `bopkit.training.devices.Cluster`.
        folder: where the checkpoints go.
        jit_compile: compile the whole step with XLA; None: where that is fast, see `compiles`.
        check: called before a checkpoint is written; raises where none may be.
    """

    def __init__(
        self, experiment, data, seed, cluster, folder, *, jit_compile=None, check=lambda: None
    ):
        self.check = check
        self.experiment, self.data, self.seed, self.cluster = experiment, data, seed, cluster
        self.strategy = strategy = cluster.strategy
        self.steps = data.steps_per_epoch(experiment.batch_size)
        self._run_step = self._train_step
        if compiles(cluster, jit_compile):
            self._run_step = tf.function(self._train_step, jit_compile=True)
        with strategy.scope():
            self.model = build_model(experiment, data)
            self.optimizer = build_optimizer(experiment, data.train_examples)
            self.optimizer.build(self.model.trainable_variables)
            self.train_metrics = _metrics(data.num_classes)
            self.validation_metrics = _metrics(data.num_classes)
            first = tf.VariableAggregation.ONLY_FIRST_REPLICA
            # Signs that changed among the latent weights; a flip rule counts its flips itself.
            self.latent_flips = tf.Variable(0, dtype=tf.int64, trainable=False, aggregation=first)
            # The most flips of one step of the epoch so far.
            self.most_flips = tf.Variable(0, dtype=tf.int64, trainable=False, aggregation=first)
        self.latent = [
            v for v in self.model.trainable_variables if getattr(v, "precision", None) == 1
        ]
        self.binary_weights = models.count_weights(self.model)[1]
        # What has been done: whole epochs, steps of the next one, its seconds, and how many
        # flips there had been before it.
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.flips_before = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.checkpoint = tf.train.Checkpoint(
            model=self.model,
            optimizer=self.optimizer,
            metrics=list(self.train_metrics.values()),
            latent_flips=self.latent_flips,
            epoch=self.epoch,
            step=self.step,
            seconds=self.seconds,
            flips_before=self.flips_before,
            most_flips=self.most_flips,
        )
        self.manager = tf.train.CheckpointManager(self.checkpoint, str(folder), max_to_keep=2)
        self.saved_at = time.monotonic()
        self.chunk = 1  # steps of the next call; kept between epochs, some of which are short

    def restore(self, progress: Progress) -> bool:
        """Go back to the newest checkpoint that is whole; False where there is none.

        Args:
            progress: where to name the checkpoints that are damaged.
        """
        paths = checkpoints.find(Path(self.manager.directory))
        for path in paths:
            if checkpoints.is_whole(path):
                self.checkpoint.restore(path).assert_existing_objects_matched()
                return True
            progress.note(f"{path} is cut short or damaged: going back to the one before it.")
        if paths:
            progress.note("no checkpoint is whole: beginning again with the first epoch.")
        return False

    def save(self) -> None:
        """Write a checkpoint; on several machines every worker must call this."""
        if self.cluster.chief:
            self.check()  # TensorFlow would make the folder anew
            self.manager.save()
        else:
            # Saving reads variables that are averaged over the workers, so that all take part.
            with tempfile.TemporaryDirectory() as folder:
                self.checkpoint.write(f"{folder}/checkpoint")
        self.saved_at = time.monotonic()

    def batches(self):
        """The training data from here to the end of the run, as one iterator."""
        dataset = self.data.train_batches(
            self.experiment.batch_size,
            seed=self.seed,
            epochs=self.experiment.epochs,
            start_epoch=int(self.epoch),
            start_step=int(self.step),
            shard=(self.cluster.worker, self.cluster.workers),
        )
        return iter(self.cluster.batches(dataset, self._per_replica))

    @property
    def _per_replica(self):
        return self.experiment.batch_size // self.strategy.num_replicas_in_sync

    def train_epoch(self, iterator, progress: Progress, checkpoint_seconds: float) -> dict:
        """Finish the current epoch, validate, and move on to the next.

        Args:
            iterator: what `batches` returned.
            progress: where to show it.
            checkpoint_seconds: save within the epoch where the last checkpoint is older.

        Returns:
            The epoch's row of the record.

        Raises:
            TrainingError: the loss, a weight or one of the rule's averages is NaN or infinite.
            DataError: an image cannot be decoded.
        """
        epoch = int(self.epoch)
        progress.start(epoch + 1, int(self.step))
        while (step := int(self.step)) < self.steps:
            started = time.perf_counter()
            count = min(self.cluster.agree(self.chunk), self.steps - step)
            with self._damaged_images_named(training=True):
                self._train_chunk(iterator, tf.constant(count, tf.int64))
            loss = float(self.train_metrics["loss"].result())
            if not tf.math.is_finite(loss):
                raise TrainingError(
                    f"the loss became {loss} in epoch {epoch + 1}, step {step + count}; {CURE}"
                )
            self.step.assign_add(count)
            took = time.perf_counter() - started
            self.seconds.assign_add(took)
            progress.advance(count, loss, float(self.train_metrics["accuracy"].result()))
            # The first call of all compiles, and would make the estimate far too small.
            if step > 0 or self.chunk > 1:
                self.chunk = max(1, min(2 * self.chunk, int(CHUNK_SECONDS * count / took)))
            else:
                self.chunk = 2
            due = time.monotonic() - self.saved_at > checkpoint_seconds
            if int(self.step) < self.steps and self.cluster.agree(due):
                self._require_finite()
                self.save()
        self._require_finite()
        row = {"epoch": epoch + 1, "seconds": round(float(self.seconds), 3)}
        row |= {name: float(m.result()) for name, m in self.train_metrics.items()}
        row |= {f"val_{name}": value for name, value in self.validate().items()}
        row |= self._optimizer_state()
        if not math.isfinite(row["val_loss"]):
            raise TrainingError(
                f"the validation loss became {row['val_loss']} in epoch {epoch + 1}; {CURE}"
            )
        for metric in self.train_metrics.values():
            metric.reset_state()
        self.epoch.assign_add(1)
        self.step.assign(0)
        self.seconds.assign(0.0)
        self.flips_before.assign(self._flips())
        self.most_flips.assign(0)
        return row

    def validate(self) -> dict[str, float]:
        """Loss, top-1 and top-5 accuracy over the whole validation set."""
        for metric in self.validation_metrics.values():
            metric.reset_state()
        if not hasattr(self, "_validation"):
            batches = self.data.validation_batches(
                self.experiment.batch_size, shard=(self.cluster.worker, self.cluster.workers)
            )
            self._validation = self.cluster.batches(batches, self._per_replica)
            # One trace for batches of every size: the last one is smaller.
            self._validate_batch = tf.function(
                self._validate_batch, input_signature=self._validation.element_spec
            )
        with self._damaged_images_named(training=False):
            for images, labels in self._validation:
                self._validate_batch(images, labels)
        return {name: float(m.result()) for name, m in self.validation_metrics.items()}

    def largest_signal(self) -> float:
        """The largest signal of all binary weights; only with a flip rule."""
        return max(self.optimizer.largest_signals().values())

    def _require_finite(self):
        # Before a checkpoint takes the place of a good one. A gradient may be NaN while the loss
        # is not; a weight of Bop's then keeps its sign for ever, and nothing else would tell.
        kept = {f"the weights {v.name}": v for v in self.model.trainable_variables}
        broken = [what for what, v in kept.items() if not _is_finite(v)]
        if isinstance(self.optimizer, FlipOptimizer):
            names = ", ".join(self.optimizer.averages)
            signals = self.optimizer.largest_signals()
            broken += [f"the averages {names} of {k}" for k, v in signals.items() if math.isinf(v)]
        if broken:
            raise TrainingError(
                f"{broken[0]} became NaN or infinite in epoch {int(self.epoch) + 1}, at or before "
                f"step {int(self.step)}, from a gradient that was, though the loss was not; {CURE}"
            )

    @contextlib.contextmanager
    def _damaged_images_named(self, training):
        # TensorFlow's error does not say which image it could not decode.
        try:
            yield
        except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
            where = (self.experiment.batch_size, self.seed, int(self.epoch), int(self.step))
            damaged = self.data.find_damaged(*(where if training else ()))
            if damaged is None:
                raise
            raise DataError(damaged) from error

    def _optimizer_state(self):
        flips = int(self._flips() - self.flips_before)
        rates = RATES
        return {
            "flip_ratio": flips / (self.binary_weights * self.steps),
            "max_flip_ratio": int(tf.convert_to_tensor(self.most_flips)) / self.binary_weights,
            # Of the schedules, where they stand now; null for what the method does not have.
            **{
                r: float(getattr(self.optimizer, r)) if hasattr(self.optimizer, r) else None
                for r in rates
            },
            "learning_rate": float(tf.convert_to_tensor(self.optimizer.learning_rate)),
        }

    def _flips(self) -> tf.Tensor:
        if isinstance(self.optimizer, FlipOptimizer):
            return self.optimizer.total_flips()
        return tf.convert_to_tensor(self.latent_flips)

    @tf.function
    def _train_chunk(self, iterator, count):
        for _ in tf.range(count):
            self.strategy.run(self._run_step, args=next(iterator))

    def _train_step(self, images, labels):
        with tf.GradientTape() as tape:
            probabilities = self.model(images, training=True)
            losses = tf.keras.losses.categorical_crossentropy(labels, probabilities)
            penalty = tf.add_n(self.model.losses) if self.model.losses else tf.constant(0.0)
            # The mean over the global batch: the gradients of the replicas are summed.
            share = tf.reduce_sum(losses) / self.experiment.batch_size
            loss = share + penalty / self.strategy.num_replicas_in_sync
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        latent = [] if isinstance(self.optimizer, FlipOptimizer) else self.latent
        signs = [tf.identity(v >= 0) for v in latent]
        flips_before = tf.identity(self._flips())
        with tf.control_dependencies([*signs, flips_before]):
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for before, variable in zip(signs, latent, strict=True):
            changed = tf.not_equal(before, variable >= 0)
            self.latent_flips.assign_add(tf.math.count_nonzero(changed))
        self.most_flips.assign(tf.maximum(self.most_flips, self._flips() - flips_before))
        _update(self.train_metrics, losses + penalty, labels, probabilities)

    def _validate_batch(self, images, labels):
        self.strategy.run(self._validation_step, args=(images, labels))

    def _validation_step(self, images, labels):
        probabilities = self.model(images, training=False)
        losses = tf.keras.losses.categorical_crossentropy(labels, probabilities)
        penalty = tf.add_n(self.model.losses) if self.model.losses else tf.constant(0.0)
        _update(self.validation_metrics, losses + penalty, labels, probabilities)


def _is_finite(variable) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(variable))))


def _metrics(num_classes):
    metrics = {
        "loss": tf.keras.metrics.Mean(),
        "accuracy": tf.keras.metrics.CategoricalAccuracy(),
    }
    if num_classes > 5:
        metrics["top_5_accuracy"] = tf.keras.metrics.TopKCategoricalAccuracy(5)
    return metrics


def _update(metrics, losses, labels, probabilities):
    for name, metric in metrics.items():
        if name == "loss":
            metric.update_state(losses)
        else:
            metric.update_state(labels, probabilities)
