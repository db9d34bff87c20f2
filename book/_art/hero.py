"""The picture on top of the README: a real network's weights flip, and come to rest.

Each row is one binary weight of `bopkit.book.toy`'s network on scikit-learn's digits, each
column one step of Bop. The rows stand in the order in which they come to rest, those that end at
-1 from the top, those that end at +1 from the bottom, so that the last to flip meet in the middle.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path

import logo
import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from page import INK, save_svg
from PIL import Image

from bopkit.book import toy
from bopkit.book.style import BOP, STYLE

WIDTH, HEIGHT = 1200, 630  # pixels: what a link's preview shows
CELL = 4  # pixels a step and a weight
STEPS = WIDTH // CELL
ROWS = HEIGHT // CELL + 1  # the last one is cut by the edge
EPOCHS = 22
THRESHOLD = 1e-4
GAMMA = (0.3, 0.003)  # from the first epoch to the last
DPI = 100
LEFT = 776  # of all words
TITLE_LINES = ("Binary networks", "without latent weights")
TITLE = "Bop: weights that flip, and come to rest"


@functools.cache
def _trained() -> tuple[np.ndarray, toy.Run]:
    """The first layer's weights at every step, one row per weight, and what the run left behind."""
    optimizer = toy.NumPyBop(THRESHOLD, np.geomspace(*GAMMA, EPOCHS))
    seen = []
    run = toy.train(
        optimizer, epochs=EPOCHS, watch=lambda step, weights: seen.append(weights[0].ravel().copy())
    )
    return np.array(seen).T, run


def weights_over_time(rows: int = ROWS, seed: int = 0) -> tuple[np.ndarray, toy.Run]:
    """Train, and choose some of the first layer's weights at random.

    Args:
        rows: the number of weights.
        seed: of the choice.

    Returns:
        Weights, -1 or +1, in the order of the picture; (rows, STEPS). And what the run left behind.
    """
    history, run = _trained()
    history = history[np.random.RandomState(seed).choice(len(history), rows, replace=False)]
    flips = np.diff(history, axis=1) != 0
    steps = np.arange(1, history.shape[1])
    rest = np.where(flips, steps, 0).max(axis=1)  # the step of the last flip
    end = history[:, -1]
    # -1 first; among those the ones at rest longest first, among +1 last
    return history[np.lexsort((-rest * end, end))][:, :STEPS], run


def cells(history: np.ndarray) -> Outline:
    """The stretches of +1 as one outline: seams would show between many."""
    corners, codes = [], []
    for row, weights in enumerate(history):
        up = np.concatenate([[False], weights > 0, [False]])
        edges = np.flatnonzero(np.diff(up.astype(int))) * CELL
        top, bottom = row * CELL, (row + 1) * CELL
        for left, right in edges.reshape(-1, 2):
            corners += [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
            codes += [Outline.MOVETO, *[Outline.LINETO] * 3, Outline.CLOSEPOLY]
    return Outline(np.array(corners, float), codes)


def hero() -> tuple[Figure, str]:
    """Draw the hero figure.

    Returns:
        The figure, and what there is to see in words.
    """
    history, run = weights_over_time()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
        axes.axis("off")
        axes.add_patch(PathPatch(cells(history), facecolor=BOP, edgecolor="none", linewidth=0))
        logo.draw_on(axes, LEFT, 118, 126, ink=INK)
        caption = [
            f"{ROWS} weights of a binary network,",
            "one a row: white −1, blue +1.",
            f"{STEPS} steps from left to right, while",
            "γ falls and they come to rest.",
            f"Trained, it reads {100 * run.accuracy[-1]:.0f} % of new digits.",
        ]
        for top, lines, colour, size in (
            (222, TITLE_LINES, INK, 19),
            (456, caption, "white", 14.5),
        ):
            for i, line in enumerate(lines):
                axes.text(LEFT, top + 2.05 * size * i, line, fontsize=size, color=colour)
    return figure, " ".join(
        [
            f"{' '.join(TITLE_LINES)}. A picture of {ROWS} binary weights, one a row, over",
            f"{STEPS} training steps from left to right. At the left many of them flip again and",
            "again; towards the right they come to rest one by one, those at −1 above and those at",
            "+1 below, until a straight line parts the two.",
        ]
    )


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure of two colours and their blends: a palette is a third of the bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    image = Image.open(buffer).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


def draw(folder: Path) -> None:
    """Write hero.svg and hero.png."""
    figure, description = hero()
    save_svg(figure, folder / "hero.svg", TITLE, description)
    save_png(figure, folder / "hero.png")
