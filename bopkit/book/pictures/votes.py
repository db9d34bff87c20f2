"""One weight, rare huge gradients against a small push: what Bop makes of them, and what Votes."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._support.text import number
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.style import BOP, FAINT, INK, STYLE, THIRD, dots, new_figure, verticals

STEPS = 300
THRESHOLD = 0.2  # of both rules; under noise of 1 their signals are about as large
START = 1.0  # the push favours the other weight
_REACH = 5.4  # of a signal's axis, in units of τ; all votes one way are 1 / τ = 5


class Course(NamedTuple):
    """What one rule did with the gradients.

    Attributes:
        signal: the average that was held against τ, after each step; (steps,).
        weights: the binary weight after each step; (steps,).
        flips: the steps at which it changed; (flips,).
        wrong: share of the steps on which it had the sign that makes the loss grow on average.
    """

    signal: np.ndarray
    weights: np.ndarray
    flips: np.ndarray
    wrong: float


def signal(push: float, size: float, every: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gradients that are a small push under noise, and now and then a large one the other way.

    Args:
        push: mean of the ordinary gradients, in units of their noise's standard deviation.
        size: of the outliers, which are negative, in the same unit.
        every: one gradient in `every` is an outlier.
        seed: of the noise.

    Returns:
        The gradients, and which of them are outliers; (steps,) each.
    """
    steps = np.arange(STEPS)
    outliers = (steps > 0) & (steps % every == 0)
    gradients = push + np.random.RandomState(seed).normal(size=STEPS)
    return np.where(outliers, -size, gradients), outliers


@lru_cache(maxsize=1024)
def courses(push: float, size: float, every: int, gamma: float) -> dict[str, Course]:
    r"""One binary weight under Bop and under Votes, on the gradients of `signal`.

    Votes is Bop with every gradient replaced by its sign:

    .. math:: m_t = (1 - \gamma)\, m_{t-1} + \gamma \operatorname{sign}_0(g_t)

    Args:
        push: as for `signal`.
        size: as for `signal`.
        every: as for `signal`.
        gamma: γ of both rules; τ is `THRESHOLD`.

    Returns:
        A `Course` by the rule's name, "Bop" and "Votes".
    """
    gradients, _ = signal(push, size, every)
    seen = np.stack([gradients, np.sign(gradients)], axis=1)
    weights, averages = np.full(2, START), np.zeros(2)
    history = []
    for row in seen:
        update = rules.bop_step(weights, averages, row, threshold=THRESHOLD, gamma=gamma)
        weights, averages = update.weights, update.momentum
        history.append(update)
    # a weight with the sign of its mean gradient makes the loss grow
    wrong_side = 1.0 if gradients.mean() > 0 else -1.0
    found = {}
    for rule, name in enumerate(("Bop", "Votes")):
        taken = np.array([update.weights[rule] for update in history])
        found[name] = Course(
            np.array([update.momentum[rule] for update in history]),
            taken,
            np.flatnonzero([update.flips[rule] for update in history]),
            float(np.mean(taken == wrong_side)),
        )
    return found


def draw(push: float, size: float, every: int, gamma: float) -> Figure:
    """The gradients above, what each rule makes of them below.

    Args:
        push: mean of the ordinary gradients, in units of their noise.
        size: of the outliers, which go the other way, in the same unit.
        every: one gradient in `every` is an outlier.
        gamma: γ of both rules.

    Returns:
        A figure of three panels that share the step: the gradients; Bop's signal and Votes', each
        in units of τ, with the line that it has to cross and a dot where the weight flips.
    """
    gradients, outliers = signal(push, size, every)
    results = courses(push, size, every, gamma)
    mean = gradients.mean()
    better = "−1" if mean > 0 else "+1"
    steps = np.arange(STEPS)
    with mpl.rc_context(STYLE):
        figure, (top, *panels) = new_figure(5.6, 5.6, 3, sharex=True, height_ratios=[1.1, 1, 1])
        dots(top, steps[~outliers], gradients[~outliers], color=FAINT)
        dots(top, steps[outliers], gradients[outliers], size=6.5, color=INK, zorder=5)
        top.axhline(mean, color=INK, linewidth=1.2)
        top.set_yscale("symlog", linthresh=3, linscale=1.2)
        top.set(ylim=(-200, 6), ylabel="gradient")
        top.set_yticks([-100, -10, -3, 0, 3], ["−100", "−10", "−3", "0", "3"])
        top.minorticks_off()
        top.set_title(
            f"Mean of the gradients {_signed(mean)} (line): the better weight is {better}",
            fontsize=9,
            pad=5,
        )
        for axis, (name, course), colour in zip(panels, results.items(), (BOP, THIRD), strict=True):
            _panel(axis, course, colour)
            verticals(axis, steps[outliers], color=FAINT, linewidth=0.8, zorder=1)
            axis.set_title(
                f"{name}: {_times(course.flips)}, on the wrong side {_share(course.wrong)} "
                "of the time",
                fontsize=9,
                pad=5,
                color=colour,
            )
        panels[-1].set(xlabel="step", xlim=(0, STEPS + 20), xticks=range(0, STEPS + 1, 50))
    told = "; ".join(
        f"{name} makes {_times(course.flips)} and is wrong {_share(course.wrong)} of the time"
        for name, course in results.items()
    )
    figure.description = (
        f"A push of +{number(push)}, and once in {every} steps a gradient of −{number(size)}: the "
        f"mean of the {STEPS} gradients is {_signed(mean)}, {better} the better weight. "
        f"With γ = {number(gamma)} {told}."
    )
    return figure


def _panel(axis, course, colour):
    """A signal in units of τ, the line on the weight's own side that flips it, and the flips."""
    shown = course.signal / THRESHOLD
    before = np.concatenate([[START], course.weights[:-1]])
    steps = np.arange(STEPS)
    axis.step(steps, before, where="mid", color=INK, linewidth=1.1, linestyle=(0, (4, 2)))
    axis.plot(steps, shown, color=colour, linewidth=1.6)
    marks = np.clip(shown[course.flips], -_REACH, _REACH)
    dots(axis, course.flips, marks, size=6.5, color=colour, zorder=5)
    axis.text(STEPS + 3, course.weights[-1], "w·τ", color=INK, va="center", fontsize=9)
    axis.set(ylim=(-_REACH - 0.2, _REACH + 0.2), ylabel="signal / τ")
    axis.set_yticks([-5, -1, 1, 5], ["−5", "−1", "1", "5"])


def _signed(value) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _times(flips) -> str:
    return "1 flip" if len(flips) == 1 else f"{len(flips)} flips" if len(flips) else "no flip"


def _share(value) -> str:
    return f"{100 * value:.0f} %"


SCENE = Scene(
    "votes",
    draw,
    (
        Slider("push", "push: mean of the ordinary gradients", (0.2, 0.4, 0.8), 0.4),
        Slider("size", "size of the outliers", (3.0, 10.0, 30.0, 100.0), 30.0, log=True),
        Slider("every", "steps per outlier", (20, 50, 100, 200), 100),
        Slider("gamma", "adaptivity rate γ", (0.02, 0.05, 0.1), 0.05, log=True),
    ),
)
