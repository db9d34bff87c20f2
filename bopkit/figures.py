"""The book's figures, in one style. Pure functions: arrays or records in, a figure out.

Two colours carry meaning everywhere: blue is Bop, vermilion latent weights. They differ in
lightness too, so that they survive colour-blindness and print (Okabe and Ito 2008).
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit.records import METHOD_NAMES

BOP = "#0072B2"
LATENT = "#D55E00"
THIRD = "#009E73"
INK = "#333333"
FAINT = "#BBBBBB"

METHOD_COLOURS = {"bop": BOP, "latent": LATENT}

STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "bopkit",  # the same figure is the same file
    "svg.fonttype": "path",
}


class BookFigure(Figure):
    """A figure that a notebook shows as SVG, sharp on every screen, whatever its backend."""

    def _repr_svg_(self):
        # Without a date, so that the same figure is the same text.
        buffer = io.StringIO()
        with mpl.rc_context(STYLE):
            self.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()


def _figure(width, height, rows=1, columns=1, **kwargs):
    """A figure without pyplot, which would keep it alive, and its axes."""
    figure = BookFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **kwargs)


def one_weight(
    gradients: Sequence[float], *, threshold: float, gamma: float, start: float = -1.0
) -> Figure:
    """One binary weight under Bop: its gradient, the average m, the threshold and the flips.

    Args:
        gradients: the weight's gradient at each step; (steps,).
        threshold: τ, in units of the gradient.
        gamma: γ, the adaptivity rate.
        start: the weight at the beginning, -1 or +1.

    Returns:
        A figure of two panels that share the step: above, gradient and m with the line that m
        has to cross; below, the weight.

    Raises:
        ValueError: as `bopkit.rules.bop_step`.
    """
    weight, momentum = np.array([start]), np.zeros(1)
    weights, momentums, flips = [start], [], []
    for step, gradient in enumerate(gradients):
        weight, momentum, flipped = rules.bop_step(
            weight, momentum, np.array([gradient]), threshold=threshold, gamma=gamma
        )
        weights.append(weight[0])
        momentums.append(momentum[0])
        if flipped[0]:
            flips.append(step)
    steps = np.arange(len(gradients))
    with mpl.rc_context(STYLE):
        figure, (above, below) = _figure(7, 3.8, 2, sharex=True, height_ratios=[3, 1])
        above.plot(steps, gradients, ".", color=FAINT, markersize=3, label="gradient g")
        above.plot(steps, momentums, color=BOP, label="its average m")
        # The weight flips when w·m > τ: only the line on the weight's own side counts.
        above.step(
            steps,
            threshold * np.array(weights[:-1]),
            where="mid",
            color=LATENT,
            linewidth=1.2,
            linestyle=(0, (4, 2)),
            label="w·τ: flips when m goes beyond",
        )
        above.plot(flips, [momentums[i] for i in flips], "o", color=BOP, markersize=7, zorder=5)
        # Twice the average's reach: the gradients beyond it say no more.
        limit = 2.3 * max(np.abs(momentums).max(), threshold, 1e-12)
        above.set_ylim(-limit, limit)
        above.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=3, fontsize=9)
        above.set_ylabel("gradient")
        below.step(steps, weights[1:], where="post", color=INK)
        below.set(ylim=(-1.5, 1.5), ylabel="weight", xlabel="step", xlim=(0, len(steps)))
        below.set_yticks([-1, 1], ["−1", "+1"])
        below.grid(visible=False)
        for axis in (above, below):
            for step in flips:
                axis.axvline(step, color=BOP, linewidth=0.8, alpha=0.35)
    return figure


def noisy_signal(steps: int = 300, noise: float = 1.0, seed: int = 0) -> np.ndarray:
    """A gradient whose mean changes sign twice under noise: what a weight has to make sense of.

    Args:
        steps: how many gradients.
        noise: standard deviation of the noise; the mean is -0.4 or +0.4.
        seed: of the noise.

    Returns:
        Gradients; (steps,).
    """
    mean = np.where((np.arange(steps) * 3 // steps) % 2 == 0, -0.4, 0.4)
    return mean + noise * np.random.RandomState(seed).normal(size=steps)


def training_curves(runs: Iterable[dict]) -> Figure:
    """Accuracy and π_t over the epochs, one line a method, all seeds behind it.

    Args:
        runs: run records of `bopkit.train`.

    Returns:
        A figure of two panels: validation top-1 in percent, and π_t as in section 5.1. A
        thick line is the mean over the seeds, the band their range.

    Raises:
        ValueError: there is no epoch to draw.
    """
    groups = defaultdict(list)
    for run in runs:
        if run["epochs"]:
            groups[run["config"]["method"]].append(run)
    if not groups:
        raise ValueError("no run has finished an epoch yet; there is nothing to draw.")
    with mpl.rc_context(STYLE):
        figure, (left, right) = _figure(9, 3.4, 1, 2)
        for method, group in groups.items():
            colour, name = METHOD_COLOURS[method], METHOD_NAMES[method]
            accuracy = [[100 * row["val_accuracy"] for row in r["epochs"]] for r in group]
            flips = [
                rules.log_flip_ratio([row["flip_ratio"] for row in r["epochs"]]) for r in group
            ]
            _band(left, accuracy, colour, name)
            _band(right, flips, colour, name)
        left.set(title="Validation top-1 (%)", xlabel="epoch")
        right.set(title="Flip ratio, $\\pi_t$", xlabel="epoch")
        right.set_ylabel("log(flipped / all + $e^{-9}$)")
        for axis in (left, right):
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend()
    return figure


def _band(axis, curves, colour, label):
    """The mean of several curves and the range they span."""
    length = min(len(c) for c in curves)
    curves = np.array([c[:length] for c in curves])
    epochs = np.arange(1, length + 1)
    axis.plot(epochs, curves.mean(axis=0), color=colour, label=label, marker="o", markersize=3)
    if len(curves) > 1:
        axis.fill_between(
            epochs, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.2, linewidth=0
        )
