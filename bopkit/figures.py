"""The book's figures, in one style. Pure functions: arrays or records in, a figure out.

Two colours carry meaning everywhere: blue is Bop, vermilion latent weights. They differ in
lightness too, so that they survive colour-blindness and print (Okabe and Ito 2008).
"""

from __future__ import annotations

import io
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit.tables import METHOD_NAMES

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


class _BookFigure(Figure):
    """A figure that a notebook shows as SVG, sharp on every screen, whatever its backend."""

    def _repr_svg_(self):
        # Without a date, so that the same figure is the same text.
        buffer = io.StringIO()
        with mpl.rc_context(STYLE):
            self.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()


def _figure(width, height, rows=1, columns=1, **kwargs):
    """A figure without pyplot, which would keep it alive, and its axes."""
    figure = _BookFigure(figsize=(width, height), layout="constrained")
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


def training_curves(runs: Iterable[dict], *, top_5: bool = False) -> Figure:
    """Accuracy and π_t over the epochs, one line a method, all seeds behind it.

    Args:
        runs: run records of `bopkit.train`.
        top_5: draw top-5 accuracy too, dashed.

    Returns:
        A figure of two panels: validation accuracy in percent, and π_t as in section 5.1. A
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
            _band(left, accuracy, colour, f"{name}, top-1" if top_5 else name)
            if top_5:
                accuracy = [[100 * row["val_top_5_accuracy"] for row in r["epochs"]] for r in group]
                _band(left, accuracy, colour, f"{name}, top-5", linestyle="--")
            _band(right, flips, colour, name)
        left.set(title=f"Validation {'accuracy' if top_5 else 'top-1'} (%)", xlabel="epoch")
        right.set(title="Flip ratio, $\\pi_t$", xlabel="epoch")
        right.set_ylabel("log(flipped / all + $e^{-9}$)")
        for axis in (left, right):
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend()
    return figure


def _band(axis, curves, colour, label, linestyle="-"):
    """The mean of several curves and the range they span."""
    length = min(len(c) for c in curves)
    curves = np.array([c[:length] for c in curves])
    epochs = np.arange(1, length + 1)
    axis.plot(
        epochs,
        curves.mean(axis=0),
        color=colour,
        label=label,
        linestyle=linestyle,
        marker="o",
        markersize=3,
    )
    if len(curves) > 1:
        axis.fill_between(
            epochs, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.2, linewidth=0
        )


def sweep_curves(runs: Iterable[dict], *, vary: str, fixed: str) -> Figure:
    """Figure 1 of the paper for one hyperparameter: accuracy and π_t, a line a value.

    Args:
        runs: run records of a sweep.
        vary: "gamma" or "threshold", the one that the lines differ in.
        fixed: the other; only the runs at its most frequent value are drawn.

    Returns:
        A figure of three panels: top-1 in training and in validation, in percent, and π_t. The
        darker a line, the more its setting should flip: a higher γ, a lower τ.

    Raises:
        ValueError: no run has finished an epoch.
    """
    runs = [run for run in runs if run["epochs"]]
    if not runs:
        raise ValueError("no run has finished an epoch yet; there is nothing to draw.")
    at = statistics.mode(run["config"][fixed] for run in runs)
    groups = defaultdict(list)
    for run in runs:
        if run["config"][fixed] == at:
            groups[run["config"][vary]].append(run)
    values = sorted(groups, reverse=vary == "threshold")
    shades = mpl.colormaps["viridis_r"](np.linspace(0.2, 0.95, len(values)))
    symbol, other = {"gamma": ("γ", "τ"), "threshold": ("τ", "γ")}[vary]
    with mpl.rc_context(STYLE):
        figure, axes = _figure(10, 3.4, 1, 3)
        for value, colour in zip(values, shades, strict=True):
            rows = [run["epochs"] for run in groups[value]]
            for axis, key in zip(axes, ("accuracy", "val_accuracy", "flip_ratio"), strict=True):
                curves = [[row[key] for row in run] for run in rows]
                scale = rules.log_flip_ratio if key == "flip_ratio" else _percent
                _band(axis, [scale(c) for c in curves], colour, f"{symbol} = {value:g}")
        for axis, title in zip(
            axes,
            ("Training top-1 (%)", "Validation top-1 (%)", "Flip ratio, $\\pi_t$"),
            strict=True,
        ):
            axis.set(title=title, xlabel="epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0].legend(title=f"{other} = {at:g}", loc="lower right")
    return figure


def _percent(values):
    return 100 * np.asarray(values)
