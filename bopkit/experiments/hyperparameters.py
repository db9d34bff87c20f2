"""Describe the hyperparameters that `--hparams` and `override` take."""

from __future__ import annotations

import types
import typing
from typing import NamedTuple

from bopkit.experiments import methods
from bopkit.experiments.experiment import FIXED, PRECISIONS, Experiment

_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}

# By field of every experiment: what it means, and which values it may have.
_SETTINGS = {
    "epochs": ("passes over the training images", "at least 1"),
    "batch_size": ("images per step, over all devices", "at least 1"),
    "learning_rate": (
        "Adam's learning rate η, for latent weights and for all weights that are not binary",
        "above 0",
    ),
    "learning_rate_end": (
        "Adam's learning rate at the end of the run, reached linearly; none: constant, or decays "
        "in steps",
        "above 0, or none",
    ),
    "learning_rate_decay_rate": (
        "factor that multiplies η after every `learning_rate_decay_epochs` epochs",
        "above 0, at most 1, or none",
    ),
    "learning_rate_decay_epochs": ("epochs between two decays of η", "at least 1, or none"),
    "preprocess": (
        "what is done to images; `--preprocess-fn` sets it too",
        "default or resize_and_flip",
    ),
    "image_size": (
        "side of the images in pixels; none: what the network usually takes",
        "at least 1, or none",
    ),
    "filters": ("filters of BinaryNet's first layer; none: the paper's 128", "at least 1, or none"),
    "dense_units": (
        "units of BinaryNet's dense layers; none: the paper's 1024",
        "at least 1, or none",
    ),
    "precision": (
        "in which numbers the network computes; none: mixed_bfloat16 on a CPU on which the "
        "network is faster in it, otherwise float32",
        f"{', '.join(PRECISIONS)} or none",
    ),
}


class Hyperparameter(NamedTuple):
    """Describe one hyperparameter.

    Attributes:
        name: the key in `--hparams`.
        kind: what type its value has, in words.
        meaning: what it sets.
        values: which values it may have.
        methods: the methods that it belongs to; empty for one that every experiment has.

    Example:
        >>> found = {h.name: h for h in bopkit.experiments.hyperparameters()}
        >>> found["threshold"].kind, found["threshold"].values
        ('number', 'at least 0')
    """

    name: str
    kind: str
    meaning: str
    values: str
    methods: tuple[str, ...] = ()


def hyperparameters() -> list[Hyperparameter]:
    """List every hyperparameter of every method.

    Returns:
        First those that every experiment has, then those of the methods.

    Example:
        >>> next(h.values for h in hyperparameters() if h.name == "gamma")
        'above 0, at most 1'
    """
    about = _SETTINGS | {
        field: told for method in methods.METHODS.values() for field, told in method.about.items()
    }
    found = []
    for field, hint in typing.get_type_hints(Experiment).items():
        if field not in FIXED:
            kinds = [
                kind for kind in typing.get_args(hint) or (hint,) if kind is not types.NoneType
            ]
            owners = tuple(methods.owners(field))
            found.append(Hyperparameter(field, _KINDS[kinds[0]], *about[field], owners))
    return sorted(found, key=lambda h: bool(h.methods))
