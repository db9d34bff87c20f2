"""Draws the pictures that stand in the repository: .venv/bin/python book/_art/draw.py [FOLDER]."""

import sys
from pathlib import Path

import hero
import logo
import poster

STATIC = Path(__file__).parent.parent / "_static"


def draw(folder: Path) -> None:
    """Draw all of them into a folder."""
    for picture in (logo, hero, poster):
        picture.draw(folder)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else STATIC)
