"""An experiment's network and optimizer, made from its settings, and how its step is computed."""

from __future__ import annotations

from bopkit import models, optimizers, records
from bopkit._tensorflow import tf
from bopkit.experiments import METHODS
from bopkit.models.layers import forward_is_fastest

# The channels in one block of oneDNN's convolutions in bfloat16. If a network's filters are not a
# multiple of it, bfloat16 is slower than float32 (`python -m benchmarks precision`).
BLOCK = 16


def build_model(experiment, data) -> tf.keras.Model:
    """The experiment's network, sized for the data, in the experiment's precision."""
    return models.build_network(
        experiment.network,
        data.image_shape,
        data.num_classes,
        method=experiment.kernels,
        precision=experiment.precision or "float32",
        filters=experiment.filters,
        dense_units=experiment.dense_units,
    )


def build_optimizer(experiment, train_examples: int) -> tf.keras.optimizers.Optimizer:
    """Adam for latent weights; a flip rule for binary ones, and Adam for everything else.

    Args:
        experiment: a `bopkit.experiments.Experiment`.
        train_examples: size of the training set: schedules count steps, experiments epochs.

    Returns:
        An optimizer, with schedules where the experiment has them.
    """

    def steps(epochs):
        # Fractions of a step included, as in the released code.
        return epochs * train_examples // experiment.batch_size

    schedules = tf.keras.optimizers.schedules

    def rate(name):
        start, end = getattr(experiment, name), getattr(experiment, f"{name}_end")
        if end is not None:
            return schedules.PolynomialDecay(start, steps(experiment.epochs), end)
        if getattr(experiment, f"{name}_decay_rate", None) is not None:
            every = steps(getattr(experiment, f"{name}_decay_epochs"))
            factor = getattr(experiment, f"{name}_decay_rate")
            return schedules.ExponentialDecay(start, every, factor, staircase=True)
        return start

    if experiment.glorot_scaling:
        return optimizers.GlorotAdam(rate("learning_rate"))
    adam = tf.keras.optimizers.Adam(rate("learning_rate"))
    method = METHODS[experiment.method]
    if method.optimizer is None:
        return adam
    numbers = {r.name: rate(r.name) for r in method.rates}
    options = {name: getattr(experiment, name) for name in method.options}
    options = {name: value for name, value in options.items() if value is not None}
    return method.load_optimizer()(adam, **numbers, **options)


def compiles(cluster, jit_compile: bool | None = None) -> bool:
    """Decide whether the whole training step is compiled with XLA.

    By default the step is compiled on one GPU, because small operations there cost more to launch
    than to compute. It is not compiled on CPUs, because compiling takes a minute and XLA's
    convolutions were no faster than those of `bopkit.models.layers` (the book's page on speed
    measures one CPU). It is not compiled over several devices, because nobody has tried.

    Args:
        cluster: a `bopkit.training.devices.Cluster`.
        jit_compile: what the user chose; None is the default.
    """
    if jit_compile is not None:
        return jit_compile
    gpus = len(tf.config.get_visible_devices("GPU"))
    return gpus == 1 and cluster.strategy.num_replicas_in_sync == 1


def choose_precision(experiment, *, workers: int = 1, compiled: bool = False) -> str:
    """Decide in which numbers a run computes if its experiment does not say.

    A run computes in bfloat16 on a CPU that has instructions for it, if steps of its network were
    measured to be faster. It computes in float32 on a GPU, where nobody has measured, and on
    several machines, whose CPUs may differ. It also computes in float32 if XLA compiles the step,
    if TensorFlow runs without oneDNN, and if BinaryNet's filters are not a multiple of 16.

    Args:
        experiment: a `bopkit.experiments.Experiment`.
        workers: the number of processes that share the run.
        compiled: whether XLA compiles the whole step.

    Returns:
        "float32" or "mixed_bfloat16".
    """
    if experiment.precision is not None:
        return experiment.precision
    faster = (
        workers == 1
        and not compiled
        and not tf.config.get_visible_devices("GPU")
        and bool(records.hardware().get("bfloat16"))
        and not forward_is_fastest()  # which it is without oneDNN
        and (experiment.filters or BLOCK) % BLOCK == 0
    )
    return "mixed_bfloat16" if faster else "float32"
