"""The picture that messengers show beside a link to a page: its title, and weights at rest.

The cells are those of the hero figure. Each page shows other weights of the same network.
"""

from __future__ import annotations

import textwrap
import zlib
from pathlib import Path

import hero
import logo
import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from page import GREY, INK

from bopkit.book.style import BOP, STYLE

CELLS = 250  # pixels of height that the cells take, at the lower edge
MARGIN = 72
HEAD = 76  # the middle of the part's name and of the logo, from the upper edge
SIZES = ((28, 44), (36, 34), (48, 25))  # letters per line, and the type's size in points


def card(title: str, part: str) -> Figure:
    """Draw a page's card.

    Args:
        title: of the page; the largest type in which it takes at most three lines is chosen.
        part: of the book, above the title; may be empty.
    """
    history, _ = hero.weights_over_time(CELLS // hero.CELL + 1, seed=zlib.crc32(title.encode()))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(hero.WIDTH / hero.DPI, hero.HEIGHT / hero.DPI), dpi=hero.DPI)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, hero.WIDTH), ylim=(hero.HEIGHT, 0))
        axes.axis("off")
        top = hero.HEIGHT - CELLS
        outline = hero.cells(history)
        outline.vertices[:, 1] += top
        axes.add_patch(PathPatch(outline, facecolor=BOP, edgecolor="none", linewidth=0))
        axes.add_patch(Rectangle((0, 0), hero.WIDTH, top, facecolor="white", linewidth=0))
        logo.draw_on(axes, hero.WIDTH - MARGIN - 126, HEAD, 64, ink=INK)
        axes.text(MARGIN, HEAD, part, fontsize=16, color=GREY, va="center")
        wrapped = [(textwrap.wrap(title, letters), size) for letters, size in SIZES]
        lines, size = next((w for w in wrapped if len(w[0]) <= 3), wrapped[-1])
        step = 1.75 * size
        middle = (HEAD + top) / 2 + 10
        for i, line in enumerate(lines[:3]):
            y = middle + (i - (min(len(lines), 3) - 1) / 2) * step
            axes.text(MARGIN, y, line, fontsize=size, color=INK, va="center")
    return figure


def draw(title: str, part: str, path: Path) -> None:
    """Write a page's card as PNG, 1200 by 630 pixels."""
    hero.save_png(card(title, part), path)
