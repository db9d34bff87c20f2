"""The poster: latent weights and Bop side by side, on one page, for two minutes.

Its traces come from `bopkit.rules`, what was measured from the records under `results/`.
"""

from __future__ import annotations

from pathlib import Path

import logo
import matplotlib as mpl
import numpy as np
import poster_cells as cells
import traces
from page import GREY, Page, save_pdf, save_svg
from poster_grid import COLUMN, COLUMNS, GUTTER, HEIGHT, MARGIN, SIZES, WIDTH
from poster_halves import bop_half, latent_half

from bopkit.book.streams import noisy_signal
from bopkit.book.style import STYLE

TITLE = "Binary networks without latent weights"

GAMMA, THRESHOLD = 0.02, 0.2
ETA, START = 0.03, -0.2  # the latent weight's learning rate and first value


def listing(steps: np.ndarray) -> str:
    """Steps in words, such as 57, 138 and 258."""
    words = [str(step) for step in steps]
    return ", ".join(words[:-1]) + f" and {words[-1]}"


def poster() -> tuple[Page, str]:
    """Draw the poster.

    Returns:
        The page, and what stands on it in words.
    """
    gradient = noisy_signal()
    latent = traces.latent_adam(gradient, learning_rate=ETA, start=START)
    bop = traces.bop(gradient, threshold=THRESHOLD, gamma=GAMMA)
    with mpl.rc_context(STYLE | {"mathtext.fontset": "dejavusans", "axes.grid": False}):
        page = Page(WIDTH, HEIGHT, SIZES)
        _header(page)
        latent_half(page, COLUMNS[0], gradient, latent, learning_rate=ETA)
        bop_half(page, COLUMNS[2], gradient, bop, gamma=GAMMA, threshold=THRESHOLD)
        said = [
            cells.inertia(page, COLUMNS[0], gradient),
            cells.gamma_and_tau(page, COLUMNS[1], gradient),
            cells.numbers(page, COLUMNS[2]),
            cells.use_it(page, COLUMNS[3]),
        ]
        page.text(
            MARGIN,
            HEIGHT - 10,
            "Paper: K. Helwegen et al., Latent Weights Do Not Exist, NeurIPS 2019, "
            "arXiv:1906.02107. The traces are drawn by bopkit.rules, the measured row is made from "
            "results/, all of it by poster.py.",
            "small",
            color=GREY,
        )
    description = (
        "A poster of two halves that share one noisy gradient, whose mean changes sign at steps "
        "100 and 200. Left, the usual way: a latent weight follows the gradient by Adam, and its "
        f"sign, the binary weight, flips at steps {listing(latent.flips)}; three real numbers are "
        "kept for each weight. Right, Bop: a moving average m of the gradient flips the weight "
        f"where w·m is larger than τ, at steps {listing(bop.flips)}; one real number is kept. "
    )
    return page, description + " ".join(said)


def _header(page):
    page.text(MARGIN - 0.8, 27, TITLE, "title", weight="bold")
    page.paragraph(
        MARGIN,
        37.5,
        3 * COLUMN + 2 * GUTTER,
        "A weight that is −1 or +1 can change in one way only: it flips. The usual way decides "
        "when by a real number behind each weight, pushed by gradients until its sign changes. Bop "
        "decides by one moving average of the gradient.",
    )
    height = 28
    width = height * logo.WIDTH / logo.HEIGHT
    logo.draw_on(page.sheet, WIDTH - MARGIN - width, 30.5, height)


def draw(folder: Path) -> None:
    """Write poster.svg and poster.pdf."""
    page, description = poster()
    save_svg(page.figure, folder / "poster.svg", TITLE, description)
    save_pdf(page.figure, folder / "poster.pdf", TITLE, description)
