"""Reading a training run: accuracy, flips, and where the averages stand; then a name for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._text import number
from bopkit.book import toy
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.style import BOP, FAINT, INK, LATENT, MUTED, STYLE, THIRD, new_figure

EPOCHS = 12
STAYS, FALLS, DROPS = "stays", "falls to 1/100", "drops after 2"
COURSES = (STAYS, FALLS, DROPS)
GAMMAS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
THRESHOLDS = (0.0, 1e-4, 1e-3, 1e-2, 3e-2)

# Where one symptom ends and the next begins; measured on the small network, and held to it by
# tests/book/pictures/test_diagnosis.py. Flip ratios are shares of the weights in one step.
CHURNING = 0.1
NOISY = 0.01
QUIET = 2e-4  # one of the small network's 4,736 weights a step
FITTED = 0.92  # training top-1 that runs with the right flips go beyond
POOR = 0.84  # training top-1 below which even lively flips have led nowhere
LOST = 0.04  # of validation top-1, from the best epochs to the last
SUDDEN = 10.0  # γ and the flip ratio divided by so much from one epoch to the next


class Diagnosis(NamedTuple):
    """What a run's curves say.

    Attributes:
        name: the symptom: "everything flips", "getting worse", "noise floor", "γ dropped too
            early", "too few flips", "γ and τ too high" or "healthy".
        evidence: the numbers that say so, as a clause.
        change: what to try next, as a clause; empty for a healthy run.
    """

    name: str
    evidence: str
    change: str


def diagnose(
    train_accuracy: Sequence[float],
    accuracy: Sequence[float],
    flip_ratio: Sequence[float],
    gamma: Sequence[float],
) -> Diagnosis:
    """Name what a run of Bop suffers from, by rules on four curves.

    The rules are tried in this order, "late" being the last quarter of the epochs and at least
    two of them:

    1. everything flips: late flip ratio of at least 10 %;
    2. getting worse: validation ends 4 points or more below its best stretch of that length;
    3. noise floor: late flip ratio of at least 1 %;
    4. γ dropped too early: from one epoch to the next γ and the flip ratio were divided by 10 or
       more, from at least 1 %;
    5. too few flips: late flip ratio below 0.02 %, training accuracy below 92 %;
    6. γ and τ too high: training accuracy below 84 %, however many weights flip;
    7. healthy: none of these.

    They were set on `bopkit.book.toy`'s network: for another one they are where to begin.

    Args:
        train_accuracy: top-1 on the training batches of each epoch, in [0, 1]; (epochs,).
        accuracy: top-1 on held-out images after each epoch, in [0, 1]; (epochs,).
        flip_ratio: mean share of binary weights that flipped in a step of each epoch; (epochs,).
        gamma: γ of each epoch; (epochs,).

    Returns:
        A `Diagnosis`.

    Raises:
        ValueError: there are fewer than two epochs, or the lengths differ.
    """
    curves = [np.asarray(c, float) for c in (train_accuracy, accuracy, flip_ratio, gamma)]
    if len(curves[0]) < 2 or len({len(c) for c in curves}) > 1:
        raise ValueError(
            "a diagnosis needs four curves of one length, two epochs or more; got "
            f"{', '.join(str(len(c)) for c in curves)}."
        )
    fit, accuracy, flips, gamma = curves
    window = max(2, len(fit) // 4)
    late = flips[-window:].mean()
    stretches = np.convolve(accuracy, np.ones(window) / window, "valid")
    lost = stretches.max() - stretches[-1]
    share = f"{percent(late)} of the weights flip in a late step"
    if late >= CHURNING:
        return Diagnosis("everything flips", share, "let γ fall over the run, or start it lower")
    if lost >= LOST:
        evidence = f"validation is {100 * lost:.0f} points below its best, and {share}"
        return Diagnosis("getting worse", evidence, "let γ fall over the run, or raise τ")
    if late >= NOISY:
        return Diagnosis("noise floor", share, "let γ fall over the run, or raise τ")
    before, after = flips[:-1], flips[1:]
    sudden = gamma[:-1] >= SUDDEN * gamma[1:]
    cut = np.flatnonzero(sudden & (before >= NOISY) & (before >= SUDDEN * after))
    if len(cut):
        epoch = int(cut[0])
        evidence = (
            f"flips went from {percent(before[epoch])} to {percent(after[epoch])} of the weights "
            f"a step when γ dropped after epoch {epoch + 1}"
        )
        return Diagnosis("γ dropped too early", evidence, "let γ fall over the whole run")
    if late < QUIET and fit[-window:].mean() < FITTED:
        moved = np.flatnonzero(flips > 0)
        if not len(moved):
            since = "nothing ever flipped"
        elif moved[-1] + 1 < len(flips):
            since = f"nothing has flipped since epoch {moved[-1] + 1}"
        else:
            since = f"only {share}"
        evidence = f"{since}, with training at {100 * fit[-window:].mean():.0f} %"
        return Diagnosis("too few flips", evidence, "lower τ, or raise γ")
    if fit[-window:].mean() < POOR:
        evidence = f"{share}, and training stays at {100 * fit[-window:].mean():.0f} %"
        return Diagnosis("γ and τ too high", evidence, "lower both")
    return Diagnosis("healthy", f"{share}, and nothing else stands out", "")


def diagnose_record(record: dict) -> Diagnosis:
    """What `diagnose` says of a run of `bopkit.train`.

    Args:
        record: a run's record, as `bopkit.records.read` gives it; of Bop, two epochs or more.

    Returns:
        A `Diagnosis`.

    Raises:
        ValueError: as `diagnose`.
    """
    keys = ("accuracy", "val_accuracy", "flip_ratio", "gamma")
    return diagnose(*([row[key] for row in record["epochs"]] for key in keys))


def percent(share: float) -> str:
    """A share as text, in percent to two digits: 4.2 %, 0.0061 %, 0 %."""
    return f"{100 * share:.2g} %".replace("1e+02", "100") if share >= 1e-6 else "0 %"


class Trained(NamedTuple):
    """A run of the small network and what its optimizer remembers at the end.

    Attributes:
        run: as `bopkit.book.toy.train` gives it.
        pull: w·m of every weight at the end: positive where the average asks for a flip; (4736,).
        gamma: γ of each epoch; (epochs,).
        flip_ratio: the run's flip ratio, averaged over each epoch; (epochs,).
    """

    run: toy.Run
    pull: np.ndarray
    gamma: np.ndarray
    flip_ratio: np.ndarray

    @property
    def score(self) -> float:
        """Top-1 on held-out images in percent, averaged over the last three epochs."""
        return 100 * float(self.run.accuracy[-3:].mean())

    @property
    def diagnosis(self) -> Diagnosis:
        """What `diagnose` says of it."""
        run = self.run
        return diagnose(run.train_accuracy, run.accuracy, self.flip_ratio, self.gamma)


def schedule(gamma: float, course: str) -> np.ndarray:
    """γ of each epoch: `STAYS`, `FALLS` evenly to a hundredth, or `DROPS` there after epoch 2."""
    epochs = np.arange(EPOCHS)
    if course == FALLS:
        return gamma * 0.01 ** (epochs / (EPOCHS - 1))
    return np.where((epochs >= 2) & (course == DROPS), gamma / 100, gamma)


@lru_cache(maxsize=4096)
def trained(gamma: float, threshold: float, course: str, seed: int = 0) -> Trained:
    """Train the small network once; remembered."""
    gammas = schedule(gamma, course)
    optimizer = toy.NumPyBop(threshold, gammas)
    run = toy.train(optimizer, epochs=EPOCHS, seed=seed)
    pull = [(w * optimizer.momentum[layer]).ravel() for layer, w in enumerate(run.weights)]
    return Trained(run, np.concatenate(pull), gammas, run.flip_ratio.reshape(EPOCHS, -1).mean(1))


def draw(gamma: float, course: str, threshold: float) -> Figure:
    """One run's three readings, under its diagnosis.

    Args:
        gamma: γ in the first epoch, in (0, 1].
        course: what γ does then: `STAYS`, `FALLS` or `DROPS`.
        threshold: τ, in units of the gradient.

    Returns:
        A figure of three panels: top-1 by epoch, πₜ by step, and all weights by the size of their
        average, those whose average asks for a flip above the line and the others below it.
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
        middle.set_title("πₜ (log flip ratio), its mean an epoch; −9: none", fontsize=10, pad=6)
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
    axis.text(0.03, 0.72, "m asks for a flip", transform=axis.transAxes, color=BOP, fontsize=9)
    axis.text(0.03, 0.06, "m keeps it", transform=axis.transAxes, color=MUTED, fontsize=9)
    axis.set_title("Where the averages stand at the end", fontsize=10, pad=6)


SCENE = Scene(
    "diagnosis",
    draw,
    (
        Slider("gamma", "adaptivity rate γ, at first", GAMMAS, 0.3, log=True),
        Slider("course", "over the 12 epochs, γ", COURSES, STAYS),
        Slider("threshold", "threshold τ", THRESHOLDS, 1e-4, log=True),
    ),
)
