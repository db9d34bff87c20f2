"""What the parts of the poster share: its grid, its type, and the marks on a trace."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from page import INK
from traces import Trace

SIZES = {"title": 34, "heading": 16, "body": 12.5, "small": 10.5}  # points, on A3

# The sheet is A3. It has four columns, of which each of the two methods takes two.
WIDTH, HEIGHT, MARGIN, GUTTER = 420, 297, 20, 12
COLUMN = (WIDTH - 2 * MARGIN - 3 * GUTTER) / 4
HALF = 2 * COLUMN + GUTTER
COLUMNS = [MARGIN + i * (COLUMN + GUTTER) for i in range(4)]
TOP_OF_HALVES, TOP_OF_CELLS = 51, 211

DASHED = (0, (4, 3))


def mark_flips(axes: Axes, trace: Trace, level: np.ndarray, colour: str, size: float = 8) -> None:
    """A dot where the weight flips."""
    axes.plot(trace.flips, level, "o", color=colour, markersize=size, clip_on=False, zorder=5)


def mark_threshold(axes: Axes, trace: Trace, threshold: float, width: float) -> None:
    """The line that m has to cross: τ on the weight's own side."""
    steps = np.arange(-1, len(trace.value))
    side = trace.weight * threshold
    axes.step(steps, side, where="post", color=INK, linewidth=width, linestyle=DASHED)
