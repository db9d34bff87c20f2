"""The sizes that a notebook runs at: smoke, laptop and paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bopkit import experiments
from bopkit.experiments import Experiment

# The sizes that a notebook runs at, by the paper's data set that they stand in for. They change
# how much is computed and on what, not how.
PRESETS: dict[str, dict[str, dict[str, dict]]] = {
    "smoke": {  # seconds, on data that needs no download
        "cifar10": {
            "data": {"dataset": "digits"},
            "hparams": {
                "epochs": 10,
                "batch_size": 50,
                "filters": 16,
                "dense_units": 64,
                "precision": "float32",  # the same on every CPU
            },
        },
        "imagenet2012": {  # a sample of drawn pictures: see bopkit.data.imagenet.drawn
            "data": {"dataset": "imagenet2012", "train_examples": 16, "validation_examples": 12},
            "hparams": {"epochs": 2, "batch_size": 8, "precision": "float32"},
        },
    },
    "laptop": {  # a CPU, minutes
        "cifar10": {
            "data": {"dataset": "fashion_mnist"},
            "hparams": {"epochs": 10, "batch_size": 100, "filters": 32, "dense_units": 256},
        },
        "imagenet2012": {  # few: at 224x224 an image costs a CPU a tenth of a second
            "data": {
                "dataset": "fashion_mnist",
                "train_examples": 2000,
                "validation_examples": 500,
            },
            "hparams": {"epochs": 3, "batch_size": 50},
        },
    },
    "paper": {},  # GPUs; the experiments as they stand
}


def resize(experiment: Experiment, preset: str, values: Mapping[str, object]) -> Experiment:
    """An experiment at the size of a preset.

    A staircase keeps its shape: a rate falls at the same shares of the run, however many epochs
    that has.

    Args:
        experiment: the one to start from.
        preset: a name of `PRESETS`.
        values: further changes, as `bopkit.experiments.override` takes them; they come before
            the preset's.

    Returns:
        A new experiment.

    Raises:
        ConfigError: as `bopkit.experiments.override`.
    """
    sizes = PRESETS[preset].get(experiment.dataset, {}).get("hparams", {})
    resized = experiments.override(experiment, sizes | dict(values))
    for field in ("gamma_decay_epochs", "learning_rate_decay_epochs"):
        every = getattr(experiment, field)
        if every and field not in values:
            every = max(1, round(resized.epochs * every / experiment.epochs))
            resized = dataclasses.replace(resized, **{field: every})
    return resized
