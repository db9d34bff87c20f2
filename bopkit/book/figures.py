"""Draw figures of training runs from their records, in the style of the book."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._support.text import number
from bopkit.book.style import SEQUENCE, STYLE, new_figure
from bopkit.experiments.methods import METHODS, RATES
from bopkit.training.variations import fixed_value


def _method(run):
    method = METHODS[run["config"]["method"]]
    return method.label, method.colour


def training_curves(
    runs: Iterable[dict],
    *,
    top_5: bool = False,
    line: Callable[[dict], tuple[str, str]] = _method,
) -> Figure:
    """Draw accuracy and π_t over the epochs, one line per method, with all seeds behind it.

    Args:
        runs: run records of `bopkit.train`.
        top_5: draw top-5 accuracy too, dashed.
        line: names and colours a run's line; by default, by its method.

    Returns:
        A figure of two panels: validation accuracy in percent, and π_t as in section 5.1. A
        thick line is the mean over the seeds, the band their range.

    Raises:
        ValueError: there is no epoch to draw, or an epoch lacks what is drawn.

    Example:
        >>> runs = bopkit.records.collect("runs/digits")
        >>> figure = training_curves(runs)
        >>> [axis.get_title(loc="left") for axis in figure.axes]
        ['Validation top-1 (%)', 'Flip ratio, πₜ']
    """
    groups = defaultdict(list)
    for run in runs:
        if run["epochs"]:
            groups[line(run)].append(run)
    if not groups:
        raise ValueError("no run has finished an epoch: train one before you draw it.")
    with mpl.rc_context(STYLE):
        figure, (left, right) = new_figure(8, 3.2, 1, 2)
        for (name, colour), group in groups.items():
            accuracy = [_percent(_column(run, "val_accuracy")) for run in group]
            flips = [rules.log_flip_ratio(_column(run, "flip_ratio")) for run in group]
            _band(left, accuracy, colour, f"{name}, top-1" if top_5 else name)
            if top_5:
                accuracy = [_percent(_column(run, "val_top_5_accuracy")) for run in group]
                _band(left, accuracy, colour, f"{name}, top-5", linestyle="--")
            _band(right, flips, colour, name)
        left.set(title=f"Validation {'accuracy' if top_5 else 'top-1'} (%)", xlabel="epoch")
        right.set(title="Flip ratio, πₜ", xlabel="epoch")
        right.set_ylabel("log(flipped / all + e⁻⁹)")
        for axis in (left, right):
            axis.xaxis.get_major_locator().set_params(integer=True)
        # Below its panel, because no corner is free of several noisy curves; on a phone the two
        # panels stand one below the other, so that it must not reach into the other half.
        labels = left.get_legend_handles_labels()[1]
        columns = min(2, len(labels))
        left.legend(
            loc="upper left", bbox_to_anchor=(0, -0.18), ncols=columns, fontsize=8,
            handlelength=1.2, columnspacing=1, borderpad=0,
        )  # fmt: skip
        figure.set_figheight(3.2 + 0.2 * -(-len(labels) // columns))
    figure.description = "Validation accuracy and flip ratio by epoch. At the end: " + "; ".join(
        f"{name} {_at_the_end(group)}" for (name, _), group in groups.items()
    )
    return figure


def network_curves(panels: Mapping[str, Iterable[dict]]) -> Figure:
    """Draw top-1 and top-5 accuracy over the epochs, one panel per network.

    Args:
        panels: by title, the run records of one network.

    Returns:
        A figure with a line per method for top-1, and a dashed one for top-5. A thick line is the
        mean over the seeds, the band their range.

    Raises:
        ValueError: there is no epoch to draw, or an epoch lacks what is drawn.

    Example:
        >>> runs = bopkit.records.collect("runs/digits")
        >>> figure = network_curves({"BinaryNet": runs})
        >>> figure.axes[0].get_title(loc="left")
        'BinaryNet'
    """
    groups = {title: defaultdict(list) for title in panels}
    for title, runs in panels.items():
        for run in runs:
            if run["epochs"]:
                groups[title][_method(run)].append(run)
    groups = {title: group for title, group in groups.items() if group}
    if not groups:
        raise ValueError("no run has finished an epoch: train one before you draw it.")
    ends = []
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(9, 3.2, 1, len(groups), squeeze=False)
        for axis, (title, methods) in zip(axes[0], groups.items(), strict=True):
            for (name, colour), runs in sorted(methods.items()):
                for key, said, style in (("", "top-1", "-"), ("top_5_", "top-5", "--")):
                    curves = [_percent(_column(run, f"val_{key}accuracy")) for run in runs]
                    _band(axis, curves, colour, f"{name}, {said}", linestyle=style)
                ends.append(f"{title}, {name} {_at_the_end(runs)}")
            axis.set(title=title, xlabel="epoch", ylim=(0, 100))
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0, 0].set_ylabel("validation accuracy (%)")
        axes[0, 0].legend(loc="lower right", fontsize=7.5, borderpad=0, handlelength=1.6)
    figure.description = f"Validation accuracy by epoch. At the end: {'; '.join(ends)}"
    return figure


def _at_the_end(runs) -> str:
    """Mean top-1 and π_t of the last epoch, in words."""
    accuracy = statistics.fmean(run["epochs"][-1]["val_accuracy"] for run in runs)
    flips = statistics.fmean(run["epochs"][-1]["flip_ratio"] for run in runs)
    return f"{100 * accuracy:.1f} % top-1, πₜ {rules.log_flip_ratio(flips):.1f}"


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
    """Draw Figure 1 of the paper for one hyperparameter: accuracy and π_t, one line per value.

    Args:
        runs: run records of a sweep.
        vary: "gamma" or "threshold", the hyperparameter that differs between the lines.
        fixed: the other hyperparameter. Only the runs at the value that `fixed_value` of
            `bopkit.training.variations` finds are drawn.

    Returns:
        A figure of three panels: top-1 in training and in validation, in percent, and π_t. The
        stronger a line, the more its setting should flip: a higher γ, a lower τ.

    Raises:
        ValueError: no run has finished an epoch, an epoch lacks what is drawn, or a run has no γ
            and τ.

    Example:
        >>> runs = bopkit.records.collect("runs/digits")
        >>> figure = sweep_curves(runs, vary="gamma", fixed="threshold")
        >>> figure.axes[0].get_legend().get_texts()[0].get_text()
        'γ = 0.001'
    """
    runs = [run for run in runs if run["epochs"]]
    if not runs:
        raise ValueError("no run has finished an epoch: train one before you draw it.")
    for run in runs:
        if run["config"].get(vary) is None or run["config"].get(fixed) is None:
            raise ValueError(f"{run['experiment']} has no {vary} and {fixed} to compare it by.")
    at = fixed_value(runs, vary, fixed)
    groups = defaultdict(list)
    for run in runs:
        if run["config"][fixed] == at:
            groups[run["config"][vary]].append(run)
    values = sorted(groups, reverse=vary == "threshold")
    strength = np.linspace(0, len(SEQUENCE) - 1, len(values)).round().astype(int)
    shades = [SEQUENCE[i] for i in strength]
    symbol, other = RATES[vary].symbol, RATES[fixed].symbol
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(9, 3.2, 1, 3)
        for value, colour in zip(values, shades, strict=True):
            for axis, key in zip(axes, ("accuracy", "val_accuracy", "flip_ratio"), strict=True):
                curves = [_column(run, key) for run in groups[value]]
                scale = rules.log_flip_ratio if key == "flip_ratio" else _percent
                _band(axis, [scale(c) for c in curves], colour, f"{symbol} = {number(value)}")
        for axis, title in zip(
            axes,
            ("Training top-1 (%)", "Validation top-1 (%)", "Flip ratio, πₜ"),
            strict=True,
        ):
            axis.set(title=title, xlabel="epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0].legend(title=f"{other} = {number(at)}", loc="lower right")
    figure.description = "Accuracy in training and validation, and flip ratio. At the end: " + (
        "; ".join(f"{symbol} = {number(value)}: {_at_the_end(groups[value])}" for value in values)
    )
    return figure


def stopped_share(row: Mapping[str, int]) -> float:
    """Compute the share of the flips at τ = 0 that the threshold stopped, along the same averages.

    A signal that rises above zero and falls back below τ would be two flips at τ = 0, there and
    back. A signal that exceeds τ is one flip, with the threshold and without it.

    Args:
        row: `stopped`, how often the signal fell back, and `flips`, the flips that were made.

    Returns:
        A share of all flips at τ = 0.

    Example:
        >>> stopped_share({"stopped": 300, "flips": 200})
        0.75
    """
    stopped = 2 * row["stopped"]
    return stopped / (stopped + row["flips"])


def stopped_flips(counts: Mapping[str, Sequence[dict]]) -> Figure:
    """Draw the share of the flips that the threshold stopped, by epoch, one line per setting.

    Args:
        counts: by a setting's name, what `tools/held_by_threshold.py` counted: a row per epoch with
            `stopped` and `flips`.

    Returns:
        A figure of one panel, in percent of the flips that there would be at τ = 0 along the same
        averages; see `stopped_share`.

    Example:
        >>> figure = stopped_flips({"γ = 10⁻³": [{"stopped": 300, "flips": 200}]})
        >>> figure.description
        'Share of flips that τ stopped. In the last epoch: γ = 10⁻³ 75.0 %'
    """
    with mpl.rc_context(STYLE):
        figure, axis = new_figure(6, 3.2)
        for (name, rows), colour in zip(counts.items(), SEQUENCE[::-2], strict=False):
            shares = [100 * stopped_share(row) for row in rows]
            axis.plot(range(1, len(rows) + 1), shares, color=colour, marker="o", label=name)
        axis.set(title="Flips that the threshold stopped (%)", xlabel="epoch", ylim=(0, 104))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(loc="lower right")
    ends = (f"{name} {100 * stopped_share(rows[-1]):.1f} %" for name, rows in counts.items())
    figure.description = f"Share of flips that τ stopped. In the last epoch: {'; '.join(ends)}"
    return figure


def _column(run, key):
    """What a run's epochs say of one thing: a share of all, from 0 to 1."""
    values = [row.get(key) for row in run["epochs"]]
    for epoch, value in enumerate(values, 1):
        if value is None or not 0 <= value <= 1:
            said = "is not there" if value is None else f"is {value:g}"
            raise ValueError(
                f"{key} of epoch {epoch} of {run['experiment']} {said}, and must be from 0 to 1 "
                "to be drawn: train it again, or leave it out."
            )
    return values


def _percent(values):
    return 100 * np.asarray(values)
