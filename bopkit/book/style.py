"""Define the look of the book's figures: colours, type, and the SVG that a page shows.

Two colours carry meaning everywhere: blue is Bop, vermilion latent weights. All differ in
lightness too, so that they survive colour-blindness and print (Okabe and Ito 2008).

Attributes:
    BOP: the colour of Bop, as CSS writes it.
    LATENT: the colour of latent weights.
    THIRD: the colour of Bop2ndOrder, and of a third series.
    INK: the colour of text and axes.
    MUTED: the colour of what matters less.
    FAINT: the colour of points in the background.
    GRID: the colour of the grid.
    PAPER: the colour of what covers something behind it.
    SEQUENCE: five blues for series in order, from faint to strong.
    STYLE: matplotlib's settings, for `matplotlib.rc_context`.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import os
import re
from html import escape

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bopkit.experiments import METHODS

BOP = METHODS["bop"].colour
LATENT = METHODS["latent"].colour
THIRD = METHODS["bop2ndorder"].colour
INK = "#333333"
MUTED = "#6B737B"
FAINT = "#BBBBBB"
GRID = "#E6E6E6"
PAPER = "#FEFEFE"  # where something must cover what is behind it

# For series in order, faint to strong.
SEQUENCE = ("#9CCBE3", "#5BA3CF", "#2A78B0", "#13508A", "#0A2C57")

# A page says by these names what each colour is in the light and in the dark.
_VARIABLES = {
    BOP: "--bop-blue",
    LATENT: "--bop-vermilion",
    THIRD: "--bop-green",
    INK: "--bop-ink",
    MUTED: "--bop-muted",
    FAINT: "--bop-faint",
    GRID: "--bop-grid",
    PAPER: "--bop-paper",
    **{colour: f"--bop-sequence-{i}" for i, colour in enumerate(SEQUENCE)},
}

STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.titley": 1.0,  # else matplotlib measures all of an axis to look for a better place
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "bopkit",  # the same figure is the same file
    "svg.fonttype": "path",
    "path.simplify": False,  # it would drop strokes of no length: see `dots`
}


def in_page() -> bool:
    """Whether what is shown goes into a page of the book, which has its own colours and type.

    The book's build says so through an environment variable, which its kernels inherit.
    """
    return bool(os.environ.get("BOPKIT_PAGE"))


class BookFigure(Figure):
    """Show a figure as SVG in a notebook, sharp on every screen, whatever the backend.

    Attributes:
        description: what the figure shows, for a reader who cannot see it.

    Example:
        >>> figure, axis = new_figure(4, 3)
        >>> isinstance(figure, BookFigure)
        True
    """

    description = ""

    def _repr_svg_(self):
        return _save(self)

    def _repr_html_(self):
        if not in_page():
            return None  # the notebook takes the SVG
        return f'<div class="bop-figure">{_side_by_side(self) or inline_svg(self)}</div>'


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **kwargs
) -> tuple[Figure, Axes | np.ndarray]:
    """Make a figure and its axes without pyplot, which would keep the figure in memory.

    Args:
        width: in inches; 5.6 fills a page's column and can still be read on a phone.
        height: in inches.
        rows: number of rows of axes.
        columns: number of columns of axes.
        **kwargs: passed to `Figure.subplots`.

    Returns:
        The figure and what `Figure.subplots` returns.

    Example:
        >>> figure, (left, right) = new_figure(8, 3.2, 1, 2)
        >>> line = left.plot([1, 2], [0.5, 0.7], color=BOP)
        >>> len(figure.axes)
        2
    """
    figure = BookFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **kwargs)


def dots(axis, x, y, *, size: float = 2.5, label: str | None = None, **kwargs):
    """Many small round points as one path: a tenth of the bytes that markers take in a page.

    Args:
        axis: what to draw on.
        x: (n,).
        y: (n,).
        size: diameter, in points.
        label: for the legend.
        kwargs: of `axis.plot`, such as `color`.
    """
    if label is not None:
        axis.plot([], [], "o", markersize=4, label=label, **kwargs)
    x, y = np.asarray(x, float), np.asarray(y, float)
    # Each a stroke of no length with round ends.
    lines = np.stack([x, x, np.full(len(x), np.nan)], axis=1).ravel()
    heights = np.stack([y, y, np.full(len(y), np.nan)], axis=1).ravel()
    return axis.plot(lines, heights, linewidth=size, solid_capstyle="round", **kwargs)


def verticals(axis, x, **kwargs):
    """A thin vertical line at each `x`, over the axis' whole height, as one path.

    Args:
        axis: what to draw on; its limits in y must be set.
        x: (n,).
        kwargs: of `axis.plot`.
    """
    low, high = axis.get_ylim()
    x = np.asarray(x, float)
    axis.plot(np.repeat(x, 3), np.tile([low, high, np.nan], len(x)), **kwargs)
    axis.set_ylim(low, high)


def lay_out(figure: Figure, places: list | None = None) -> list:
    """Settle the places of a figure's axes before the figure is saved.

    Saving a figure with a layout engine draws it twice, and measures every text twice more.

    Args:
        figure: as `new_figure` makes it.
        places: the axes' places in a similar figure, as this function returned them; with `None`,
            matplotlib's constrained layout finds them.

    Returns:
        The axes' places: for each, a box in the figure's own units.
    """
    if places is None:
        if engine := figure.get_layout_engine():
            engine.execute(figure)
        places = [axis.get_position(original=True) for axis in figure.axes]
    figure.set_layout_engine(None)  # not "none", which leaves a stand-in that is asked to lay out
    for axis, place in zip(figure.axes, places, strict=True):
        axis.set_position(place)
    return places


def _save(figure, **options):
    """The figure as SVG, without a date, so that the same figure is the same text."""
    buffer = io.StringIO()
    style = STYLE | {k: v for k, v in options.items() if "." in k}
    keywords = {k: v for k, v in options.items() if "." not in k}
    with mpl.rc_context(style):
        if figure.get_layout_engine() is not None:
            lay_out(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None}, **keywords)
    return buffer.getvalue()


def inline_svg(figure: Figure) -> str:
    """Turn a figure into an SVG element for a page, in the page's own colours and type.

    Args:
        figure: any figure; its `description`, if it has one, becomes the element's label.

    Returns:
        One `<svg>`. Colours of this module and the font are CSS variables with what they are
        in print to fall back on; the background is the page's.
    """
    svg = _save(figure, **{"svg.fonttype": "none"}, transparent=True)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    # Ids that nothing refers to would stand in one page many times.
    used = set(re.findall(r"#([\w.-]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    # Numbers in tags are coordinates; those between tags are for the reader.
    svg = re.sub(r"<[^>]*>", lambda tag: _LONG.sub(lambda m: _shorter(m[0]), tag[0]), svg)
    svg = re.sub(r"#[0-9a-f]{6}\b", _variable, svg)
    svg = svg.replace("'DejaVu Sans'", "var(--bop-sans, 'DejaVu Sans')")
    svg = " ".join(filter(None, map(str.strip, svg.splitlines()))).replace("> <", "><")
    description = getattr(figure, "description", "")
    label = (
        f'role="img" aria-label="{escape(description)}"' if description else 'aria-hidden="true"'
    )
    inches = figure.get_size_inches()[0]
    width = inches * 96 * 1.15  # type of 10 pt as large as the page's
    if inches > 7:  # on a phone it scrolls instead of shrinking
        label += ' class="wide"'
    head = f'<svg {label} style="max-width: {width:.0f}px" '
    # The page decides the size: only the box stays.
    box = re.search(r'viewBox="[^"]*"', svg)[0]
    return f'{head}{box} xmlns:xlink="http://www.w3.org/1999/xlink">' + svg[svg.index(">") + 1 :]


def _side_by_side(figure):
    """A row of panels, each an SVG of its own, so that a phone can show them one above the other.

    The page holds the drawing once, and each panel is a window onto a part of it. The result is
    empty if the figure has fewer than two panels or several rows, or if panels share an axis.
    """
    lay_out(figure)
    axes = sorted(figure.axes, key=lambda axis: axis.get_position().x0)
    grids = [axis.get_subplotspec() for axis in axes]
    alone = any(g is None or g.get_gridspec().nrows > 1 for g in grids) or len(axes) < 2
    if alone or any(not axis.yaxis.get_tick_params()["labelleft"] for axis in axes):
        return ""
    whole = inline_svg(figure)
    head, body = whole[: whole.index(">") + 1], whole[whole.index(">") + 1 : -len("</svg>")]
    top, height = re.search(r'viewBox="0 (\S+) \S+ (\S+)"', head).groups()
    boxes = [axis.get_tightbbox().transformed(figure.dpi_scale_trans.inverted()) for axis in axes]
    between = [(left.x1 + right.x0) / 2 for left, right in itertools.pairwise(boxes)]
    edges = 72 * np.array([0, *between, figure.get_size_inches()[0]])
    name = "panels-" + hashlib.sha256(body.encode()).hexdigest()[:12]
    label = re.search(r'role="img" aria-label="[^"]*"|aria-hidden="true"', head)[0]
    windows = []
    for start, end in itertools.pairwise(edges):
        content = f'<use href="#{name}"/>' if windows else f'<g id="{name}">{body}</g>'
        box = f"{start:.1f} {top} {end - start:.1f} {height}"
        windows.append(f'<svg style="--width: {end - start:.0f}" viewBox="{box}">{content}</svg>')
    width = float(re.search(r"max-width: (\d+)px", head)[1])
    return f'<div class="bop-panels" {label} style="--most: {width:.0f}px">{"".join(windows)}</div>'


_LONG = re.compile(r"-?\d+\.\d{3,}")


@functools.lru_cache(1 << 16)  # the pictures of one scene share most of theirs
def _shorter(text):
    """A coordinate to a tenth of a point, what is small to a hundredth: half the bytes."""
    value = float(text)
    return f"{value:.{1 if abs(value) >= 20 else 2}f}".rstrip("0").rstrip(".")


def _variable(match):
    """CSS for one colour: a variable if it is one of ours."""
    colour = match[0].upper()
    return f"var({_VARIABLES[colour]}, {colour})" if colour in _VARIABLES else match[0]
