"""One latent weight under noise: only its start over the learning rate decides when it flips."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._support.text import number
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.streams import noisy_signal, turning_mean
from bopkit.book.style import FAINT, INK, LATENT, MUTED, STYLE, dots, new_figure, verticals

STEPS, MEAN, SEED = 300, 0.4, 21
FREE, CLIPPED = "none", "to ±1"
LOW, HIGH = -92, 58


class Course(NamedTuple):
    """What the gradients made of one latent weight.

    Attributes:
        latent: w̃ before the first step and after each; (steps + 1,).
        weights: the binary weight, its sign; (steps + 1,).
        flips: the steps at which the binary weight changed.
    """

    latent: np.ndarray
    weights: np.ndarray
    flips: np.ndarray


def course(scale: float, learning_rate: float, clip: float | None = None) -> Course:
    """One latent weight under SGD, on the gradients of `streams.noisy_signal`.

    Args:
        scale: the latent weight begins at -scale.
        learning_rate: η.
        clip: the largest magnitude allowed; `None` for no clipping.

    Returns:
        A `Course` of 300 steps.
    """
    latent = [-scale]
    for gradient in noisy_signal(STEPS, seed=SEED):
        latent.append(
            float(
                rules.latent_sgd_step(latent[-1], gradient, learning_rate=learning_rate, clip=clip)
            )
        )
    weights = rules.sign(np.array(latent))
    return Course(np.array(latent), weights, np.flatnonzero(np.diff(weights)))


def draw(scale: float, learning_rate: float, clipping: str) -> Figure:
    """The gradient, the latent weight counted in learning rates, and the binary weight.

    Args:
        scale: the latent weight begins at -scale.
        learning_rate: η.
        clipping: `FREE` or `CLIPPED`.

    Returns:
        A figure of three panels that share the step.
    """
    free = course(scale, learning_rate)
    shown = course(scale, learning_rate, 1.0) if clipping == CLIPPED else free
    steps = np.arange(STEPS + 1)
    with mpl.rc_context(STYLE):
        figure, (top, middle, bottom) = new_figure(
            5.6, 5.4, 3, sharex=True, height_ratios=[1, 2.6, 0.75]
        )
        dots(top, steps[1:], noisy_signal(STEPS, seed=SEED), color=FAINT)
        mean = turning_mean(MEAN, STEPS)
        top.step(steps[:-1], mean, where="post", color=INK, linewidth=1.3)
        top.set(ylim=(-4, 4), yticks=[-3, 0, 3], ylabel="gradient")
        top.set_title("The pushes, always the same", fontsize=10, pad=6)
        middle.axhline(0, color=INK, linewidth=1)
        if clipping == CLIPPED:
            bound = 1 / learning_rate
            middle.axhspan(-min(bound, -LOW), min(bound, HIGH), color=LATENT, alpha=0.12, lw=0)
            middle.plot(steps, free.latent / learning_rate, color=FAINT, linewidth=1.3)
        middle.plot(steps, shown.latent / learning_rate, color=LATENT)
        middle.set(ylim=(LOW, HIGH), ylabel="w̃ / η")
        middle.set_yticks([-80, -40, 0, 40], ["−80", "−40", "0", "40"])
        middle.set_title("The latent weight, counted in learning rates", fontsize=10, pad=6)
        _own_units(middle, learning_rate)
        bottom.step(steps, shown.weights, where="post", color=INK)
        bottom.set(ylim=(-1.5, 1.5), xlim=(0, STEPS), xlabel="step")
        bottom.set_yticks([-1, 1], ["−1", "+1"])
        bottom.set_title("The binary weight, all that the network sees", fontsize=10, pad=6)
        bottom.grid(visible=False)
        for axis in (middle, bottom):
            verticals(axis, shown.flips + 1, color=LATENT, linewidth=0.8, alpha=0.4, zorder=1)
    figure.get_layout_engine().set(rect=(0, 0, 0.93, 1))
    figure.description = _say(scale, learning_rate, clipping, shown)
    return figure


def _own_units(axis, learning_rate):
    """The same scale in units of w̃, at the right; outside the layout, so that no axis moves."""
    texts = {place: number(place * learning_rate).replace("-", "−") for place in (-80, -40, 0, 40)}
    for place, text in (texts | {54: "w̃ ="}).items():
        axis.text(STEPS + 4, place, text, va="center", fontsize=10, color=MUTED, in_layout=False)


def _say(scale, learning_rate, clipping, shown):
    """What there is to see, in words."""
    times = len(shown.flips)
    often = "never flips" if times == 0 else "flips once" if times == 1 else f"flips {times} times"
    first = "" if times == 0 else f", first at step {shown.flips[0] + 1}"
    ratio, bound = scale / learning_rate, 1 / learning_rate
    cut = ""
    if clipping == CLIPPED:
        cut = f", clipped to {number(bound)}" if ratio > bound else f", never above {number(bound)}"
        ratio = min(ratio, bound)
    return (
        f"|w̃| / η = {number(scale)} / {number(learning_rate)} = {number(scale / learning_rate)}"
        f"{cut}. The mean push of {MEAN} needs {number(round(ratio / MEAN, 1))} steps to zero; "
        f"the binary weight {often}{first}."
    )


SCENE = Scene(
    "inertia",
    draw,
    (
        Slider("scale", "latent start |w̃|", (0.25, 0.5, 1.0, 2.0, 4.0), 1.0, log=True),
        Slider("learning_rate", "learning rate η", (0.05, 0.1, 0.2, 0.4, 0.8), 0.1, log=True),
        Slider("clipping", "clipping", (FREE, CLIPPED), FREE),
    ),
)
