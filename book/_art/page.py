"""A sheet of paper to draw on, in millimetres from its upper left corner; and how it is saved.

Whatever is saved here is the same file each time: no date, no random names.
"""

from __future__ import annotations

import io
import itertools
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from bopkit.book.style import STYLE

MILLIMETRES = 25.4  # an inch
POINT = MILLIMETRES / 72
INK = "#12171c"
GREY = "#59636e"  # 6:1 on white
LIGHT = "#f4f4ef"


class Page:
    """One sheet.

    Args:
        width: in millimetres.
        height: in millimetres.
        sizes: of its type, in points, by name.
    """

    def __init__(self, width: float, height: float, sizes: dict[str, float]):
        self.width, self.height, self.sizes = width, height, sizes
        self.figure = Figure(figsize=(width / MILLIMETRES, height / MILLIMETRES))
        FigureCanvasAgg(self.figure)
        self.sheet = self.figure.add_axes((0, 0, 1, 1))
        self.sheet.set(xlim=(0, width), ylim=(height, 0))
        self.sheet.axis("off")

    def text(self, x: float, y: float, words: str, size: str = "body", **kwargs) -> Text:
        """Words with their baseline at y; keywords as matplotlib's `Text`."""
        style = {"va": "baseline", "color": INK, "linespacing": 1.35} | kwargs
        return self.sheet.text(x, y, words, fontsize=self.sizes[size], **style)

    def paragraph(
        self, x: float, y: float, width: float, words: str, size: str = "body", **kwargs
    ) -> float:
        """Words broken into lines of at most `width`; returns the baseline after the last."""
        step = 1.42 * self.sizes[size] * POINT
        for line in self._lines(words, width, size):
            self.text(x, y, line, size, **kwargs)
            y += step
        return y

    def _lines(self, words, width, size):
        line = ""
        for word in words.split():
            longer = f"{line} {word}".strip()
            if line and self.measure(longer, size) > width:
                yield line
                line = word
            else:
                line = longer
        yield line

    def measure(self, words: str, size: str, **kwargs) -> float:
        """How wide some words are, in millimetres; keywords as `FontProperties`."""
        font = FontProperties(family=STYLE["font.family"], size=self.sizes[size], **kwargs)
        return text_to_path.get_text_width_height_descent(words, font, "$" in words)[0] * POINT

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle; x, y is its upper left corner."""
        self.sheet.add_patch(Rectangle((x, y), width, height, facecolor=colour, linewidth=0))

    def box(
        self,
        x: float,
        y: float,
        width: float,
        words: str,
        *,
        height: float = 11,
        fill: str = "white",
        edge: str = INK,
        colour: str = INK,
        dashed: bool = False,
        size: str = "body",
    ) -> None:
        """A rounded box with words in its middle; y is its middle too."""
        patch = FancyBboxPatch(
            (x, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=1.6",
            facecolor=fill,
            edgecolor=edge,
            linewidth=1.2 if edge in (INK, GREY) else 2,
            linestyle=(0, (3, 2.5)) if dashed else "-",
        )
        self.sheet.add_patch(patch)
        # 0.36 of the size is half of the capitals' height: all boxes share one baseline.
        lines, step = words.split("\n"), 1.25 * self.sizes[size] * POINT
        baseline = y + 0.36 * self.sizes[size] * POINT - step * (len(lines) - 1) / 2
        for i, line in enumerate(lines):
            self.text(x + width / 2, baseline + i * step, line, size, color=colour, ha="center")

    def arrow(self, *points: tuple[float, float], colour: str = INK) -> None:
        """A line through some points, with a head at the last."""
        for start, end in itertools.pairwise(points[:-1]):
            self.sheet.plot(
                *zip(start, end, strict=True),
                color=colour,
                linewidth=1.4,
                solid_capstyle="round",
            )
        self.sheet.add_patch(
            FancyArrowPatch(
                points[-2],
                points[-1],
                arrowstyle="-|>,head_length=4.5,head_width=2.4",
                color=colour,
                linewidth=1.4,
                shrinkA=0,
                shrinkB=0,
                mutation_scale=1,
                capstyle="round",
            )
        )

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Bare axes to plot in; x, y is their upper left corner."""
        axes = self.figure.add_axes(
            (
                x / self.width,
                1 - (y + height) / self.height,
                width / self.width,
                height / self.height,
            )
        )
        axes.spines[:].set_visible(False)
        axes.set(xticks=[], yticks=[], facecolor="none")
        return axes


def save_svg(figure: Figure, path: Path, title: str, description: str) -> None:
    """Write a figure as SVG that a screen reader can read out."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    start = svg.index("<svg")
    end = svg.index(">", start)
    title_id, description_id = f"{path.stem}-title", f"{path.stem}-description"
    head = (
        f'{svg[:end]} role="img" aria-labelledby="{title_id} {description_id}">\n'
        f' <title id="{title_id}">{escape(title)}</title>\n'
        f' <desc id="{description_id}">{escape(description)}</desc>'
    )
    path.write_text(head + svg[end + 1 :], encoding="utf-8")


def save_pdf(figure: Figure, path: Path, title: str, description: str) -> None:
    """Write a figure as PDF, its words as text with the type they are set in."""
    metadata = {
        "Title": title,
        "Subject": description,
        "Creator": None,
        "Producer": None,
        "CreationDate": None,
    }
    with mpl.rc_context(STYLE | {"pdf.fonttype": 42}):
        figure.savefig(path, format="pdf", metadata=metadata)
