"""The loss before a sign: a staircase, and the slope that a straight-through estimator reports."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._support.text import number
from bopkit.book import toy
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.style import FAINT, INK, LATENT, STYLE, THIRD, dots, new_figure

HIDDEN, IMAGES = 8, 100
PLACES = (-2.0, -1.6, -1.2, -0.8, -0.4, 0.0, 0.4, 0.8, 1.2, 1.6, 2.0)
UNIT, DIGIT = 1, 2  # the weight from hidden unit 1 to the score of digit 2
WEIGHT, INPUT = "one weight", "one unit's input"


class Staircase(NamedTuple):
    """A loss that is constant between its steps.

    Attributes:
        steps: where it jumps, in order; (n,).
        levels: the loss, in nats, left of the first step, between, and right of the last; (n + 1,).
    """

    steps: np.ndarray
    levels: np.ndarray

    def __call__(self, x):
        """The loss at `x`; any shape."""
        return self.levels[np.searchsorted(self.steps, x, side="right")]

    def mean_slope(self, x, clip: float):
        """Rise over run from `x - clip` to `x + clip`, both ends included, in nats per unit."""
        start = self.levels[np.searchsorted(self.steps, np.subtract(x, clip), side="left")]
        return (self(np.add(x, clip)) - start) / (2 * clip)


@lru_cache(maxsize=1)
def network() -> list[np.ndarray]:
    """Train the fixed network, which has eight hidden units, by Bop for ten epochs."""
    return toy.train(toy.NumPyBop(1e-4, 0.01), hidden=HIDDEN).weights


def _probe(behind: str, x: float, clip: float = 1.0) -> toy.Probe:
    """Loss and gradients where the real number is `x`."""
    images, labels, _, _ = toy.digits()
    images, labels = images[:IMAGES], labels[:IMAGES]
    weights, shift = network(), np.zeros(HIDDEN)
    if behind == WEIGHT:
        weights = [weights[0], weights[1].copy()]
        weights[1][UNIT, DIGIT] = rules.sign(x)
    else:
        shift[UNIT] = x
    return toy.probe(weights, images, labels, shift=shift, clip=clip)


@lru_cache(maxsize=2)
def staircase(behind: str) -> Staircase:
    """The loss of 100 digits as one real number before a sign moves.

    Args:
        behind: if `WEIGHT`, the number is a latent weight, and one binary weight is its sign. If
            `INPUT`, the number is added to what one hidden unit takes the sign of, as the shift
            of a batch normalization would be, so each image crosses zero at a place of its own.

    Returns:
        The loss, exact: one measurement for each level.
    """
    inputs = np.zeros(1) if behind == WEIGHT else _probe(behind, 0.0).inputs[:, UNIT]
    steps = np.sort(-inputs)
    ends = np.concatenate([[steps[0] - 2], steps, [steps[-1] + 2]])
    middles = (ends[1:] + ends[:-1]) / 2
    return Staircase(steps, np.array([_probe(behind, x).loss for x in middles]))


def _loss_limits() -> tuple[float, float]:
    """One scale for both staircases, with room for the tangent."""
    levels = np.concatenate([staircase(behind).levels for behind in (WEIGHT, INPUT)])
    return levels.min() - 0.04, levels.max() + 0.06


def reported(behind: str, x: float, clip: float) -> float:
    """The slope that the straight-through estimator reports at `x`, in nats per unit.

    Args:
        behind: `WEIGHT` or `INPUT`.
        x: the real number.
        clip: c. The gradient passes where the sign's argument is within c of zero.

    Returns:
        The derivative of the loss with respect to `x`, as backpropagation has it.
    """
    found = _probe(behind, x, clip)
    if behind == INPUT:
        return float(found.shift_gradient[UNIT])
    return float(rules.ste_sign_gradient(x, found.gradients[1][UNIT, DIGIT], clip=clip))


@lru_cache(maxsize=16)
def _reports(behind: str, clip: float) -> tuple[np.ndarray, np.ndarray]:
    """What the estimator reports all along the axis."""
    x = np.linspace(-2.2, 2.2, 221) + 1e-9  # not on a step
    return x, np.array([reported(behind, place, clip) for place in x])


def draw(behind: str, x: float, clip: float) -> Figure:
    """The staircase and the estimator's tangent above, the slopes below.

    Args:
        behind: what the sign is taken of, `WEIGHT` or `INPUT`.
        x: the real number at which the tangent touches.
        clip: half the width of the estimator's window.

    Returns:
        A figure of two panels that share the real number.
    """
    stairs, slope = staircase(behind), reported(behind, x, clip)
    loss, mean = float(stairs(x)), float(stairs.mean_slope(x, clip))
    inside = int(np.count_nonzero(np.abs(stairs.steps - x) <= clip))
    with mpl.rc_context(STYLE):
        figure, (above, below) = new_figure(5.6, 5.2, 2, sharex=True, height_ratios=[1.5, 1])
        for axis in (above, below):
            axis.axvspan(max(x - clip, -2.2), min(x + clip, 2.2), color=FAINT, alpha=0.3, lw=0)
        above.stairs(stairs.levels, [-9, *stairs.steps, 9], baseline=None, color=INK, linewidth=1.6)
        reach = np.array([x - min(clip, 0.7), x + min(clip, 0.7)])
        above.plot(reach, loss + slope * (reach - x), color=LATENT, linewidth=2.2)
        dots(above, [x], [loss], size=8, color=INK, zorder=5)
        above.set(xlim=(-2.2, 2.2), ylim=_loss_limits(), ylabel="loss (nats)")
        above.set_title("The loss of 100 digits, and the surrogate slope there", fontsize=10, pad=6)
        place, reports = _reports(behind, clip)
        means = stairs.mean_slope(place, clip)
        below.axhline(0, color=INK, linewidth=1.6, label="true slope")
        for slopes, colour, label in (
            (means, THIRD, "mean over the window"),
            (reports, LATENT, "surrogate"),
        ):
            below.step(place, slopes, where="mid", color=colour, linewidth=1.5, label=label)
        dots(below, [x], [slope], size=7, color=LATENT, zorder=5)
        below.set(ylim=(-0.55, 0.55), ylabel="slope")
        below.set_xlabel(
            "latent weight w̃" if behind == WEIGHT else "shift of the unit's input, before its sign"
        )
        below.set_yticks([-0.4, 0, 0.4], ["−0.4", "0", "0.4"])
        below.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.96), ncols=3, fontsize=9)
    steps = "no step" if inside == 0 else "1 step" if inside == 1 else f"{inside} steps"
    name = "Latent weight" if behind == WEIGHT else "Shift"
    figure.description = (
        f"{name} {number(x)}: the true slope is 0. Within {number(clip)} on either side the loss "
        f"has {steps}. The surrogate slope is {_slope(slope)}, the mean slope over the window "
        f"{_slope(mean)}."
    ).replace("-", "−")
    return figure


def _slope(value):
    """A slope to three decimals, with a sign that a reader can see."""
    return f"{value:+.3f}" if abs(value) >= 5e-4 else "0"


SCENE = Scene(
    "staircase",
    draw,
    (
        Slider("behind", "before the sign", (WEIGHT, INPUT), WEIGHT),
        Slider(
            "x",
            "the real number",
            PLACES,
            0.4,
        ),
        Slider("clip", "estimator's window c", (0.25, 0.5, 1.0, 2.0), 1.0),
    ),
)
