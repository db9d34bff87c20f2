"""Training steps to compare: bopkit's own loop, with its optimizer or with larq's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from unittest import mock

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq
import numpy as np

from bopkit import experiments, models, records
from bopkit.data.memory import InMemory
from bopkit.experiments import Experiment
from bopkit.models import networks
from bopkit.training.devices import Cluster, find_cluster
from bopkit.training.state import State
from bopkit.training.step import compile_training

# More epochs than any measurement takes: one pipeline serves it all. With still more the experiment
# would be refused: gamma, a tenth every 100 epochs, would end below what float32 holds.
EPOCHS = 3_000


class Uncounted(State):
    """A state whose flips nobody counts, of latent weights or of larq's Bop."""

    latent = ()


@dataclasses.dataclass
class Loop:
    """What one contestant trains with; the attributes are those of `bopkit.training.loop.fit`."""

    state: State
    experiment: Experiment
    data: InMemory
    cluster: Cluster
    jit_compile: bool | None

    @property
    def model(self) -> tf.keras.Model:
        """The network."""
        return self.state.model

    @property
    def optimizer(self) -> tf.keras.optimizers.Optimizer:
        """The network's optimizer."""
        return self.state.optimizer

    @property
    def binary_weights(self) -> int:
        """How many binary weights the network has."""
        return models.count_weights(self.model)[1]

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.data.steps_per_epoch(self.experiment.batch_size)


def precisions() -> list[str]:
    """The precisions of training: float32, and bfloat16 where the processor computes in it."""
    return ["float32", *(["mixed_bfloat16"] if records.hardware()["bfloat16"] else [])]


def noise(
    shape: tuple[int, int, int] = (32, 32, 3),
    preprocess: str = "resize_and_flip",
    count: int = 4096,
) -> InMemory:
    """A set of the form of CIFAR-10 whose images are noise, which costs as much to train on.

    Args:
        shape: height, width, channels.
        preprocess: as in `bopkit.data.load`.
        count: training images.

    Returns:
        The set.
    """
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, *shape), np.uint8)
    halves = (images, random.integers(0, 10, count)), (images[:256], random.integers(0, 10, 256))
    return InMemory("noise", *halves, None, None, preprocess, num_classes=10)


def make_loop(
    data: InMemory,
    *,
    network: str = "binarynet",
    method: str = "bop",
    jit_compile: bool | None = None,
    **hparams,
) -> Loop:
    """The training loop of bopkit around a network; BinaryNet is the one of section 5.2.

    Args:
        data: what to train on.
        network: a name of `bopkit.models.NETWORKS`.
        method: "bop"; "latent", weights with Adam; or "larq", the network of "bop" with larq's own
            layers and quantizers, under its `CaseOptimizer` of its `Bop` and Adam. All else is the
            same for all three. Only with "bop" are flips counted: no other is charged for it.
        jit_compile: as in `bopkit.train`.
        hparams: fields of the experiment.

    Returns:
        The loop.
    """
    bop = "bop_sec52" if network == "binarynet" else "bop"
    chosen = experiments.get(network, "default" if method == "latent" else bop)
    experiment = experiments.override(chosen, {"epochs": EPOCHS, **hparams})
    cluster = find_cluster(experiment.batch_size)
    larqs = {"SteSign": lq.quantizers.SteSign, "QuantConv2D": lq.layers.QuantConv2D}
    with mock.patch.dict(vars(networks), larqs if method == "larq" else {}):
        kind = State if method == "bop" else Uncounted
        state = kind.begin(experiment, data, cluster.strategy)
    if method == "larq":
        adam = tf.keras.optimizers.legacy.Adam(experiment.learning_rate)
        bop = lq.optimizers.Bop(threshold=experiment.threshold, gamma=experiment.gamma)
        pair = (lq.optimizers.Bop.is_binary_variable, bop)
        state.optimizer = lq.optimizers.CaseOptimizer(pair, default_optimizer=adam)
    return Loop(state, experiment, data, cluster, jit_compile)


def stepper(loop: Loop, steps: int = 1) -> Callable[[], None]:
    """A function that trains for so many steps, with data and metrics, and waits for the end."""
    batch_size, count = loop.experiment.batch_size, tf.constant(steps, tf.int64)
    batches = loop.data.train_batches(batch_size, seed=0, epochs=EPOCHS)
    batches = iter(loop.cluster.batches(batches, batch_size))
    train_steps = compile_training(loop.state, loop.cluster, batch_size, loop.jit_compile)

    def run():
        train_steps(batches, count)
        float(loop.state.metrics[0].result())

    return run


def batch_of(loop: Loop) -> tuple[tf.Tensor, tf.Tensor]:
    """One batch, for what is measured without a pipeline."""
    return next(iter(loop.data.train_batches(loop.experiment.batch_size, seed=0, epochs=1)))


def forward_backward(loop: Loop) -> Callable[[], None]:
    """A function that computes the gradients of one batch, and nothing else."""
    images, labels = batch_of(loop)

    @tf.function
    def gradients(images, labels):
        with tf.GradientTape() as tape:
            probabilities = loop.model(images, training=True)
            losses = tf.keras.losses.categorical_crossentropy(labels, probabilities)
            loss = tf.reduce_mean(losses)
        # Returned, or TensorFlow would not compute them.
        return tape.gradient(loss, loop.model.trainable_variables)

    def run():
        gradients(images, labels)

    return run
