"""One training step and one pass over the validation set, as TensorFlow compiles them."""

from __future__ import annotations

import functools
from collections.abc import Callable

from bopkit._tensorflow import tf
from bopkit.training.build import compiles
from bopkit.training.faults import Stop
from bopkit.training.state import State, make_metrics, read_metrics


def train_step(state: State, batch_size: int, images: tf.Tensor, labels: tf.Tensor) -> None:
    """Update the weights once, from one replica's part of a batch.

    Args:
        state: what is updated.
        batch_size: of the global batch, over all replicas.
        images: float32, (images, height, width, channels).
        labels: one-hot float32, (images, classes).
    """
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    with tf.GradientTape() as tape:
        probabilities, losses, penalty = _forward(state.model, images, labels, training=True)
        # The mean over the global batch: the gradients of the replicas are summed.
        loss = tf.reduce_sum(losses) / batch_size + penalty / replicas
    variables = state.model.trainable_variables
    gradients = tape.gradient(loss, variables)

    latent = state.latent
    signs = [tf.identity(v >= 0) for v in latent]
    flips_before = tf.identity(state.flips())
    with tf.control_dependencies([*signs, flips_before]):
        state.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    for before, variable in zip(signs, latent, strict=True):
        changed = tf.not_equal(before, variable >= 0)
        state.latent_flips.assign_add(tf.math.count_nonzero(changed))
    state.most_flips.assign(tf.maximum(state.most_flips, state.flips() - flips_before))

    _update(state.metrics, losses + penalty, labels, probabilities)


def compile_training(
    state: State, cluster, batch_size: int, jit_compile: bool | None = None
) -> Callable[[object, tf.Tensor], None]:
    """Compile the training of several steps into one call, so that Python's share of it is small.

    Args:
        state: what is trained.
        cluster: a `bopkit.training.devices.Cluster`.
        batch_size: of the global batch, over all replicas.
        jit_compile: compile each step with XLA as a whole; None compiles it where
            `bopkit.training.build.compiles` says so.

    Returns:
        A function of an iterator over batches and of the number of steps, an int64 scalar.
    """
    step = functools.partial(train_step, state, batch_size)
    if compiles(cluster, jit_compile):
        step = tf.function(step, jit_compile=True)

    @tf.function
    def train_steps(batches, count):
        for _ in tf.range(count):
            cluster.strategy.run(step, args=next(batches))

    return train_steps


def compile_evaluation(
    state: State, cluster, batches, num_classes: int, stop: Stop, save: Callable[[], None]
) -> Callable[[], dict]:
    """Compile the pass over a validation set.

    Args:
        state: whose network is evaluated.
        cluster: a `bopkit.training.devices.Cluster`.
        batches: the whole set, as `Cluster.batches` hands it out.
        num_classes: of the data.
        stop: answered between two batches, where no other worker waits for this one.
        save: writes a checkpoint; called before the answer.

    Returns:
        A function without arguments that returns loss, top-1 and top-5 accuracy by name.
    """
    with cluster.strategy.scope():
        metrics = make_metrics(num_classes)

    def step(images, labels):
        probabilities, losses, penalty = _forward(state.model, images, labels, training=False)
        _update(metrics, losses + penalty, labels, probabilities)

    # One trace for batches of every size: the last one is smaller.
    @tf.function(input_signature=batches.element_spec)
    def evaluate_batch(images, labels):
        cluster.strategy.run(step, args=(images, labels))

    def evaluate():
        for metric in metrics:
            metric.reset_state()
        for images, labels in batches:
            evaluate_batch(images, labels)
            if stop.number is not None and cluster.workers == 1:
                save()  # what was trained since the last checkpoint can be a whole epoch
                stop.answer()
        return read_metrics(metrics)

    return evaluate


def _forward(model, images, labels, training):
    """Probabilities, the loss of each image, and the penalty of the regularized kernels."""
    probabilities = model(images, training=training)
    losses = tf.keras.losses.categorical_crossentropy(labels, probabilities)
    penalty = tf.add_n(model.losses) if model.losses else tf.constant(0.0)
    return probabilities, losses, penalty


def _update(metrics, losses, labels, probabilities):
    loss, *accuracies = metrics
    loss.update_state(losses)
    for accuracy in accuracies:
        accuracy.update_state(labels, probabilities)
