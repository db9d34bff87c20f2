"""A small binary network trained on real digits: γ and τ, accuracy and flips, and the whole map."""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bopkit import rules
from bopkit._support.text import number
from bopkit.book import toy
from bopkit.book.pictures import gamma_tau_limits, gamma_tau_map
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.remember import remember
from bopkit.book.style import (
    BOP,
    INK,
    LATENT,
    MUTED,
    PAPER,
    SEQUENCE,
    STYLE,
    THIRD,
    new_figure,
)

EPOCHS, SEEDS, STEPS, WEIGHTS = 12, 5, 14, 4736  # steps per epoch; binary weights
GAMMAS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
THRESHOLDS = (0.0, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
CONSTANT, FALLING = "stays", "falls to a hundredth"
# The map's shades: the accuracy in percent from which each begins.
LEVELS = (0, 50, 75, 85, 90)


class Course(NamedTuple):
    """What a setting gives: means over the seeds 0 to 4.

    Attributes:
        accuracy: top-1 on the held-out digits after each epoch, in percent; (epochs,).
        flips: binary weights that flip per step, in each epoch; (epochs,).
    """

    accuracy: np.ndarray
    flips: np.ndarray

    @property
    def final(self) -> float:
        """Top-1 at the end, in percent: the mean of the last three epochs."""
        return float(self.accuracy[-3:].mean())


def run(gamma: float, threshold: float, schedule: str, seed: int = 0) -> toy.Run:
    """Train the small network once with these settings.

    Args:
        gamma: γ in the first epoch.
        threshold: τ, in units of the gradient.
        schedule: `CONSTANT`, or `FALLING`: γ falls to a hundredth over the run, by the same
            factor after each epoch.
        seed: as for `bopkit.book.toy.train`.

    Returns:
        What `bopkit.book.toy.train` gives for `EPOCHS` epochs; remembered.
    """
    return _trained(gamma, threshold, schedule, seed)  # one key, however it was called


@remember
def _trained(gamma, threshold, schedule, seed):
    factor = 0.01 if schedule == FALLING else 1.0
    gammas = gamma * factor ** (np.arange(EPOCHS) / (EPOCHS - 1))
    return toy.train(toy.NumPyBop(threshold, gammas), epochs=EPOCHS, seed=seed)


def train(gamma: float, threshold: float, schedule: str) -> Course:
    """Train the small network once per seed, and average; arguments as for `run`."""
    runs = [run(gamma, threshold, schedule, seed) for seed in range(SEEDS)]
    flips = np.mean([r.flip_ratio.reshape(EPOCHS, STEPS).mean(axis=1) for r in runs], axis=0)
    return Course(100 * np.mean([r.accuracy for r in runs], axis=0), WEIGHTS * flips)


def course(gamma: float, threshold: float, schedule: str) -> Course:
    """Look up what a setting gives; train it if the page's sliders do not reach it.

    Everything that the book shows or says of these runs comes from here.
    """
    known = _known().get((gamma, threshold, schedule))
    return known or train(gamma, threshold, schedule)


@functools.cache
def _known():
    rows = [np.array(line.split(), float) for line in gamma_tau_map.RUNS.splitlines()]
    pairs = zip(rows[::2], rows[1::2], strict=True)
    settings = itertools.product(GAMMAS, THRESHOLDS, (CONSTANT, FALLING))
    return {key: Course(*pair) for key, pair in zip(settings, pairs, strict=True)}


def table(schedule: str) -> np.ndarray:
    """The final accuracy over the grid, in percent; a row for each τ, a column for each γ."""
    return np.array([[course(g, t, schedule).final for g in GAMMAS] for t in THRESHOLDS])


def draw(gamma: float, threshold: float, schedule: str) -> Figure:
    """Draw one setting, and its place among all the others.

    Args:
        gamma: γ in the first epoch, in (0, 1].
        threshold: τ, in units of the gradient.
        schedule: `CONSTANT` or `FALLING`.

    Returns:
        A figure of three panels: top-1 and π_t by epoch, and a map of the final accuracy over γ
        and τ in which this setting is marked. Each number is a mean over the seeds.
    """
    result = course(gamma, threshold, schedule)
    with mpl.rc_context(STYLE):
        figure, (top, middle, bottom) = new_figure(5.6, 6.6, 3, height_ratios=[1, 1, 1.75])
        epochs = np.arange(1, EPOCHS + 1)
        top.plot(epochs, result.accuracy, color=BOP, marker="o", markersize=3)
        top.set(ylim=(0, 100), ylabel="top-1 (%)", yticks=[0, 50, 100])
        top.set_title("Accuracy on held-out digits, after each epoch", fontsize=10, pad=6)
        ratio = result.flips / WEIGHTS
        middle.plot(epochs, rules.log_flip_ratio(ratio), color=BOP, marker="o", markersize=3)
        middle.set(ylim=(-9.4, 0), yticks=[-9, -6, -3, 0], ylabel="πₜ")
        middle.set_title("πₜ (log flip ratio), in each epoch; −9: no flips", fontsize=10, pad=6)
        for axis in (top, middle):
            axis.set(xlim=(0, EPOCHS + 0.2), xticks=range(0, EPOCHS + 1, 2))
        _map(bottom, gamma, threshold, schedule)
    word = "falling" if schedule == FALLING else "constant"
    figure.description = (
        f"γ = {number(gamma)}, {word}; τ = {number(threshold)}. Means of five runs: "
        f"{result.final:.0f} % of the held-out digits right at the end, "
        f"{_flips(result)} of 4,736 weights flip in an average step."
    )
    return figure


def _flips(result):
    """Write how many weights flip in an average step."""
    flips = result.flips.mean()
    return number(round(flips, 1 if flips < 10 else 0))


def limits(schedule: str) -> gamma_tau_limits.Limits:
    """Measure where theory puts the ends of the plane, for each of `GAMMAS`."""
    last = 0.01 if schedule == FALLING else 1.0
    return gamma_tau_limits.limits(GAMMAS, last, EPOCHS, SEEDS)


def _level(accuracy):
    """Which of `LEVELS` an accuracy reaches."""
    return int(np.searchsorted(LEVELS, accuracy, side="right")) - 1


def _shown(accuracy):
    """Write an accuracy in a cell, on the right side of the border."""
    text = f"{accuracy:.0f}"
    return text if _level(float(text)) == _level(accuracy) else f"{accuracy:.1f}"


def data() -> dict:
    """Collect what the live picture shows.

    Returns:
        `cells`: for each setting, in the order of `SCENE.grid()`, the final accuracy as text in the
        words and in the plane, the flips, the shade, and both courses by epoch. `lines`: for each
        schedule, the heights of the two limits over the columns of the plane, in cells.
    """
    cells = []
    for values in SCENE.grid():
        result = course(**values)
        ratio = rules.log_flip_ratio(result.flips / WEIGHTS)
        cells.append(
            {
                "final": f"{result.final:.0f}",
                "shown": _shown(result.final),
                "flips": _flips(result),
                "level": _level(result.final),
                "accuracy": result.accuracy.tolist(),
                "ratio": ratio.round(2).tolist(),
            }
        )
    lines = {
        schedule: {name: heights(values) for name, values in limits(schedule)._asdict().items()}
        for schedule in (CONSTANT, FALLING)
    }
    return {"cells": cells, "lines": lines}


def heights(thresholds: np.ndarray) -> list[float | None]:
    """Place thresholds in the plane, in cells from its lower edge.

    Args:
        thresholds: any τ.

    Returns:
        A height for each: the middle of a row for the row's τ, and between rows by the logarithm;
        `None` for a τ beyond the highest row, or in the lowest, which is τ = 0.
    """
    # the two ends stand half a power of ten beyond the grid
    known = np.log([1e-5, *THRESHOLDS[1:], 0.1])
    found = np.interp(np.log(thresholds), known, np.arange(len(known)) + 0.5)
    return [round(h, 2) if 1 <= h < len(THRESHOLDS) else None for h in found.tolist()]


def _map(axis, gamma, threshold, schedule):
    """The final accuracy over the grid, a number and a shade per cell; this setting framed."""
    for column, g in enumerate(GAMMAS):
        for row, t in enumerate(THRESHOLDS):
            accuracy = course(g, t, schedule).final
            level = _level(accuracy)
            axis.add_artist(  # and no patch: the limits below need not be found from each cell
                Rectangle((column, row), 1, 1, facecolor=SEQUENCE[level], edgecolor=PAPER)
            )
            axis.text(
                column + 0.5,
                row + 0.5,
                _shown(accuracy),
                ha="center",
                va="center",
                fontsize=8,
                color=PAPER if level >= 2 else INK,
            )
    _border(axis, schedule)
    for values, dashes in zip(limits(schedule), ((0, (4, 2)), (0, (1, 1.5))), strict=True):
        for column, height in enumerate(heights(values)):
            if height is not None:
                for line in ({"color": PAPER, "linewidth": 3.5}, {"color": INK, "dashes": dashes}):
                    style = line.pop("dashes", "-")
                    axis.plot([column, column + 1], [height] * 2, linestyle=style, zorder=4, **line)
    column, row = _place(gamma, GAMMAS), _place(threshold, THRESHOLDS)
    axis.add_patch(
        Rectangle((column, row), 1, 1, facecolor="none", edgecolor=LATENT, linewidth=2.5, zorder=5)
    )
    centres = np.arange(8) + 0.5
    axis.set_xticks(centres, [number(g) for g in GAMMAS])
    axis.set_yticks(centres, [number(t) for t in THRESHOLDS])
    axis.set(xlim=(-0.05, 8.05), ylim=(-0.05, 8.05), xlabel="adaptivity rate γ")
    axis.set_ylabel("threshold τ")
    title = "Final accuracy (%); green: 90 %, dashed: frozen, dotted: noise"
    axis.set_title(title, fontsize=9, pad=6)
    axis.grid(visible=False)
    axis.tick_params(length=0, colors=MUTED)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _border(axis, schedule):
    """Draw a border between the settings that reach 90 % and the others."""
    good = np.pad(table(schedule) >= LEVELS[-1], 1, mode="edge")
    for row in range(1, good.shape[0] - 1):
        for column in range(1, good.shape[1] - 1):
            if good[row, column] != good[row, column + 1]:
                axis.plot([column, column], [row - 1, row], color=THIRD, linewidth=2.5, zorder=3)
            if good[row, column] != good[row + 1, column]:
                axis.plot([column - 1, column], [row, row], color=THIRD, linewidth=2.5, zorder=3)


def _place(value, grid):
    """Where a value lies on an axis of cells; between two if the map has no cell for it."""
    return float(np.interp(value, grid, range(len(grid))))


SCENE = Scene(
    "gamma_tau",
    draw,
    (
        Slider("gamma", "adaptivity rate γ", GAMMAS, 0.1, log=True),
        Slider("threshold", "threshold τ", THRESHOLDS, 1e-4, log=True),
        Slider("schedule", "over the run, γ", (CONSTANT, FALLING), CONSTANT),
    ),
    live=True,
    data=data,
)
