"""One threshold for three networks and any loss: how far Bop and Bop2ndOrder can share it."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bopkit import rules
from bopkit._support.text import number
from bopkit.book import toy
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.remember import remember
from bopkit.book.style import BOP, INK, MUTED, PAPER, STYLE, THIRD, new_figure

EPOCHS = 4
WIDTHS = (64, 256, 1024)
FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0)
GAMMA = 0.02  # also σ: then |m| ≤ √v, and no τ above 1 means anything
NOISE = float(np.sqrt(GAMMA / (2 - GAMMA)))  # the deviation of m/√v where the gradient is noise
FIRST, SECOND = "Bop", "Bop2ndOrder"
LINES = dict(zip(WIDTHS, ((0, (1, 1.4)), (0, (5, 1.6)), "-"), strict=True))
# Where each curve is measured. At the last of each nothing ever flips, nor beyond.
GRIDS = {
    FIRST: (1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    SECOND: (1e-5, 1e-3, 1e-2, 3e-2, 1e-1, 2e-1, 3e-1, 5e-1, 7e-1, 1.0),
}
LEFT, RIGHT = 1e-5, 1.0


@remember
def run(rule: str, threshold: float, hidden: int) -> toy.Run:
    """Train the small network once.

    Args:
        rule: `FIRST` or `SECOND`.
        threshold: τ; in the gradient's unit for `FIRST`, without unit for `SECOND`.
        hidden: units of the hidden layer.

    Returns:
        What `bopkit.book.toy.train` gives for `EPOCHS` epochs at γ = σ = `GAMMA`; remembered.
    """
    if rule == FIRST:
        return toy.train(toy.NumPyBop(threshold, GAMMA), epochs=EPOCHS, hidden=hidden)
    return toy.train(toy.NumPyBop2ndOrder(threshold, GAMMA, GAMMA), epochs=EPOCHS, hidden=hidden)


def measured(rule: str, threshold: float, hidden: int) -> tuple[float, float]:
    """What a run comes to.

    Args:
        rule: as for `run`.
        threshold: as for `run`; the last of the rule's grid stands for all above it.
        hidden: as for `run`.

    Returns:
        Top-1 on the held-out digits in percent, averaged over the last two epochs; and the share
        of the weights that flips in an average step of the first epoch, in [0, 1].
    """
    # To 12 digits, so that 0.1/100 is the 0.001 of the grid and not trained again.
    result = run(rule, float(f"{min(threshold, GRIDS[rule][-1]):.12g}"), hidden)
    first = result.flip_ratio[: len(result.flip_ratio) // EPOCHS]
    return 100 * float(result.accuracy[-2:].mean()), float(first.mean())


def curve(rule: str, hidden: int, factor: float) -> np.ndarray:
    """A rule's course over all thresholds.

    The factor shifts Bop's whole course, because m grows with the loss: the run at τ is the run at
    τ/factor with the original loss. The factor does not shift Bop2ndOrder's course. Only decisions
    that depend on rounding change, where a gradient is no larger than the rule's 1e-10.

    Args:
        rule: as for `run`.
        hidden: as for `run`.
        factor: what the loss is multiplied by.

    Returns:
        τ, and what `measured` gives there; (3, points). The last point is far to the right.
    """
    grid = GRIDS[rule]
    values = np.array([measured(rule, threshold, hidden) for threshold in grid])
    thresholds = np.array(grid) * (factor if rule == FIRST else 1.0)
    far = [max(10 * RIGHT, 10 * thresholds[-1])]
    return np.vstack([np.append(thresholds, far), np.vstack([values, values[-1:]]).T])


def draw(hidden: int, factor: float, threshold: float) -> Figure:
    """Accuracy and flips over τ for both rules, and at one τ.

    Args:
        hidden: units of the hidden layer, one of `WIDTHS`: the thick lines.
        factor: what the loss is multiplied by.
        threshold: τ, at which the markers are drawn.

    Returns:
        A figure of two panels that share τ: final accuracy, and π of the first epoch.
    """
    told = {}
    with mpl.rc_context(STYLE):
        figure, (top, bottom) = new_figure(5.6, 5.4, 2, sharex=True)
        for axis in (top, bottom):
            axis.axvline(NOISE, color=THIRD, linewidth=1, linestyle=(0, (1, 2)))
            axis.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        for rule, colour in ((FIRST, BOP), (SECOND, THIRD)):
            for width in sorted(WIDTHS, key=lambda width: width == hidden):  # the thick one last
                thresholds, accuracy, flips = curve(rule, width, factor)
                look = {"color": colour, "linestyle": LINES[width], "linewidth": 1.1}
                look |= {"linewidth": 2.4} if width == hidden else {"alpha": 0.6}
                top.plot(thresholds, accuracy, **look)
                bottom.plot(thresholds, rules.log_flip_ratio(flips), **look)
            at = threshold / factor if rule == FIRST else threshold
            accuracy, flips = told[rule] = measured(rule, at, hidden)
            marker = {"marker": "o", "markersize": 9, "color": colour, "markeredgecolor": PAPER}
            top.plot(threshold, accuracy, zorder=6, **marker)
            bottom.plot(threshold, rules.log_flip_ratio(flips), zorder=6, **marker)
        _dress(top, bottom)
    (right_1, flips_1), (right_2, flips_2) = told[FIRST], told[SECOND]
    figure.description = (
        f"{number(hidden)} hidden units, loss × {number(factor)}, τ = {number(threshold)}. "
        f"Held-out digits right at the end: Bop {right_1:.0f} %, Bop2ndOrder {right_2:.0f} %. "
        f"Weights that flip in a step of epoch 1: {100 * flips_1:.2g} %, {100 * flips_2:.2g} %."
    )
    return figure


def _dress(top, bottom):
    """Axes, titles, and what the colours and the lines stand for."""
    for x, text, colour in ((0.0, FIRST, BOP), (0.085, SECOND, THIRD)):
        top.text(x, 1.02, text, transform=top.transAxes, color=colour, va="bottom", fontsize=9)
    units = [f"{number(width)} units" for width in WIDTHS]
    lines = [Line2D([], [], color=MUTED, linestyle=LINES[width]) for width in WIDTHS]
    place = {"loc": "lower right", "bbox_to_anchor": (1.02, 0.96), "ncols": len(WIDTHS)}
    top.legend(lines, units, fontsize=9, handlelength=2.2, columnspacing=1, **place)
    top.set(xscale="log", xlim=(LEFT * 0.7, RIGHT * 1.4), ylim=(0, 103), ylabel="top-1 (%)")
    top.set_yticks([0, 25, 50, 75, 100])
    top.set_title(f"Accuracy on held-out digits after {EPOCHS} epochs", fontsize=10, pad=18)
    bottom.set(ylim=(-9.4, 0), yticks=[-9, -6, -3, 0], ylabel="π", xlabel="threshold τ")
    bottom.text(
        NOISE * 0.9, -0.7, "noise in m/√v", color=THIRD, ha="right", va="center", fontsize=9
    )
    bottom.set_title("Flip ratio π in the first epoch; −9: none", fontsize=10, pad=6)
    ticks = [10.0**exponent for exponent in range(-5, 1)]
    bottom.set_xticks(ticks, [number(tick) for tick in ticks])
    bottom.minorticks_off()


SCENE = Scene(
    "second_moment",
    draw,
    (
        Slider("hidden", "hidden units", WIDTHS, 256),
        Slider("factor", "the loss, multiplied by", FACTORS, 1.0, log=True),
        Slider(
            "threshold", "threshold τ", (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 3e-1, 1.0), 1e-3, log=True
        ),
    ),
)
