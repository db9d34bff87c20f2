"""Ties: a unit's sum is a whole number, its edge is not, and two programs may round apart."""

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
from bopkit.book.style import FAINT, INK, MUTED, PAPER, STYLE, THIRD, dots, new_figure

UNIT = 3
EPSILON = 1e-3  # Keras adds it to the variance
PLAIN, FUSED, HALF = "rounded twice", "rounded once", "a and b in float16"
UNITS = 1000
LEFT = 1e-8  # of the axis of distances: what is nearer stands here


class Edge(NamedTuple):
    """Where a unit turns from -1 to +1, and the possible sum that is nearest.

    Attributes:
        place: μ - βσ, the sum at which batch normalization gives 0.
        nearest: the possible sum next to it.
        distance: between the two; at most 1.
        images: how many digits have that sum.
        turned: how many digits get another sign from the second program.
    """

    place: float
    nearest: int
    distance: float
    images: int
    turned: int


@lru_cache(maxsize=1)
def sums() -> np.ndarray:
    """One unit's sum for each digit in black and white: 64 inputs and 64 weights of -1 or +1.

    Returns:
        1,797 even whole numbers; (1797,).
    """
    train, _, held_out, _ = toy.digits()
    pixels = rules.sign(np.concatenate([train, held_out]))
    return (pixels @ toy.start_weights()[0][:, UNIT]).astype(int)


@lru_cache(maxsize=1)
def variance() -> np.float32:
    """The variance of the unit's sums, as batch normalization keeps it."""
    return np.float32(sums().var())


def two_programs(x, mean, spread, shift, second: str) -> tuple[np.ndarray, np.ndarray]:
    r"""Batch normalization without a scale, as two programs may compute it in float32.

    For the sum s, the first computes :math:`(s - \mu)\,a + \beta` with :math:`a = 1/\sigma`. The
    second computes :math:`b = \beta - \mu\,a` in advance, and then :math:`a\,s + b`.

    Args:
        x: a unit's sums s, whole numbers; any shape, as the others must broadcast to one.
        mean: μ.
        spread: the variance; with `EPSILON` added, it is σ².
        shift: β.
        second: `PLAIN` rounds the product and then the sum. `FUSED` rounds once, after both, as
            one instruction of most CPUs does. `HALF` is `PLAIN` with a and b in float16.

    Returns:
        What both give to the sign, float32.
    """
    one = np.ones(1, np.float32)  # an array: NumPy would widen a number
    x, mean, spread, shift = (np.asarray(v, np.float32) * one for v in (x, mean, spread, shift))
    scale = one / np.sqrt(spread + np.float32(EPSILON))
    first = (x - mean) * scale + shift
    offset = shift - mean * scale
    if second == HALF:
        scale, offset = (v.astype(np.float16).astype(np.float32) for v in (scale, offset))
    if second == FUSED:
        # The product of two float32 is exact in float64.
        wide = x.astype(np.float64) * scale.astype(np.float64) + offset.astype(np.float64)
        return first, wide.astype(np.float32)
    return first, x * scale + offset


def edge(mean: float, shift: float, second: str) -> Edge:
    """The edge of the picture's unit.

    Args:
        mean: μ.
        shift: β.
        second: as for `two_programs`.

    Returns:
        An `Edge`.
    """
    place = float(mean) - float(shift) * float(np.sqrt(float(variance()) + EPSILON))
    nearest = 2 * round(place / 2)
    first, other = two_programs(sums(), mean, variance(), shift, second)
    return Edge(
        place,
        nearest,
        abs(place - nearest),
        int(np.count_nonzero(sums() == nearest)),
        int(np.count_nonzero(rules.sign(first) != rules.sign(other))),
    )


@lru_cache(maxsize=1024)
def apart(x: int, distance: float, shift: float, second: str) -> float:
    """How often two programs give one sum different signs when the edge is close by.

    Args:
        x: the sum.
        distance: how far from it the edge is asked to be, on either side; float32 may not have a
            mean that puts it there.
        shift: β.
        second: as for `two_programs`.

    Returns:
        The share among `UNITS` units that have this sum, shift and distance, and each a σ of its
        own between 4 and 16; in [0, 1].
    """
    random = np.random.RandomState(0)
    spread = random.uniform(4, 16, UNITS) ** 2
    side = np.where(np.arange(UNITS) % 2 == 0, 1.0, -1.0)
    mean = x + side * distance + shift * np.sqrt(spread + EPSILON)
    first, other = two_programs(x, mean, spread, shift, second)
    return float(np.mean(rules.sign(first) != rules.sign(other)))


def draw(mean: float, shift: float, second: str) -> Figure:
    """The unit's sums and its edge above; below, what comes of an edge so close to a sum.

    Args:
        mean: μ.
        shift: β.
        second: what the other program computes, as for `two_programs`.

    Returns:
        A figure of two panels.
    """
    found = edge(mean, shift, second)
    tie = found.distance < LEFT
    with mpl.rc_context(STYLE):
        figure, (above, below) = new_figure(5.6, 5.2, 2, height_ratios=[1.25, 1])
        _histogram(above, found, tie)
        share = _curve(below, found, tie, shift, second)
    where = (
        f"lies exactly on {_minus(found.nearest)}"
        if tie
        else f"is at {_minus(f'{found.place:.3g}')}, {number(float(f'{found.distance:.2g}'))} from "
        f"the possible sum {_minus(found.nearest)}"
    )
    part = f"{100 * found.images / len(sums()):.0f} %"
    figure.description = (
        f"μ = {_minus(number(mean))}, β = {_minus(number(shift))}: the edge {where}, which "
        f"{found.images} of {len(sums()):,} digits have ({part}). "
        f"Of 1,000 units with such an edge, {UNITS * share:.0f} give that sum another sign in the "
        f"second program ({second}); in this unit {found.turned or 'no'} "
        f"{'digit changes' if found.turned == 1 else 'digits change'}."
    )
    return figure


def _histogram(axis, found, tie):
    """The digits by their sum: what becomes -1, what +1, and what lies on the edge."""
    places, counts = np.unique(sums(), return_counts=True)
    colours = np.where(places < found.place, FAINT, MUTED).astype(object)
    if tie:
        colours[places == found.nearest] = THIRD
    axis.bar(places, counts, width=1.5, color=list(colours), linewidth=0)
    top = counts.max()
    axis.axvline(found.place, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
    axis.set(xlim=(places[0] - 2, places[-1] + 2), ylim=(0, 1.4 * top), ylabel="digits")
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
    axis.text(found.place - 0.8, 1.28 * top, "becomes −1", ha="right", va="center", bbox=box)
    axis.text(found.place + 0.8, 1.28 * top, "becomes +1", ha="left", va="center", bbox=box)
    if tie:
        axis.text(
            found.place + 0.8,
            1.11 * top,
            f"on the edge: {found.images}",
            color=THIRD,
            fontweight="bold",
            va="center",
            bbox=box,
        )
    axis.set_title("A unit's sums for 1,797 digits, and the edge of its sign", fontsize=10, pad=6)
    axis.set_xlabel("sum of 64 products of ±1")
    ticks = np.arange(-24, 25, 8)
    ticks = ticks[(ticks >= places[0] - 2) & (ticks <= places[-1] + 2)]
    axis.set_xticks(ticks, [_minus(t) for t in ticks])


def _curve(axis, found, tie, shift, second) -> float:
    """How often the programs differ, by the distance; returns it at this unit's."""
    distances = np.logspace(-7.5, 0, 31)
    shares = [apart(found.nearest, float(d), shift, second) for d in distances]
    exact = apart(found.nearest, 0.0, shift, second)
    here = exact if tie else apart(found.nearest, found.distance, shift, second)
    axis.plot(distances, 100 * np.array(shares), color=THIRD)
    dots(axis, [LEFT], [100 * exact], size=6, color=THIRD)
    place = LEFT if tie else found.distance
    axis.axvline(place, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
    dots(axis, [place], [100 * here], size=9, color=INK, zorder=5)
    right = place < 0.1
    axis.text(
        place * (1.5 if right else 1 / 1.5),
        100 * here + 7,
        f"{100 * here:.0f} %",
        ha="left" if right else "right",
        va="center",
        fontweight="bold",
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
    )
    axis.set(xscale="log", xlim=(LEFT / 2, 2), ylim=(-4, 64), ylabel="signs differ (%)")
    axis.set_yticks([0, 20, 40, 60])
    ticks = {LEFT: "0", 1e-6: "10⁻⁶", 1e-4: "10⁻⁴", 0.01: "0.01", 1: "1"}
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.minorticks_off()
    axis.set_xlabel("distance from the edge to the nearest possible sum")
    axis.set_title("How often two programs give that sum different signs", fontsize=10, pad=6)
    return here


def _minus(value) -> str:
    return str(value).replace("-", "−")


SCENE = Scene(
    "ties",
    draw,
    (
        Slider("mean", "mean μ", (0.0, 4.0, 5.4, 6.0, 7.0, 10.0), 6.0),
        Slider("shift", "shift β", (-0.5, -0.1, 0.0, 0.1, 0.5), 0.0),
        Slider("second", "second program, a·s + b", (PLAIN, FUSED, HALF), FUSED),
    ),
)
