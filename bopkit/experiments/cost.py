"""Count what a run of the paper costs: floating-point operations, and hours on a GPU.

The operations follow from the shapes of the layers, and the hours from a GPU's published peak and
an assumed fraction of it: neither is measured. TensorFlow is imported only to count a network.

A GPU multiplies binary weights as the floating-point numbers -1 and +1: training a binary network
costs as many operations as training a real-valued one of the same shape.

Attributes:
    GPUS: the GPUs whose hours can be estimated, "V100", "A100" and "H100". Each has the peak of its
        dense matrix products in FLOP/s by precision, "float32" or "mixed_bfloat16", as NVIDIA
        publishes it. A V100 has no bfloat16.
    DATASETS: the papers' data sets, "cifar10" and "imagenet2012". Each has the number of training
        images, the number of validation images, the shape of an image, and the number of classes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bopkit import experiments
from bopkit._support.text import markdown
from bopkit.errors import ConfigError, unknown
from bopkit.experiments import Experiment

if TYPE_CHECKING:
    from bopkit._tensorflow import tf

# The paper's data: training images, validation images, shape of an image, classes.
DATASETS = {
    "cifar10": (50_000, 10_000, (32, 32, 3), 10),
    "imagenet2012": (1_281_167, 50_000, (224, 224, 3), 1000),
}

# Peak of dense matrix products as NVIDIA publishes it, in FLOP/s, by `Experiment.precision`.
# TensorFlow runs float32 products as TF32 where the GPU has it. A V100 has neither TF32 nor
# bfloat16, and the 125e12 of its float16 are of no use here: float16 cannot hold Bop's threshold.
GPUS: dict[str, dict[str, float]] = {
    "V100": {"float32": 15.7e12},
    "A100": {"float32": 156e12, "mixed_bfloat16": 312e12},
    "H100": {"float32": 494.7e12, "mixed_bfloat16": 989.4e12},  # the SXM module
}


def count_macs(model: tf.keras.Model) -> int:
    """Count the multiply-accumulates of one image's forward pass through a model.

    A convolution takes `output height x output width x output channels x kernel height x kernel
    width x input channels` multiply-accumulates. A dense layer takes `inputs x units`. The count
    leaves out batch normalization, pooling and activations, whose share is below a hundredth. A
    layer that the model calls several times counts once.

    Args:
        model: a built Keras model, quantized layers and models within it included.

    Returns:
        Multiply-accumulates per image.

    Raises:
        ConfigError: a layer with a kernel is neither dense nor a convolution, or the size of its
            images is not known.

    Example:
        >>> network = bopkit.models.binarynet((32, 32, 3), 10)
        >>> bopkit.experiments.cost.count_macs(network)
        514072064
    """
    from bopkit._tensorflow import tf

    layers, macs = tf.keras.layers, 0
    transposed = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
    known = (
        *(layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D, *transposed),
        *(layers.DepthwiseConv1D, layers.DepthwiseConv2D),
        *(layers.SeparableConv1D, layers.SeparableConv2D),
    )
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            macs += count_macs(layer)
            continue
        weights = [v.shape.num_elements() for v in layer.weights if v.shape.rank > 1]
        if not weights or isinstance(layer, layers.Embedding | layers.PReLU):
            continue
        if not isinstance(layer, known):
            raise ConfigError(
                "only dense layers and convolutions can be counted; "
                f"{layer.name} is of the class {type(layer).__name__}."
            )
        # The kernel is at each place of the output once, or of the input if it is transposed.
        shape = layer.input_shape if isinstance(layer, transposed) else layer.output_shape
        first = getattr(layer, "data_format", "channels_last") == "channels_first"
        places = shape[2:] if first else shape[1:-1]
        if None in places:
            raise ConfigError(f"{layer.name} has images of unknown size: name it in the Input.")
        macs += math.prod(places) * sum(weights)
    return macs


def forward_macs(experiment: str | Experiment) -> int:
    """Count the multiply-accumulates of one of the paper's images through an experiment's network.

    Args:
        experiment: a name of `bopkit.experiments.EXPERIMENTS`, or an `Experiment`.

    Returns:
        Multiply-accumulates per image; see `count_macs`.

    Raises:
        ConfigError: as `training_flops`.

    Example:
        >>> bopkit.experiments.cost.forward_macs("binarynet/bop")
        514072064
    """
    experiment, (_, _, image_shape, num_classes) = _resolve(experiment)
    if experiment.image_size:
        image_shape = (experiment.image_size, experiment.image_size, image_shape[-1])
    sizes = {"filters": experiment.filters, "dense_units": experiment.dense_units}
    sizes = tuple((key, value) for key, value in sizes.items() if value is not None)
    return _forward_macs(experiment.network, image_shape, num_classes, sizes)


def training_flops(experiment: str | Experiment) -> float:
    """Count the floating-point operations of a whole training run.

        FLOP = 2 x 3 x forward MACs per image x batch size x steps per epoch x epochs

    2 because a multiply-accumulate is two operations; 3 because the backward pass takes two
    products of the forward pass's size, one for the gradient of the inputs and one for that of the
    weights (the first layer needs no gradient of its inputs, so that this counts up to 3 % too
    many). Steps are the full batches in the data's true number of training images. Validation, the
    optimizer and decoding the images are left out.

    Args:
        experiment: a name of `bopkit.experiments.EXPERIMENTS`, or an `Experiment`.

    Returns:
        Operations (FLOP, not FLOP per second).

    Raises:
        ConfigError: there is no such experiment or network, or its data is not the paper's.

    Example:
        >>> bopkit.experiments.cost.training_flops("binarynet/bop") / 1e15  # PFLOP
        15.42216192
    """
    experiment, (train_examples, *_) = _resolve(experiment)
    images = train_examples // experiment.batch_size * experiment.batch_size * experiment.epochs
    return 2.0 * 3.0 * forward_macs(experiment) * images


def gpu_hours(experiment: str | Experiment, gpu: str = "A100", fraction: float = 0.3) -> float:
    """Estimate the hours of training on one GPU that reaches an assumed fraction of its peak.

        hours = FLOP / (fraction x peak FLOP/s) / 3600

    Args:
        experiment: a name of `bopkit.experiments.EXPERIMENTS`, or an `Experiment`; its precision
            decides which of the GPU's peaks counts (float32 if it is not set).
        gpu: "V100", "A100" or "H100", the names of `GPUS`.
        fraction: of the peak, above 0 and at most 1. An assumption, not a measurement: small
            convolutions and slow decoding of images can push it well below the default.

    Returns:
        Hours; n GPUs take at least the n-th part of them.

    Raises:
        ConfigError: as `training_flops`; or the GPU is not in the table, has no such precision, or
            the fraction is out of range.

    Example:
        >>> round(bopkit.experiments.cost.gpu_hours("birealnet/bop", "A100"))
        25
    """
    experiment, _ = _resolve(experiment)
    if gpu not in GPUS:
        raise ConfigError(unknown("GPU", gpu, GPUS))
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction must be above 0 and at most 1; got {fraction}.")
    precision = experiment.precision or "float32"
    peak = GPUS[gpu].get(precision)
    if peak is None:
        raise ConfigError(
            f"a {gpu} cannot run precision {precision}; it has: {', '.join(GPUS[gpu])}."
        )
    return training_flops(experiment) / (fraction * peak) / 3600


def training_steps(experiment: str | Experiment) -> int:
    """Count the optimizer's steps of a whole training run: full batches per epoch, times epochs.

    Args:
        experiment: a name of `bopkit.experiments.EXPERIMENTS`, or an `Experiment`.

    Returns:
        Steps.

    Raises:
        ConfigError: as `training_flops`.

    Example:
        >>> training_steps("binarynet/bop_sec52")
        500000
    """
    experiment, (train_examples, *_) = _resolve(experiment)
    return train_examples // experiment.batch_size * experiment.epochs


def cost_table(
    chosen: Iterable[str | Experiment],
    gpu: str = "A100",
    fractions: Iterable[float] = (0.3, 0.1),
    *,
    measured: Mapping[str, float] | None = None,
    machine: str = "",
) -> str:
    """Tabulate the cost of some experiments as Markdown.

    Args:
        chosen: each a name of `bopkit.experiments.EXPERIMENTS`, or an `Experiment`.
        gpu: "V100", "A100" or "H100", the names of `GPUS`.
        fractions: of its peak. The table has one column of hours for each, with the milliseconds
            per step that these hours assume: whoever measures a step can correct the hours.
        measured: by experiment, the seconds of a step in float32 on another machine; None adds no
            such column.
        machine: that machine's name, for the heading.

    Returns:
        Markdown; one line per experiment.

    Raises:
        ConfigError: as `gpu_hours`.

    Example:
        >>> print(bopkit.experiments.cost.cost_table(["birealnet/bop"], fractions=[0.3]))
        | experiment | GMAC per image | steps | EFLOP | A100 hours at 30% of peak (ms per step) |
        | --- | ---: | ---: | ---: | ---: |
        | `birealnet/bop` | 1.81 | 375,300 | 4.2 | 25 (238) |
    """
    fractions = list(fractions)
    hours = [f"{gpu} hours at {fraction:.0%} of peak (ms per step)" for fraction in fractions]
    header = ["experiment", "GMAC per image", "steps", "EFLOP", *hours]
    if measured is not None:
        header.append(f"hours at the measured ms per step in float32, {machine}")
    rows = []
    for experiment in chosen:
        experiment, _ = _resolve(experiment)
        steps = training_steps(experiment)
        row = [f"`{experiment.name}`", f"{forward_macs(experiment) / 1e9:.2f}"]
        row += [f"{steps:,}", f"{training_flops(experiment) / 1e18:.2g}"]
        row += [_hours(gpu_hours(experiment, gpu, share), steps) for share in fractions]
        if measured is not None:
            seconds = measured.get(experiment.name)
            row.append("–" if seconds is None else _hours(seconds * steps / 3600, steps))
        rows.append(row)
    return markdown(header, rows, right=len(header) - 1)


def _hours(hours, steps):
    return f"{_round(hours)} ({_round(3.6e6 * hours / steps)})"


def _round(value):
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"  # 99.5 becomes 100, not 1e+02


def _resolve(experiment):
    if isinstance(experiment, str):
        experiment = experiments.get(experiment)
    if experiment.dataset not in DATASETS:
        raise ConfigError(
            f"the cost is counted on the paper's data: {', '.join(DATASETS)}; "
            f"got {experiment.dataset}."
        )
    return experiment, DATASETS[experiment.dataset]


@functools.cache  # a network takes about half a second to build
def _forward_macs(network, image_shape, num_classes, sizes):
    from bopkit import models
    from bopkit._tensorflow import tf

    if network not in models.NETWORKS:
        raise ConfigError(unknown("network", network, models.NETWORKS))
    # In a graph of its own a network has only shapes. With their weights the two AlexNets would
    # take 750 MB, which TensorFlow does not give back. Keras calls something deprecated on the way.
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        with tf.Graph().as_default():
            return count_macs(models.NETWORKS[network](image_shape, num_classes, **dict(sizes)))
    finally:
        logger.setLevel(level)
