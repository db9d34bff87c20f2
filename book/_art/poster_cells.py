"""The lower part of the poster: four cells, each drawn by a function that says it in words too."""

from __future__ import annotations

import numpy as np
import traces
from page import GREY, INK, LIGHT, Page
from poster_grid import COLUMN, DASHED, SIZES, TOP_OF_CELLS, mark_flips, mark_threshold

from bopkit.book.style import BOP, LATENT

# Top-1 in percent, latent weights and Bop: arXiv:1906.02107, sections 5.2 and 5.3.
PAPER = {
    "BinaryNet": ("90.9", "91.3"),
    "Binary AlexNet": ("40.1", "41.1"),
    "XNOR-Net": ("44.2", "45.9"),
    "Bi-Real Net": ("56.4", "56.6"),
}

SCALE = 3  # by which the scaled latent weight is larger
GAMMAS, THRESHOLDS = (0.01, 0.1), (0.05, 0.3)


def _cell(page, x, heading):
    page.rectangle(x, TOP_OF_CELLS, COLUMN, 0.5, INK)
    page.text(x, TOP_OF_CELLS + 8.5, heading, "heading", weight="bold")
    return TOP_OF_CELLS + 16.5


def inertia(page: Page, x: float, gradient: np.ndarray) -> str:
    """Scaling a latent weight and its learning rate together changes no flip."""
    y = _cell(page, x, "Inertia, not weights")
    small, large = (
        traces.latent_sgd(gradient, learning_rate=k * 0.01, start=k * -0.2) for k in (1, SCALE)
    )
    if not np.array_equal(small.flips, large.flips):
        raise AssertionError("the poster says that both flip at the same steps; they do not.")
    page.paragraph(
        x,
        y,
        COLUMN,
        r"Only the sign of $\tilde{w}$ counts; its size just delays the flip. "
        rf"Make $\tilde{{w}}$ and $\eta$ {SCALE} times larger: the same flips.",
    )
    axes = page.axes(x, TOP_OF_CELLS + 37, COLUMN - 8, 27)
    axes.axhline(0, color=INK, linewidth=1.1, linestyle=DASHED)
    for trace, factor, width in ((small, 1, 2.4), (large, SCALE, 1.2)):
        axes.plot(trace.value, color=LATENT, linewidth=width)
        axes.annotate(
            f"×{factor}",
            (len(gradient), trace.value[-1]),
            (4, 0),
            textcoords="offset points",
            fontsize=SIZES["small"],
            va="center_baseline",
        )
    axes.set_xlim(0, len(gradient))
    mark_flips(axes, small, np.zeros(len(small.flips)), LATENT, 7)
    return (
        "Inertia, not weights: with the latent weight and the learning rate both multiplied by "
        f"{SCALE} the weight flips at the same steps."
    )


def gamma_and_tau(page: Page, x: float, gradient: np.ndarray) -> str:
    """Small multiples of one weight under Bop."""
    y = _cell(page, x, "What γ and τ do")
    page.text(x, y, r"Higher $\gamma$ or lower $\tau$: more flips.")
    said = []
    left, gap = 18, 6
    width = (COLUMN - left - gap) / 2
    for column, gamma in enumerate(GAMMAS):
        place = x + left + column * (width + gap)
        page.text(place, y + 7.5, rf"$\gamma$ = {gamma:g}", "small", color=GREY)
        for row, threshold in enumerate(THRESHOLDS):
            trace = traces.bop(gradient, threshold=threshold, gamma=gamma)
            top = y + 14.5 + row * 19.5
            axes = page.axes(place, top, width, 13)
            mark_threshold(axes, trace, threshold, 0.8)
            axes.plot(trace.value, color=BOP, linewidth=1.4)
            mark_flips(axes, trace, trace.value[trace.flips], BOP, 4.5)
            axes.set(xlim=(0, len(gradient)), ylim=(-1.1, 1.1))
            count = len(trace.flips)
            page.text(place, top - 1, f"{count} flips", "small", weight="bold")
            if not column:
                page.text(x, top + 7.8, rf"$\tau$ = {threshold:g}", "small", color=GREY)
            said.append(f"{count} at γ = {gamma:g} and τ = {threshold:g}")
    return f"What γ and τ do, as flips of the same weight: {', '.join(said)}."


def numbers(page: Page, x: float) -> str:
    """What the paper reports, and what was measured here."""
    y = _cell(page, x, "Does it work?")
    ours, common = traces.measured()
    columns = x + COLUMN - 55.4, x + COLUMN - 24.8
    page.text(x, y, "top-1, %", "small", color=GREY)
    for place, name, colour in zip(columns, ("latent", "Bop"), (LATENT, BOP), strict=True):
        page.text(place, y, name, "small", weight="bold")
        page.rectangle(place, y + 1.3, 24.8, 0.8, colour)
    first, *others = PAPER.items()
    groups = {
        "The paper, on CIFAR-10": [first],
        "The paper, on ImageNet": others,
        "Measured here, on Fashion-MNIST": [("BinaryNet", (ours["latent"], ours["bop"]))],
    }
    y += 1
    for group, rows in groups.items():
        y += 6.3
        page.text(x, y, group, "small", color=GREY)
        for name, values in rows:
            y += 5
            page.text(x, y, name, "small")
            best = max(values, key=lambda value: float(value.split()[0]))
            for place, value in zip(columns, values, strict=True):
                weight = "bold" if value == best else "normal"
                page.text(place, y, value, "small", weight=weight)
    page.text(x, y + 5, f"{common}, ± s.d.", "small", color=GREY)
    reported = "; ".join(f"{name} {a} and {b}" for name, (a, b) in PAPER.items())
    return (
        "Top-1 accuracy in percent, latent weights and Bop. Reported in the paper, BinaryNet on "
        f"CIFAR-10 and the others on ImageNet: {reported}. Measured here on Fashion-MNIST, "
        f"BinaryNet, {common}: {ours['latent']} and {ours['bop']}."
    )


CODE = """\
from bopkit import Bop

optimizer = Bop("adam",
    threshold=1e-6, gamma=1e-3)
model.compile(optimizer, loss)"""


def use_it(page: Page, x: float) -> str:
    """Three statements of code."""
    y = _cell(page, x, "Use it")
    page.rectangle(x, y - 5, COLUMN, 31.5, LIGHT)
    for i, line in enumerate(CODE.splitlines()):
        page.text(x + 4, y + 1.5 + 5.2 * i, line, "small", family="DejaVu Sans Mono")
    page.paragraph(
        x,
        y + 35,
        COLUMN,
        "Bop flips what Larq marks as binary, Adam trains the rest. "
        r"$\tau$ is in units of the gradient: tune it.",
    )
    return f"Use it: {' '.join(CODE.split())}"
