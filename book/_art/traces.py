"""What the poster shows: single weights by `bopkit.rules`, whole networks from the records."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bopkit import records, rules
from bopkit.records import tables

RECORDS = Path(__file__).resolve().parents[2] / "results" / "fashion_mnist" / "section52"


class Trace(NamedTuple):
    """One weight under one method.

    Attributes:
        value: the real number behind the weight after each step, w̃ or m; (steps,).
        weight: before the first step and after each; (steps + 1,).
        flips: the steps at which the weight flips.
    """

    value: np.ndarray
    weight: np.ndarray
    flips: np.ndarray


def _trace(values, weights):
    weights = np.asarray(weights)
    return Trace(np.asarray(values), weights, np.flatnonzero(np.diff(weights)))


def bop(gradient: np.ndarray, *, threshold: float, gamma: float) -> Trace:
    """A weight that begins at -1, under Bop."""
    weight, momentum = np.array([-1.0]), np.zeros(1)
    values, weights = [], [-1.0]
    for g in gradient:
        weight, momentum, _ = rules.bop_step(
            weight, momentum, np.array([g]), threshold=threshold, gamma=gamma
        )
        values.append(momentum[0])
        weights.append(weight[0])
    return _trace(values, weights)


def latent_adam(gradient: np.ndarray, *, learning_rate: float, start: float) -> Trace:
    """A latent weight under Adam, and its sign."""
    latent, moments, values = np.array([start]), None, []
    for g in gradient:
        latent, moments = rules.latent_adam_step(
            latent, moments, np.array([g]), learning_rate=learning_rate
        )
        values.append(latent[0])
    return _trace(values, rules.sign(np.array([start, *values])))


def latent_sgd(gradient: np.ndarray, *, learning_rate: float, start: float) -> Trace:
    """A latent weight under SGD, and its sign."""
    latent, values = np.array([start]), []
    for g in gradient:
        latent = rules.latent_sgd_step(latent, np.array([g]), learning_rate=learning_rate)
        values.append(latent[0])
    return _trace(values, rules.sign(np.array([start, *values])))


def measured() -> tuple[dict[str, str], str]:
    """The records of section 5.2 on Fashion-MNIST.

    Returns:
        Top-1 in percent by method, mean ± standard deviation over the seeds; and what the runs
        have in common, in words.
    """
    runs = records.collect(RECORDS)
    top_1 = {}
    for run in runs:
        top_1.setdefault(run["config"]["method"], []).append(100 * records.final(run))
    config, seeds = runs[0]["config"], len({run["seed"] for run in runs})
    common = f"{config['filters']} filters, {config['epochs']} epochs, {seeds} seeds"
    return {method: tables.mean_and_deviation(values) for method, values in top_1.items()}, common
