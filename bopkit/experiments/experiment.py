"""Define an experiment: its fields, the values they may have, and which of them go together.

No TensorFlow here.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping

import numpy as np

from bopkit.errors import ConfigError, unknown
from bopkit.experiments import methods
from bopkit.experiments.values import coerce
from bopkit.rules import ranges

PRECISIONS = ("float32", "mixed_bfloat16")

# What an experiment is; the other fields are its hyperparameters, which `override` changes.
FIXED = ("name", "network", "method", "dataset")


@dataclasses.dataclass(frozen=True)
class _Settings:
    """The fields that every experiment has, whatever its method."""

    name: str  # NETWORK/SET
    network: str  # a function of bopkit.models
    method: str  # a name of bopkit.experiments.methods.METHODS
    dataset: str  # the paper's, until `on_dataset` or bopkit.train takes another
    epochs: int
    batch_size: int  # over all replicas
    learning_rate: float  # Adam's: on latent weights, and on all that is not binary
    learning_rate_end: float | None = None
    learning_rate_decay_rate: float | None = None
    learning_rate_decay_epochs: int | None = None
    preprocess: str = "default"  # a name that bopkit.data knows
    image_size: int | None = None  # pixels a side; None: what the network takes
    filters: int | None = None  # only of binarynet
    dense_units: int | None = None  # only of binarynet
    precision: str | None = None  # None: training chooses for the machine

    def __post_init__(self):
        for field, hint in _hints(type(self)).items():
            # The class is frozen. Text becomes a number, and 0 becomes the 0.0 that JSON writes.
            object.__setattr__(self, field, coerce(field, getattr(self, field), hint))
        for field in ("epochs", "batch_size", "image_size", "filters", "dense_units"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ConfigError(f"{field} must be at least 1; got {value}.")
            if value is not None and value >= 2**31:
                raise ConfigError(f"{field} must be below 2147483648; got {value:g}.")
        for field in ("learning_rate", "learning_rate_end"):
            value = getattr(self, field)
            if value is not None and not ranges.SMALLEST <= value < ranges.LARGEST:
                raise ConfigError(
                    f"{field} must be a positive number that float32 can hold; got {value}."
                )
        if self.precision not in (None, *PRECISIONS):
            hint = (
                " (float16 cannot hold τ = 1e-8)" if "float16" in self.precision.split("_") else ""
            )
            raise ConfigError(
                f"precision must be one of: {', '.join(PRECISIONS)}; got {self.precision}{hint}."
            )
        self._check_rule()
        self._check_schedules()
        if self.network != "binarynet" and (self.filters or self.dense_units):
            raise ConfigError(
                f"filters and dense_units set the size of binarynet; {self.network} has one size."
            )

    @property
    def kernels(self) -> str:
        """How `bopkit.models` makes the binary kernels: the `method` of its functions."""
        return methods.METHODS[self.method].kernels

    def _check_rule(self):
        if self.method not in methods.METHODS:
            raise ConfigError(unknown("method", self.method, methods.METHODS))
        given = [f for f in methods.FIELDS if getattr(self, f) is not None]
        for field in given:
            if not methods.has(self.method, field):
                raise ConfigError(
                    f"{self.name} trains by {self.method}, which has no {field}; "
                    f"{' and '.join(methods.owners(field))} "
                    f"{'has' if len(methods.owners(field)) == 1 else 'have'} it."
                )
        for rate in methods.METHODS[self.method].rates:
            start, end = getattr(self, rate.name), getattr(self, f"{rate.name}_end")
            try:
                rate.check(start, rate.name)
                if end is not None:
                    rate.check(end, f"{rate.name}_end")
                if rate.decays:
                    self._check_decay(rate.name)
            except ValueError as error:
                raise ConfigError(str(error)) from None
        self._check_decay("learning_rate")

    def _check_decay(self, name):
        factor, every = f"{name}_decay_rate", f"{name}_decay_epochs"
        given = [getattr(self, factor), getattr(self, every)]
        if given == [None, None]:
            return
        if None in given:
            raise ConfigError(f"{factor} and {every} go together; give both.")
        if not 0 < given[0] <= 1:
            raise ConfigError(f"{factor} must be above 0 and at most 1; got {given[0]}.")
        if given[1] < 1:
            raise ConfigError(f"{every} must be at least 1; got {given[1]}.")
        if getattr(self, f"{name}_end") is not None:
            raise ConfigError(
                f"{name} decays linearly or in steps, not both: give {name}_end, or "
                f"{factor} and {every}."
            )

    def _check_schedules(self):
        """Refuse rates that float32 makes 0 on the way, though it can hold both ends."""
        positive = ["learning_rate"]
        rates = methods.METHODS[self.method].rates
        positive += [rate.name for rate in rates if not rate.may_be_zero]
        for name in positive:
            factor = getattr(self, f"{name}_decay_rate", None)
            if factor is not None:
                every = getattr(self, f"{name}_decay_epochs")
                last = getattr(self, name) * factor ** ((self.epochs - 1) // every)
                if last < ranges.SMALLEST:
                    raise ConfigError(
                        f"{name} decays to {last:.2g} by epoch {self.epochs}, and float32 "
                        f"rounds numbers below {ranges.SMALLEST:.2g} to 0; give a "
                        f"{name}_decay_rate nearer to 1, or more {name}_decay_epochs."
                    )
            start, end = getattr(self, name), getattr(self, f"{name}_end")
            # A schedule takes the difference of the two first.
            if end is not None and np.float32(start) - np.float32(end) + np.float32(end) <= 0:
                raise ConfigError(
                    f"{name} cannot rise linearly from {start:.2g} to {end:.2g}, because "
                    f"float32 rounds the start to 0 beside {end:.2g}; give a larger {name}."
                )


# A rate with an `_end` changes linearly from its start to its end over the run; without one it is
# constant. `gamma_decay_rate` instead multiplies γ after every `gamma_decay_epochs` epochs, and
# Adam's learning rate has the like. The fields of the rules come from the table of methods, so that
# a new rule brings its own.
Experiment = dataclasses.make_dataclass(
    "Experiment",
    [(field, kind | None, None) for field, kind in methods.FIELDS.items()],
    bases=(_Settings,),
    frozen=True,
)
Experiment.__module__ = __name__
_MEANINGS = {
    field: meaning
    for method in methods.METHODS.values()
    for field, (meaning, _) in method.about.items()
}
_OF_METHODS = "\n".join(
    f"    {field}: {meaning.replace('none: ', 'None is ')}. "
    f"Only for {', '.join(methods.owners(field))}."
    for field, meaning in _MEANINGS.items()
)
Experiment.__doc__ = f"""Hold the settings of a run.

`bopkit.train` takes the seed and the images in addition. `bopkit.experiments.hyperparameters` lists
which values a field may have.

Attributes:
    name: the name of the network and of the set of hyperparameters, such as "binarynet/bop".
    network: a name of `bopkit.experiments.NETWORKS`.
    method: what trains the binary weights, a name of `bopkit.experiments.METHODS`.
    dataset: the data set. That of an experiment of the paper is the paper's; `on_dataset` and the
        argument of `bopkit.train` replace it.
    epochs: passes over the training images.
    batch_size: images per step, over all devices.
    learning_rate: the learning rate of Adam, which trains all weights that are not binary and, in
        the method "latent", the latent weights.
    learning_rate_end: Adam's learning rate at the end of the run, reached linearly; None keeps the
        rate constant, or lets it decay in steps.
    learning_rate_decay_rate: factor that multiplies Adam's learning rate after every
        `learning_rate_decay_epochs` epochs.
    learning_rate_decay_epochs: epochs between two decays of Adam's learning rate.
    preprocess: what is done to images, "default" or "resize_and_flip".
    image_size: side of the images in pixels; None is what the network usually takes.
    filters: channels of BinaryNet's first convolution; None is the paper's 128.
    dense_units: units of BinaryNet's dense layers; None is the paper's 1024.
    precision: "float32" or "mixed_bfloat16"; with None, `bopkit.train` chooses for the machine.
{_OF_METHODS}

Example:
    >>> experiment = bopkit.experiments.get("binarynet/bop")
    >>> experiment.epochs, experiment.batch_size, experiment.gamma, experiment.threshold
    (100, 100, 0.001, 1e-06)
"""


def override(experiment: Experiment, values: Mapping[str, object]) -> Experiment:
    """Change some fields of an experiment.

    Args:
        experiment: the one to start from.
        values: new values by field. Text is read as the field's type, so ``"1e-8"`` from a command
            line or a YAML file becomes a number. ``None`` empties a field that may be empty, as
            the text ``"none"`` does.

    Returns:
        A new experiment.

    Raises:
        ConfigError: a field does not exist, cannot be changed, or has a value out of range.

    Example:
        >>> base = bopkit.experiments.get("binarynet/bop")
        >>> changed = bopkit.experiments.override(base, {"gamma": "1e-2", "epochs": 3})
        >>> changed.gamma, changed.epochs, changed.threshold
        (0.01, 3, 1e-06)
    """
    known = [field for field in _hints(Experiment) if field not in FIXED]
    for field in values:
        if field not in known:
            raise ConfigError(unknown("hyperparameter", field, known))
    return dataclasses.replace(experiment, **values)


def on_dataset(experiment: Experiment, dataset: str, values: Mapping[str, object]) -> Experiment:
    """Take an experiment to a dataset, and change some of its fields.

    The paper augments its own dataset. On another dataset the images are not augmented, unless
    `values` say so.

    Args:
        experiment: the one to start from.
        dataset: a name of `bopkit.data.DATASETS`.
        values: new values by field, as `override` takes them.

    Returns:
        A new experiment.

    Raises:
        ConfigError: as `override`.

    Example:
        >>> base = bopkit.experiments.get("binarynet/bop")
        >>> base.preprocess, bopkit.experiments.on_dataset(base, "digits", {}).preprocess
        ('resize_and_flip', 'default')
    """
    usual = {} if dataset == experiment.dataset else {"preprocess": "default"}
    return dataclasses.replace(override(experiment, usual | dict(values)), dataset=dataset)


@functools.cache  # reading them takes longer than making an experiment
def _hints(cls) -> dict[str, object]:
    return typing.get_type_hints(cls)
