"""The decision at the edge: what each way of writing Bop's rule does when w·m equals τ."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._support.text import number
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.style import BOP, INK, LATENT, MUTED, PAPER, STYLE, new_figure

OURS, EQUATION, RELEASED = "Algorithm 2: w·m > τ", "equation (6): w·m ≥ τ", "released code"
REACH = 2.0  # of the axis of m


def decide(weight: np.ndarray, average: np.ndarray, threshold: float, rule: str) -> np.ndarray:
    r"""The new weight by one way of writing the rule.

    `OURS` flips where :math:`w\,m > \tau`, `EQUATION` where :math:`w\,m \ge \tau`; `RELEASED`
    computes

    .. math:: w \leftarrow \operatorname{sign}_{+}(-\operatorname{sign}_0(w\,m - \tau)\, w)

    where the inner sign of 0 is 0 and the outer is +1.

    Args:
        weight: -1 or +1; any shape.
        average: m after its update; a shape that broadcasts with `weight`.
        threshold: τ.
        rule: `OURS`, `EQUATION` or `RELEASED`.

    Returns:
        New weights, -1 or +1.

    Source:
        Algorithm 2 and equation (6) of arXiv:1906.02107; its released code, and larq's
        `lq.optimizers.Bop`.
    """
    product = np.asarray(weight) * np.asarray(average)
    if rule == RELEASED:
        return rules.sign(-np.sign(product - threshold) * weight)
    flips = product > threshold if rule == OURS else product >= threshold
    return np.where(flips, -np.asarray(weight), weight)


def draw(average: float, threshold: float, rule: str) -> Figure:
    """Both weights' fate over all m, and at one.

    Args:
        average: m, at which the marker is drawn.
        threshold: τ, in the same unit.
        rule: as for `decide`.

    Returns:
        A figure of two panels, for a weight that was -1 and one that was +1: the new weight over
        m. A filled dot says which of two levels holds at the edge itself.
    """
    fates = []
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(5.6, 4.2, 2, sharex=True)
        for axis, old in zip(axes, (-1.0, 1.0), strict=True):
            _panel(axis, old, threshold, rule)
            new = float(decide(old, average, threshold, rule))
            axis.axvline(average, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
            axis.plot(average, new, "o", color=BOP, markersize=11, zorder=6)
            axis.text(
                average + 0.09,
                0.45,
                "flips" if new != old else "stays",
                color=BOP,
                fontweight="bold",
                fontsize=9,
                va="center",
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
            )
            fates.append(f"{_signed(old)} {'flips' if new != old else 'stays'}")
        axes[-1].set_xlabel("average m, in the gradient's unit")
    side = {-1: "below", 0: "exactly at", 1: "above"}[int(np.sign(abs(average) - threshold))]
    figure.description = (
        f"{rule[0].upper()}{rule[1:]}. With τ = {number(threshold)} and m = "
        f"{_minus(number(average))}, |m| is {side} τ: a weight of {fates[0]}, one of {fates[1]}."
    )
    return figure


def _panel(axis, old, threshold, rule):
    """The new weight over m as two levels that meet at the edge, m = τ·w."""
    edge = old * threshold
    for low, high in ((-REACH, edge), (edge, REACH)):
        level = float(decide(old, (low + high) / 2, threshold, rule))
        axis.plot([low, high], [level, level], color=BOP, linewidth=3, solid_capstyle="butt")
    holds = float(decide(old, edge, threshold, rule))
    for level in (-1.0, 1.0):
        axis.plot(
            edge,
            level,
            "o",
            markersize=7,
            color=BOP,
            markerfacecolor=BOP if level == holds else PAPER,
            zorder=5,
        )
    axis.axvline(edge, color=LATENT, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    # The name of the edge on the outer side, where the marker's word is not.
    axis.text(
        edge - 0.09,
        -0.45,
        "w·τ",
        color=LATENT,
        ha="right",
        va="center",
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
    )
    axis.set_title(f"A weight that was {_signed(old)}", fontsize=10, pad=6)
    axis.set(xlim=(-REACH, REACH), ylim=(-1.5, 1.5), ylabel="new weight")
    axis.set_yticks([-1, 1], ["−1", "+1"])
    axis.tick_params(axis="y", colors=MUTED)


def _signed(weight) -> str:
    return "+1" if weight > 0 else "−1"


def _minus(text) -> str:
    return text.replace("-", "−")


SCENE = Scene(
    "edge",
    draw,
    (
        Slider("average", "average m", (-1.5, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 1.5), -1.0),
        Slider("threshold", "threshold τ", (0.0, 0.5, 1.0), 1.0),
        Slider("rule", "rule", (OURS, EQUATION, RELEASED), OURS),
    ),
)
