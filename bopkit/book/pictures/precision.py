"""What 16 bits do to Bop: where τ lands, and which updates of the average are rounded away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit._support.text import number
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.streams import turning_mean
from bopkit.book.style import BOP, FAINT, INK, LATENT, MUTED, STYLE, new_figure


class Format(NamedTuple):
    """A binary floating-point format, without infinities: nothing here is large.

    Attributes:
        bits: of the significand, the implicit one included.
        lowest: exponent of the smallest normal number, 2**lowest.
    """

    bits: int
    lowest: int

    @property
    def smallest(self) -> float:
        """The smallest positive number."""
        return math.ldexp(1.0, self.lowest - self.bits + 1)


FORMATS = {
    "float32": Format(24, -126),
    "bfloat16": Format(8, -126),
    "float16": Format(11, -14),
    "float64": Format(53, -1022),  # exact, as far as one can see
}
ROWS = ("float16", "bfloat16", "float32")

# What is kept where: the gradient's format, then that of γ, τ and m.
KEPT = {
    "float32": ("float32", "float32"),
    "mixed_bfloat16": ("bfloat16", "float32"),  # Keras' policy, and bopkit's
    "bfloat16": ("bfloat16", "bfloat16"),
    "float16": ("float16", "float16"),
}

# The gradient: as large as BinaryNet's at the start, most of it noise.
NOISE, MEAN = 1e-4, 2e-5
LOOK_BACKS = 6  # the run's length, in units of 1/γ steps
_SHOWN = 180  # points of a curve


def spacing(value: float, kind: Format) -> float:
    """The distance from a number to the next larger one in size (an "ulp").

    Args:
        value: any finite number.
        kind: a format.

    Returns:
        A power of two; the smallest positive number below the normal ones.
    """
    exponent = math.frexp(value)[1] - 1 if value else kind.lowest
    return math.ldexp(1.0, max(exponent, kind.lowest) - kind.bits + 1)


def rounded(value: float, kind: Format) -> float:
    """The nearest number that a format can hold; halfway, the even one.

    Args:
        value: a finite number within the format's range.
        kind: a format.

    Returns:
        The nearest number in that format, which may be subnormal or zero.

    Source:
        IEEE 754's rounding to nearest, ties to even.
    """
    step = spacing(value, kind)
    return round(value / step) * step  # both exact: step is a power of two


class Course(NamedTuple):
    """A moving average in one format.

    Attributes:
        averages: m after each step; (steps,).
        lost: share of the updates that left m as it was.
    """

    averages: np.ndarray
    lost: float


def gradients(gamma: float, seed: int = 1) -> np.ndarray:
    """Noise around a mean that is negative, positive, negative for two look-backs each.

    Args:
        gamma: γ; the run takes `LOOK_BACKS` / γ steps.
        seed: of the noise.

    Returns:
        Gradients; (steps,).
    """
    steps = round(LOOK_BACKS / gamma)
    return turning_mean(MEAN, steps) + NOISE * np.random.RandomState(seed).normal(size=steps)


def average(signal: Sequence[float], gamma: float, given: Format, kind: Format) -> Course:
    r"""Bop's moving average with the result of every operation rounded.

    .. math:: m_t = \operatorname{r}(m_{t-1} + \operatorname{r}(\gamma\,
              \operatorname{r}(\operatorname{r}'(g_t) - m_{t-1})))

    Args:
        signal: the gradients; (steps,).
        gamma: γ, rounded too.
        given: the gradient's format, in which r' rounds.
        kind: the format of all else, in which r rounds.

    Returns:
        A `Course`.
    """
    gamma = rounded(gamma, kind)
    averages, lost, m = [], 0, 0.0
    for gradient in signal:
        before = m
        update = rounded(gamma * rounded(rounded(gradient, given) - m, kind), kind)
        m = rounded(m + update, kind)
        lost += m == before
        averages.append(m)
    return Course(np.array(averages), lost / len(averages))


@lru_cache(maxsize=256)
def course(gamma: float, kept: str) -> Course:
    """`average` of the picture's own gradients, remembered.

    Args:
        gamma: γ.
        kept: one of `KEPT`, or "exact": float64.
    """
    given, kind = KEPT.get(kept, ("float64", "float64"))
    return average(gradients(gamma).tolist(), gamma, FORMATS[given], FORMATS[kind])


def weights(averages: np.ndarray, threshold: float, start: float = -1.0) -> np.ndarray:
    """Compute the weight that these averages flip, after each step; (steps,).

    Args:
        averages: m; (steps,).
        threshold: τ as the format holds it.
        start: the weight before the first step.
    """
    # Beyond the threshold on either side the weight has, after the step, the other sign.
    decided = np.where(np.abs(averages) > threshold, -np.sign(averages), 0.0)
    last = np.maximum.accumulate(np.where(decided != 0, np.arange(len(decided)), -1))
    return np.where(last < 0, start, decided[last])


def draw(threshold: float, gamma: float, kept: str) -> Figure:
    """One weight whose average and threshold live in one format.

    Args:
        threshold: τ.
        gamma: γ.
        kept: one of `KEPT`.

    Returns:
        A figure of three panels. The first shows what each format can hold, with τ and a typical
        update. The second shows m, and the third shows the weight.
    """
    name = KEPT[kept][1]
    held = rounded(threshold, FORMATS[name])
    exact, ours = course(gamma, "exact"), course(gamma, kept)
    truth, weight = weights(exact.averages, threshold), weights(ours.averages, held)
    size = float(np.sqrt(np.mean(exact.averages**2)))
    with mpl.rc_context(STYLE):
        figure, (line, middle, below) = new_figure(5.6, 5.7, 3, height_ratios=[1.6, 2, 0.8])
        _line(line, threshold, gamma * NOISE, size, name)
        # As many points for each γ: what moves is the average, not the axis.
        shown = np.linspace(0, len(exact.averages) - 1, _SHOWN).round().astype(int)
        time = (shown + 1) * gamma
        middle.plot(time, 1e5 * exact.averages[shown], color=FAINT, linewidth=4)
        middle.plot(time, 1e5 * ours.averages[shown], color=BOP, linewidth=1.4)
        for side in (-1e5, 1e5):
            middle.axhline(side * held, color=LATENT, linewidth=1, linestyle=(0, (4, 2)))
        middle.set(xlim=(0, LOOK_BACKS), ylim=(-4.5, 4.5), ylabel="m, in 10⁻⁵")
        middle.set_title(
            "The average m, exact (grey) and as kept (blue); ±τ dashed", fontsize=10, pad=6
        )
        _weight(below, truth, FAINT, gamma, 4)
        _weight(below, weight, BOP, gamma, 1.4)
        below.set(xlim=(0, LOOK_BACKS), ylim=(-1.5, 1.5), ylabel="weight w")
        below.set_xlabel("time, in look-backs of 1/γ steps")
        below.set_yticks([-1, 1], ["−1", "+1"])
        below.grid(visible=False)
        middle.tick_params(labelbottom=False)
    lost = 100 * ours.lost
    off = abs(held - threshold) / threshold
    landing = "becomes 0" if held == 0 else f"is off by {100 * off:.1f} %"
    landing = "is kept" if off < 5e-4 else landing
    figure.description = (
        f"{kept}, γ = {number(gamma)}: τ = {number(threshold)} {landing}. "
        f"{lost:.{1 if 99 < lost < 100 else 0}f} % of the updates leave m as it was. "
        f"Flips: {_flips(weight)}, with an exact average {_flips(truth)}; the weight differs on "
        f"{100 * np.mean(weight != truth):.0f} % of the steps."
    )
    return figure


def _flips(history) -> int:
    return int(np.count_nonzero(np.diff([-1.0, *history])))


def _weight(axis, history, colour, gamma, width):
    """Draw a weight's course as steps, with points only at its flips."""
    turns = np.flatnonzero(np.diff([-1.0, *history]))
    if len(turns) > 60:  # more than the eye can part
        turns = turns[np.linspace(0, len(turns) - 1, 60).round().astype(int)]
    time = [0.0, *((turns + 1) * gamma), LOOK_BACKS]
    level = [-1.0, *history[turns], history[-1]]
    axis.step(time, level, where="post", color=colour, linewidth=width)


def _line(axis, threshold, update, size, chosen):
    """A row for each format: from its smallest number on, with a tick at half its step at m."""
    for row, name in enumerate(ROWS):
        kind, ours = FORMATS[name], name == chosen
        low = max(kind.smallest / 2, 1e-14)  # what is smaller is rounded to 0
        axis.plot(
            [low, 1e-2], [row, row], color=BOP if ours else FAINT, lw=5, solid_capstyle="butt"
        )
        half = spacing(size, kind) / 2
        ink = INK if ours else MUTED
        axis.plot([half, half], [row - 0.32, row + 0.32], color=ink, linewidth=2.2)
        axis.text(2e-14, row + 0.17, name, color=ink, fontsize=9, va="bottom")
        if low > 1e-14:
            axis.text(low / 5, row, "smaller is 0", color=ink, fontsize=9, ha="right", va="center")
    # Two heights and two sides: none of the three covers another.
    for x, label, colour, side, height in (
        (update, "γg", INK, 1.25, 2.45),
        (size, "m", INK, 1.25, 3.0),
        (threshold, "τ", LATENT, 0.8, 3.0),
    ):
        axis.plot([x, x], [-0.6, height + 0.4], color=colour, lw=1.2, linestyle=(0, (4, 2)))
        where = "left" if side > 1 else "right"
        axis.text(side * x, height + 0.1, label, color=colour, ha=where, va="center")
    axis.set_title(
        "What each type holds; an update γg left of the tick is lost", fontsize=10, pad=6
    )
    axis.set_xscale("log")
    axis.set(xlim=(1e-14, 1e-2), ylim=(-0.6, 3.45))
    axis.set_xticks([10.0**k for k in range(-14, -1, 2)])
    axis.set_xticklabels([number(10.0**k) for k in range(-14, -1, 2)])
    axis.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)


SCENE = Scene(
    "precision",
    draw,
    (
        Slider("threshold", "threshold τ", (1e-10, 1e-8, 1e-7, 1e-6, 1e-5), 1e-8, log=True),
        Slider("gamma", "adaptivity rate γ", (1e-4, 3e-4, 1e-3, 1e-2, 1e-1), 1e-4, log=True),
        Slider("kept", "numbers are kept in", tuple(KEPT), "float16"),
    ),
)
