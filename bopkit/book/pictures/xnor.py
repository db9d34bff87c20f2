"""The product of two binary vectors, by numbers and by bits."""

from __future__ import annotations

from functools import lru_cache

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.style import INK, MUTED, PAPER, STYLE, THIRD, dots, new_figure

LENGTH = 12
VECTORS = 5


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Five vectors of -1 and +1, and the order in which places are made to differ."""
    random = np.random.RandomState(4)
    return random.choice([-1, 1], size=(VECTORS, LENGTH)), random.permutation(LENGTH)


def pair(vector: int, agree: int) -> tuple[np.ndarray, np.ndarray]:
    """Two binary vectors that agree in as many places as asked.

    Args:
        vector: which of the five first vectors, 1 to 5.
        agree: in how many of the twelve places the second is the same, 0 to 12.

    Returns:
        The two vectors of -1 and +1; (12,) each.
    """
    vectors, order = _tables()
    first = vectors[vector - 1]
    second = first.copy()
    second[order[agree:]] *= -1
    return first, second


def draw(agree: int, vector: int) -> Figure:
    """Two binary vectors, their product by numbers, and the same by bits.

    Args:
        agree: in how many of the twelve places they are the same.
        vector: which first vector, 1 to 5.

    Returns:
        A figure of three panels. They show the numbers and their products, the bits and their
        XNOR, and where the result lies on the number line.
    """
    first, second = pair(vector, agree)
    product = int(first @ second)
    bits = [(v > 0).astype(int) for v in (first, second)]
    same = 1 - (bits[0] ^ bits[1])
    count = int(same.sum())
    with mpl.rc_context(STYLE):
        figure, (numbers, binary, line) = new_figure(5.6, 4.7, 3, height_ratios=[3, 3, 0.7])
        numbers.set_title("By numbers: 12 multiplications, 11 additions", fontsize=11.5, pad=6)
        for row, (name, values) in enumerate(
            (("x", first), ("w", second), ("x·w", first * second))
        ):
            colour = THIRD if row == 2 else INK
            _cells(numbers, row, name, values > 0, [f"{v:+d}".replace("-", "−") for v in values],
                   colour)  # fmt: skip
        _result(numbers, "sum", product)
        binary.set_title("By bits: one XNOR, one popcount", fontsize=11.5, pad=6)
        for row, (name, values) in enumerate((("x", bits[0]), ("w", bits[1]), ("XNOR", same))):
            _cells(binary, row, name, values > 0, values, THIRD if row == 2 else INK)
        _result(binary, "popcount", count)
        line.plot([-LENGTH, LENGTH], [0, 0], color=MUTED, linewidth=1)
        places = np.arange(-LENGTH, LENGTH + 1, 2)
        dots(line, places, np.zeros(len(places)), size=4, color=MUTED)
        dots(line, [product], [0], size=10, color=THIRD, zorder=5)
        line.set(xlim=(-LENGTH - 1.2, LENGTH + 1.2), ylim=(-0.5, 0.5), yticks=[])
        line.set_xticks(places, [str(p).replace("-", "−") for p in places])
        line.set_title(
            f"2·popcount − 12 = 2·{count} − 12 = {_text(product)}",
            fontsize=11.5,
            pad=4,
            color=THIRD,
        )
        line.grid(visible=False)
        for side in ("left", "bottom"):
            line.spines[side].set_visible(False)
        line.tick_params(length=0, colors=MUTED)
    figure.description = (
        f"The two vectors agree in {count} of 12 places. The sum of the twelve products is "
        f"{_text(product)}, and so is 2·{count} − 12."
    )
    return figure


def _text(value):
    return str(value).replace("-", "−")


def _cells(axis, row, name, full, texts, colour):
    """One row of cells: filled where the bit is 1."""
    for column, (is_full, text) in enumerate(zip(full, texts, strict=True)):
        axis.add_patch(
            Rectangle(
                (column + 0.04, -row + 0.06),
                0.92,
                0.88,
                facecolor=colour if is_full else PAPER,
                edgecolor=colour,
                linewidth=1,
            )
        )
        axis.text(column + 0.5, -row + 0.48, text, ha="center", va="center", fontsize=11,
                  color=PAPER if is_full else colour)  # fmt: skip
    axis.text(-0.25, -row + 0.48, name, ha="right", va="center", fontsize=11, color=colour)


def _result(axis, name, value):
    """What the last row comes to, at its right; and the axis' frame, the same for both blocks."""
    axis.text(LENGTH + 0.25, -1.3, name, va="center", fontsize=10.5, color=THIRD)
    axis.text(LENGTH + 0.25, -1.72, _text(value), va="center", fontsize=13, color=THIRD,
              fontweight="bold")  # fmt: skip
    axis.set(xlim=(-1.6, LENGTH + 2.2), ylim=(-2, 1), xticks=[], yticks=[])
    axis.grid(visible=False)
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)


SCENE = Scene(
    "xnor",
    draw,
    (
        Slider("agree", "places that agree", tuple(range(LENGTH + 1)), 8),
        Slider("vector", "vector x", tuple(range(1, VECTORS + 1)), 1),
    ),
)
