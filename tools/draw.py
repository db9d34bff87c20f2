"""Draws the pictures that stand in the repository: .venv/bin/python tools/draw.py."""

from pathlib import Path

from bopkit import figures

static = Path(__file__).parent.parent / "book" / "_static"
figure = figures.one_weight(figures.noisy_signal(), threshold=0.1, gamma=0.05)
(static / "one-weight.svg").write_text(figure._repr_svg_(), encoding="utf-8")
