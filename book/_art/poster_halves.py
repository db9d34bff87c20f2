"""The upper part of the poster: one weight under latent weights, and under Bop."""

from __future__ import annotations

import numpy as np
from page import GREY, INK, Page
from poster_grid import DASHED, HALF, SIZES, TOP_OF_HALVES, mark_flips, mark_threshold
from traces import Trace

from bopkit.book.streams import noisy_signal
from bopkit.book.style import BOP, FAINT, LATENT

LABELS = 35  # what the names of the rows take of a half

# The middles of a diagram's two rows, and where its boxes begin within a half.
FORWARD, BACKWARD = 81, 99
WEIGHT, NETWORK, LOSS = 70, 110, 158
RULE, SIGNAL, VALUE, BINARY, MEMORY = 112, 131.5, 147, 174, 194  # the tops of the rows below

PALE = {LATENT: "#fbe7d9", BOP: "#dcebf5"}  # the two colours as a fill behind words


def _half(page, x, colour, heading, lead):
    """What both halves begin with, and the way from the weight to its gradient."""
    page.rectangle(x, TOP_OF_HALVES, HALF, 1.2, colour)
    page.text(x, TOP_OF_HALVES + 9.5, heading, "heading", weight="bold", color=colour)
    page.text(x, TOP_OF_HALVES + 17, lead)
    page.box(x + WEIGHT, FORWARD, 24, "$w$ = −1", fill=INK, colour="white")
    page.box(x + NETWORK, FORWARD, 34, "network")
    page.box(x + LOSS, FORWARD, HALF - LOSS, "loss")
    page.arrow((x + WEIGHT + 24, FORWARD), (x + NETWORK, FORWARD))
    page.arrow((x + NETWORK + 34, FORWARD), (x + LOSS, FORWARD))
    page.text(x + NETWORK + 17, BACKWARD - 2.2, "gradient $g$", ha="center")


def _row(page, x, y, name, note=""):
    """The name of a row, left of it."""
    page.text(x, y, name)
    if note:
        page.text(x, y + 5, note, "small", color=GREY)


def _plot(page, x, y, height, steps):
    axes = page.axes(x + LABELS, y, HALF - LABELS, height)
    axes.set_xlim(0, steps)
    return axes


def _traces(page, x, gradient, trace, colour, limit, note):
    """The gradient, the real number behind the weight, and the weight, one below the other."""
    steps = len(gradient)
    axes = _plot(page, x, SIGNAL, 13, steps)
    axes.plot(gradient, ".", color="#9aa1a8", markersize=3.4, markeredgewidth=0)
    third = steps // 3
    for start in (0, third, 2 * third):
        mean = noisy_signal(steps, noise=0)[start]
        axes.plot([start, start + third], [mean] * 2, color=INK, linewidth=1.6)
    reach = 1.05 * np.abs(gradient).max()
    axes.set_ylim(-reach, reach)
    _row(page, x, SIGNAL + 5.5, "gradient $g$", note)

    value = _plot(page, x, VALUE, 24, steps)
    value.plot(trace.value, color=colour, linewidth=2.4)
    value.set_ylim(-limit, limit)

    axes = _plot(page, x, BINARY, 8, steps)
    axes.step(np.arange(-1, steps), trace.weight, where="post", color=INK, linewidth=2)
    axes.set_ylim(-1.25, 1.25)
    _row(page, x, BINARY + 5.5, "weight $w$")
    for level, words in ((1, "+1"), (-1, "−1")):
        page.text(x + LABELS - 2, BINARY + 5.3 - 3.2 * level, words, "small", ha="right")
    for step in (0, third, 2 * third, steps):
        place = x + LABELS + step / steps * (HALF - LABELS)
        align = {0: "left", steps: "right"}.get(step, "center")
        page.text(place, BINARY + 13.2, str(step) if step else "step 0", "small", ha=align)
    return value


def _name_first_flip(axes, trace, level, rise):
    axes.annotate(
        "flip",
        (trace.flips[0], level),
        (-7, rise),
        textcoords="offset points",
        ha="right",
        fontsize=SIZES["small"],
        color=INK,
    )


def _memory(page, x, colour, names, note, bit=False):
    """A cell for each bit of the real numbers that are kept."""
    _row(page, x, MEMORY + 3.8, "memory", note)
    pitch = (HALF - LABELS) / 99
    left = x + LABELS
    for name in names:
        page.text(left, MEMORY + 10, name, "small")
        for _ in range(32):
            page.rectangle(left, MEMORY, 0.78 * pitch, 4.8, colour)
            left += pitch
        left += 1.5 * pitch
    if bit:
        page.rectangle(left, MEMORY, 0.78 * pitch, 4.8, INK)
        page.text(left, MEMORY + 10, "$w$", "small")


def latent_half(
    page: Page, x: float, gradient: np.ndarray, trace: Trace, *, learning_rate: float
) -> None:
    """The usual way, from x on."""
    lead = r"Gradients push a latent weight $\tilde{w}$. The weight is its sign, and flips at zero."
    _half(page, x, LATENT, "The usual way: latent weights", lead)
    now = f"{trace.value[len(gradient) // 10]:.2f}".replace("-", "−")
    page.box(x, FORWARD, 28, f"$\\tilde{{w}}$ = {now}", fill=PALE[LATENT], edge=LATENT)
    page.box(x + 39, FORWARD, 20, "sign")
    page.arrow((x + 28, FORWARD), (x + 39, FORWARD))
    page.arrow((x + 59, FORWARD), (x + WEIGHT, FORWARD))
    page.box(x, BACKWARD, 28, "Adam")
    page.arrow((x + LOSS + 13, FORWARD + 5.5), (x + LOSS + 13, BACKWARD), (x + 28, BACKWARD))
    page.arrow((x + 14, BACKWARD - 5.5), (x + 14, FORWARD + 5.5))
    page.text(x + 66, BACKWARD - 2.2, "straight through the sign", ha="center")
    _row(page, x, RULE + 3, "rule")
    for y, words in (
        (
            3,
            r"$a \leftarrow \beta_1 a + (1-\beta_1)\,g"
            r"\qquad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2$",
        ),
        (
            13,
            r"$\tilde{w} \leftarrow \tilde{w} - \eta\;\hat{a}\,/\,(\sqrt{\hat{v}}+\epsilon)"
            r"\qquad w = \mathrm{sign}(\tilde{w})$",
        ),
    ):
        page.text(x + LABELS, RULE + y, words, "heading")
    axes = _traces(page, x, gradient, trace, LATENT, 0.7, "and its mean")
    axes.axhline(0, color=INK, linewidth=1.1, linestyle=DASHED)
    page.text(x + LABELS - 2, VALUE + 13.9, "0", "small", ha="right")
    mark_flips(axes, trace, np.zeros(len(trace.flips)), LATENT)
    _name_first_flip(axes, trace, 0, 7)
    _row(page, x, VALUE + 11.5, r"latent $\tilde{w}$", rf"$\eta$ = {learning_rate:g}")
    names = (r"latent weight $\tilde{w}$", "Adam’s mean $a$", "Adam’s mean square $v$")
    _memory(page, x, LATENT, names, "3 reals a weight")


def bop_half(
    page: Page, x: float, gradient: np.ndarray, trace: Trace, *, gamma: float, threshold: float
) -> None:
    """Bop, from x on."""
    lead = r"Bop averages the gradient. The weight flips where $m$ passes $\tau$ on its side."
    _half(page, x, BOP, "Bop: no latent weights", lead)
    empty = {"edge": FAINT, "colour": GREY, "dashed": True}
    page.box(x, FORWARD, 28, "no latent\nweight", size="small", **empty)
    page.box(x + 67, BACKWARD, 30, "average $m$", fill=PALE[BOP], edge=BOP)
    page.box(x + 26, BACKWARD, 30, r"$w \cdot m > \tau$ ?")
    page.arrow((x + LOSS + 13, FORWARD + 5.5), (x + LOSS + 13, BACKWARD), (x + 97, BACKWARD))
    page.arrow((x + 67, BACKWARD), (x + 56, BACKWARD))
    page.arrow((x + 41, BACKWARD - 5.5), (x + 41, FORWARD), (x + WEIGHT, FORWARD))
    page.text(x + 54, FORWARD - 2.2, "flip", ha="center")
    _row(page, x, RULE + 3, "rule")
    page.text(x + LABELS, RULE + 3, r"$m \leftarrow (1-\gamma)\,m + \gamma\,g$", "heading")
    page.text(x + LABELS, RULE + 13, r"flip $w$ if $w \cdot m > \tau$", "heading")
    page.text(x + NETWORK, RULE + 3, r"$\gamma$: how fast old gradients fade", color=GREY)
    page.text(x + NETWORK, RULE + 13, r"$\tau$: how strong $m$ must be", color=GREY)
    axes = _traces(page, x, gradient, trace, BOP, 0.5, "the same")
    mark_threshold(axes, trace, threshold, 1.1)
    beside = trace.flips[0] + 4, threshold + 0.06
    axes.text(*beside, r"$w \cdot \tau$", fontsize=SIZES["small"], color=INK)
    mark_flips(axes, trace, trace.value[trace.flips], BOP)
    _name_first_flip(axes, trace, -threshold, -14)
    _row(page, x, VALUE + 11.5, "average $m$", rf"$\gamma$ = {gamma:g}, $\tau$ = {threshold:g}")
    _memory(page, x, BOP, ("average $m$",), "1 real a weight", bit=True)
