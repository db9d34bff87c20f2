"""A small binary network trained on real digits: γ and τ, accuracy and flips, and the whole map."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bopkit import rules
from bopkit._text import number
from bopkit.book import toy
from bopkit.book.pictures.gamma_tau_map import FINAL
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.remember import remember
from bopkit.book.style import BOP, INK, LATENT, MUTED, PAPER, SEQUENCE, STYLE, new_figure

EPOCHS = 12
GAMMAS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
THRESHOLDS = (0.0, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
CONSTANT, FALLING = "stays", "falls to a hundredth"
# The map's shades: the accuracy in percent from which each begins.
LEVELS = (0, 50, 75, 85, 90)


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


def final_accuracy(gamma: float, threshold: float, schedule: str, seed: int = 0) -> float:
    """Top-1 on the held-out digits at the end, in percent, averaged over the last three epochs."""
    return 100 * float(run(gamma, threshold, schedule, seed).accuracy[-3:].mean())


def draw(gamma: float, threshold: float, schedule: str) -> Figure:
    """One training run, and where it stands among all the others.

    Args:
        gamma: γ in the first epoch, in (0, 1].
        threshold: τ, in units of the gradient.
        schedule: `CONSTANT` or `FALLING`.

    Returns:
        A figure of three panels: top-1 by epoch, π_t by step, and a map of the final accuracy
        over γ and τ in which this run is marked. One run is trained, this one: the others'
        ends are known.
    """
    result = run(gamma, threshold, schedule)
    with mpl.rc_context(STYLE):
        figure, (top, middle, bottom) = new_figure(5.6, 6.6, 3, height_ratios=[1, 1, 1.75])
        epochs = np.arange(1, EPOCHS + 1)
        top.plot(epochs, 100 * result.accuracy, color=BOP, marker="o", markersize=3)
        top.set(xlim=(0, EPOCHS + 0.2), ylim=(0, 100), ylabel="top-1 (%)", yticks=[0, 50, 100])
        top.set_title("Accuracy on held-out digits, by epoch", fontsize=10, pad=6)
        steps = np.arange(1, len(result.flip_ratio) + 1) / 14
        middle.plot(steps, rules.log_flip_ratio(result.flip_ratio), color=BOP, linewidth=1)
        middle.set(xlim=(0, EPOCHS + 0.2), ylim=(-9.4, 0), yticks=[-9, -6, -3, 0])
        middle.set_title("πₜ (log flip ratio), step by step; −9: none", fontsize=10, pad=6)
        middle.set_ylabel("πₜ")
        for axis in (top, middle):
            axis.set_xticks(range(0, EPOCHS + 1, 2))
        accuracy = final_accuracy(gamma, threshold, schedule)
        _map(bottom, gamma, threshold, schedule, accuracy)
    flips = result.flip_ratio.mean() * sum(w.size for w in result.weights)
    word = "falling" if schedule == FALLING else "constant"
    figure.description = (
        f"γ = {number(gamma)}, {word}; τ = {number(threshold)}: {accuracy:.0f} % of the held-out "
        f"digits right at the end, {number(round(flips, 1 if flips < 10 else 0))} of 4,736 weights "
        "flipped in an average step."
    )
    return figure


def _map(axis, gamma, threshold, schedule, own):
    """The final accuracy over the grid, a number and a shade a cell; this run framed."""
    for column, g in enumerate(GAMMAS):
        for row, t in enumerate(THRESHOLDS):
            here = (g, t) == (gamma, threshold)
            accuracy = own if here else FINAL[schedule][row][column]
            level = int(np.searchsorted(LEVELS, accuracy, side="right")) - 1
            axis.add_artist(  # and no patch: the limits below need not be found from each cell
                Rectangle((column, row), 1, 1, facecolor=SEQUENCE[level], edgecolor=PAPER)
            )
            axis.text(
                column + 0.5,
                row + 0.5,
                f"{accuracy:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color=PAPER if level >= 2 else INK,
            )
    column, row = _place(gamma, GAMMAS), _place(threshold, THRESHOLDS)
    axis.add_patch(
        Rectangle((column, row), 1, 1, facecolor="none", edgecolor=LATENT, linewidth=2.5, zorder=5)
    )
    centres = np.arange(8) + 0.5
    axis.set_xticks(centres, [number(g) for g in GAMMAS])
    axis.set_yticks(centres, [number(t) for t in THRESHOLDS])
    axis.set(xlim=(-0.05, 8.05), ylim=(-0.05, 8.05), xlabel="adaptivity rate γ")
    axis.set_ylabel("threshold τ")
    axis.set_title("Final accuracy (%), all runs", fontsize=10, pad=6)
    axis.grid(visible=False)
    axis.tick_params(length=0, colors=MUTED)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _place(value, grid):
    """Where a value lies on an axis of cells, between two where a live slider stops between."""
    return float(np.interp(value, grid, range(len(grid))))


SCENE = Scene(
    "gamma_tau",
    draw,
    (
        Slider("gamma", "adaptivity rate γ", GAMMAS, 0.1, log=True),
        Slider("threshold", "threshold τ", THRESHOLDS, 1e-4, log=True),
        Slider("schedule", "over the run, γ", (CONSTANT, FALLING), CONSTANT),
    ),
)
