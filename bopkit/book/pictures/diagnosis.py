"""Read a training run by its accuracy, its flips and its averages, and name its symptom."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._support.text import number
from bopkit.book import toy
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.remember import remember
from bopkit.book.style import BOP, FAINT, INK, LATENT, MUTED, STYLE, THIRD, new_figure
from bopkit.training.diagnosis import Diagnosis, diagnose

EPOCHS = 12
STAYS, FALLS, DROPS = "stays", "falls to 1/100", "drops after 2"
COURSES = (STAYS, FALLS, DROPS)
GAMMAS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
THRESHOLDS = (0.0, 1e-4, 1e-3, 1e-2, 3e-2)


class Trained(NamedTuple):
    """A run of the small network and what its optimizer remembers at the end.

    Attributes:
        run: as `bopkit.book.toy.train` gives it.
        pull: w·m of every weight at the end, positive where the average favours a flip; (4736,).
        gamma: γ of each epoch; (epochs,).
        threshold: τ, in units of the gradient.
        flip_ratio: the run's flip ratio, averaged over each epoch; (epochs,).
    """

    run: toy.Run
    pull: np.ndarray
    gamma: np.ndarray
    threshold: float
    flip_ratio: np.ndarray

    @property
    def score(self) -> float:
        """Top-1 on held-out images in percent, averaged over the last three epochs."""
        return 100 * float(self.run.accuracy[-3:].mean())

    @property
    def diagnosis(self) -> Diagnosis:
        """What `diagnose` says of it."""
        run = self.run
        curves = run.train_accuracy, run.accuracy, self.flip_ratio, self.gamma
        return diagnose(*curves, threshold=self.threshold)


def schedule(gamma: float, course: str) -> np.ndarray:
    """γ of each epoch: `STAYS`, `FALLS` evenly to a hundredth, or `DROPS` there after epoch 2."""
    epochs = np.arange(EPOCHS)
    if course == FALLS:
        return gamma * 0.01 ** (epochs / (EPOCHS - 1))
    return np.where((epochs >= 2) & (course == DROPS), gamma / 100, gamma)


@remember
def trained(gamma: float, threshold: float, course: str, seed: int = 0) -> Trained:
    """Train the small network once; remembered."""
    gammas = schedule(gamma, course)
    optimizer = toy.NumPyBop(threshold, gammas)
    run = toy.train(optimizer, epochs=EPOCHS, seed=seed)
    pull = [(w * optimizer.momentum[layer]).ravel() for layer, w in enumerate(run.weights)]
    shares = run.flip_ratio.reshape(EPOCHS, -1).mean(1)
    return Trained(run, np.concatenate(pull), gammas, threshold, shares)


def draw(gamma: float, course: str, threshold: float) -> Figure:
    """One run's three readings, under its diagnosis.

    Args:
        gamma: γ in the first epoch, in (0, 1].
        course: what γ does then: `STAYS`, `FALLS` or `DROPS`.
        threshold: τ, in units of the gradient.

    Returns:
        A figure of three panels: top-1 by epoch, πₜ by step, and all weights by the size of their
        average, those whose average favours a flip above the line and the others below it.
    """
    result = trained(gamma, threshold, course)
    run, found = result.run, result.diagnosis
    title = found.name if found.name[0] == "γ" else found.name.capitalize()
    with mpl.rc_context(STYLE):
        figure, (top, middle, bottom) = new_figure(5.6, 6.6, 3, height_ratios=[1.1, 1, 1.25])
        epochs = np.arange(1, EPOCHS + 1)
        top.plot(epochs, 100 * run.train_accuracy, color=MUTED, linewidth=1.3, label="training")
        top.plot(epochs, 100 * run.accuracy, color=BOP, marker="o", markersize=3, label="held out")
        top.set(xlim=(0, EPOCHS), ylim=(0, 100), yticks=[0, 50, 100], ylabel="top-1 (%)")
        top.set_xticks(range(0, EPOCHS + 1, 2))
        top.set_title(title, color=LATENT if found.change else THIRD)
        top.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=2, fontsize=9)
        steps = np.arange(1, len(run.flip_ratio) + 1) * EPOCHS / len(run.flip_ratio)
        middle.plot(steps, rules.log_flip_ratio(run.flip_ratio), color=FAINT, linewidth=0.8)
        middle.plot(epochs - 0.5, rules.log_flip_ratio(result.flip_ratio), color=BOP)
        middle.set(xlim=(0, EPOCHS), ylim=(-9.4, 0), yticks=[-9, -6, -3, 0], ylabel="πₜ")
        middle.set_xticks(range(0, EPOCHS + 1, 2))
        middle.set(xlabel="epoch")
        middle.set_title(
            "πₜ (log flip ratio) and its mean per epoch; −9: no flips", fontsize=10, pad=6
        )
        _averages(bottom, result.pull, threshold)
    word = {STAYS: "constant", FALLS: "falling", DROPS: "dropped after epoch 2"}[course]
    evidence = found.evidence
    if not run.flip_ratio.any():
        evidence += f"; the strongest pull is {number(float(f'{result.pull.max():.1g}'))}, below τ"
    figure.description = (
        f"γ = {number(gamma)}, {word}, and τ = {number(threshold)}: {result.score:.0f} % of the "
        f"held-out digits right. {title}: {evidence}."
        + (f" To try: {found.change}." if found.change else "")
    )
    return figure


def _averages(axis, pull, threshold):
    """The weights at the end by |m|, split by the side that m is on, and τ.

    The few below the axis' lower end are not drawn: their pixel is the same in all images, so that
    the batch normalization leaves them no gradient.
    """
    low, high = 1e-6, 1e-1
    edges = np.logspace(-6, -1, 31)
    asks = np.histogram(pull[pull > 0], edges)[0] / len(pull)
    holds = np.histogram(-pull[pull < 0], edges)[0] / len(pull)
    axis.stairs(100 * asks, edges, fill=True, color=BOP)
    axis.stairs(-100 * holds, edges, fill=True, color=FAINT)
    axis.axhline(0, color=INK, linewidth=0.8)
    axis.set_xscale("log")
    axis.set(xlim=(low, high), ylim=(-16, 12), xlabel="size of the average, |m|")
    axis.set_yticks([-10, 0, 10], ["10", "0", "10"])
    axis.set_ylabel("weights (%)")
    axis.minorticks_off()
    ticks = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    axis.set_xticks(ticks, [number(v) for v in ticks])
    wall = max(threshold, low * 1.06)
    axis.plot([wall, wall], [0, 12], color=LATENT, linestyle=(0, (4, 2)))
    left = threshold > 3e-3
    axis.text(
        wall * (0.8 if left else 1.25),
        11.6,
        "τ" if threshold else "τ = 0",
        color=LATENT,
        ha="right" if left else "left",
        va="top",
    )
    axis.text(0.03, 0.72, "m favours a flip", transform=axis.transAxes, color=BOP, fontsize=9)
    axis.text(
        0.03, 0.06, "m favours the present sign", transform=axis.transAxes, color=MUTED, fontsize=9
    )
    axis.set_title("The averages at the end", fontsize=10, pad=6)


SCENE = Scene(
    "diagnosis",
    draw,
    (
        Slider("gamma", "adaptivity rate γ, at first", GAMMAS, 0.3, log=True),
        Slider("course", "over the 12 epochs, γ", COURSES, STAYS),
        Slider("threshold", "threshold τ", THRESHOLDS, 1e-4, log=True),
    ),
)
