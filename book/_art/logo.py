"""The logo: the letters b, o, p, where p is b flipped, as a binary weight is.

One geometry serves all: the logos and the icon as SVG, and the same strokes on a matplotlib page.
It stands on a grid of whole units, so that the icon's edges fall on pixels at 16 x 16.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Annulus, Rectangle

from bopkit.book.style import BOP

RADIUS = 4  # of a bowl, outside
STROKE = 2
REACH = 7  # how far a stem goes up, or down, from the middle of the bowl
ICON_REACH = 6  # the same within the icon's tile, which wants a margin
GAP = 1.5  # between letters
GHOST = 0.3  # how much of a stem there is on the side that it flipped from
WIDTH, HEIGHT = 3 * 2 * RADIUS + 2 * GAP, 2 * REACH

TITLE = "Bop"
DESCRIPTION = "The letters b, o, p. The stem of the b points up; flipped, it is the p."


class Letter(NamedTuple):
    """A ring, with a stem at its left that points up (+1) or down (-1), or with none (0)."""

    left: float
    stem: int
    role: str  # "state" for the letters that flip, "ink" for the other


LETTERS = (
    Letter(0, +1, "state"),
    Letter(2 * RADIUS + GAP, 0, "ink"),
    Letter(2 * (2 * RADIUS + GAP), -1, "state"),
)


def _stems(letter: Letter, reach: float = REACH) -> list[tuple[float, float, float]]:
    """Top, bottom and opacity of a stem and of its ghost; y points down, 0 is the middle."""
    if not letter.stem:
        return []
    stem, ghost = (-reach, RADIUS), (RADIUS, reach)
    if letter.stem < 0:
        stem, ghost = (-RADIUS, reach), (-reach, -RADIUS)
    return [(*stem, 1.0), (*ghost, GHOST)]


def _letter_svg(letter: Letter, colour: str, reach: float = REACH) -> str:
    middle = letter.left + RADIUS
    parts = [
        f'<circle cx="{middle:g}" cy="0" r="{RADIUS - STROKE / 2:g}" fill="none" '
        f'stroke="{colour}" stroke-width="{STROKE}"/>'
    ]
    for top, bottom, opacity in _stems(letter, reach):
        faint = "" if opacity == 1 else f' opacity="{opacity:g}"'
        parts.append(
            f'<path d="M{letter.left:g} {top:g}h{STROKE}V{bottom:g}h-{STROKE}z" '
            f'fill="{colour}"{faint}/>'
        )
    return "".join(parts)


def _svg(box: str, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img" '
        f'aria-labelledby="bop-title bop-description">\n<title id="bop-title">{TITLE}</title>\n'
        f'<desc id="bop-description">{DESCRIPTION}</desc>\n{body}\n</svg>\n'
    )


def word_svg(state: str, ink: str) -> str:
    """The logo as SVG.

    Args:
        state: colour of the b and the p.
        ink: colour of the o.
    """
    colours = {"state": state, "ink": ink}
    body = "\n".join(_letter_svg(letter, colours[letter.role]) for letter in LETTERS)
    return _svg(f"0 {-REACH} {WIDTH:g} {HEIGHT}", body)


def icon_svg() -> str:
    """The b alone on a tile, for a browser's tab."""
    tile = f'<rect x="-4" y="-8" width="16" height="16" rx="3.5" fill="{BOP}"/>'
    return _svg("-4 -8 16 16", f"{tile}\n{_letter_svg(LETTERS[0], '#fff', ICON_REACH)}")


def draw_on(
    axes: Axes, left: float, middle: float, height: float, *, state: str = BOP, ink: str = "#12171c"
) -> None:
    """Draw the logo on a page whose y axis points down and whose units are square.

    Args:
        axes: where.
        left: of the b.
        middle: of the letters' bowls, in y.
        height: from the top of the b to the bottom of the p.
        state: colour of the b and the p.
        ink: colour of the o.
    """
    unit = height / HEIGHT
    for letter in LETTERS:
        colour = state if letter.role == "state" else ink
        x = left + unit * letter.left
        ring = Annulus((x + unit * RADIUS, middle), unit * RADIUS, unit * STROKE)
        strokes = [(ring, 1.0)]
        for top, bottom, opacity in _stems(letter):
            size = (unit * STROKE, unit * (bottom - top))
            strokes.append((Rectangle((x, middle + unit * top), *size), opacity))
        for patch, opacity in strokes:
            patch.set(facecolor=colour, edgecolor="none", linewidth=0, alpha=opacity)
            axes.add_patch(patch)


def draw(folder: Path) -> None:
    """Write logo.svg, logo-dark.svg and favicon.svg."""
    for name, text in (
        ("logo.svg", word_svg(BOP, "#12171c")),
        ("logo-dark.svg", word_svg("#56b4e9", "#f1f3f5")),  # the blue of the dark pages
        ("favicon.svg", icon_svg()),
    ):
        (folder / name).write_text(text, encoding="utf-8")
