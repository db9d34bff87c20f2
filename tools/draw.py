"""Draws the pictures that stand in the repository: .venv/bin/python tools/draw.py [FOLDER]."""

import sys
from pathlib import Path

import hero
import logo
import poster

from bopkit.pictures import one_weight

STATIC = Path(__file__).parent.parent / "book" / "_static"


def draw(folder: Path) -> None:
    """Draw all of them into a folder."""
    figure = one_weight.draw(one_weight.noisy_signal(), threshold=0.1, gamma=0.05)
    (folder / "one-weight.svg").write_text(figure._repr_svg_(), encoding="utf-8")
    for picture in (logo, hero, poster):
        picture.draw(folder)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else STATIC)
