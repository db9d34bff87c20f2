"""Bop and latent SGD on the same gradients: one stream to look at, and 200 to judge by."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit._support.text import number
from bopkit.book import streams
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.style import BOP, FAINT, GRID, INK, LATENT, STYLE, BookFigure, dots, verticals

STEPS, DRAWS, STRENGTH, SEED = 300, 200, 0.4, 1
CLIP = 1.0

# Twenty values to a power of ten.
_DECADE = (1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.2, 2.5, 2.8, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9)
RATES = tuple(float(f"{d}e{power}") for power in (-2, -1) for d in _DECADE)
RATES = (*RATES, 1.0)


class Result(NamedTuple):
    """Hold what one rule made of all streams.

    Attributes:
        weights: the binary weights after each step; (steps, draws).
        real: m or w̃ after each step; (steps, draws).
        flips: how often each weight flipped; (draws,).
        wrong: on how many steps each had the sign that makes the loss grow; (draws,).
    """

    weights: np.ndarray
    real: np.ndarray
    flips: np.ndarray
    wrong: np.ndarray


def compute(
    gamma: float, threshold: float, learning_rate: float, noise: float, seed: int = SEED
) -> tuple[np.ndarray, Result, Result]:
    """Run both rules on 200 streams whose mean is -0.4, +0.4 and -0.4 for 100 steps each.

    Args:
        gamma: γ of Bop.
        threshold: τ of Bop.
        learning_rate: η of latent SGD, whose latent weight begins at -1 and is clipped to ±1.
        noise: standard deviation around the mean.
        seed: of the noise.

    Returns:
        The gradients, (steps, draws); Bop's result and latent SGD's.
    """
    mean = streams.turning_mean(STRENGTH, STEPS)
    gradients = mean[:, None] + noise * streams.normals((STEPS, DRAWS), seed)
    courses = (
        streams.bop(gradients, gamma=gamma, threshold=threshold),
        streams.latent_sgd(gradients, learning_rate=learning_rate, clip=CLIP),
    )
    mine, theirs = (Result(*c, *streams.score(c.weights, mean)) for c in courses)
    return gradients, mine, theirs


def times(flips: int) -> str:
    """Write how many flips there are."""
    return "1 flip" if flips == 1 else f"{flips} flips"


def _tell(result):
    """What became of the first stream, and of all in the mean."""
    wrong = f"wrong {streams.tenths(100 * result.wrong[0], STEPS)} % of the time"
    flips = streams.tenths(result.flips.sum(), DRAWS)
    share = streams.tenths(100 * result.wrong.sum(), DRAWS * STEPS)
    return f"{times(result.flips[0])}, {wrong}", f"{flips} flips, wrong {share} %"


def draw(gamma: float, threshold: float, learning_rate: float, noise: float) -> Figure:
    """Draw both rules on one stream at the left, and on every stream at the right.

    Args:
        gamma: γ of Bop.
        threshold: τ of Bop.
        learning_rate: η of latent SGD.
        noise: standard deviation around the mean.

    Returns:
        A figure; its description has the numbers.
    """
    gradients, mine, theirs = compute(gamma, threshold, learning_rate, noise)
    steps = np.arange(1, STEPS + 1)
    with mpl.rc_context(STYLE):
        figure = BookFigure(figsize=(6.6, 4.2), layout="constrained")
        axes = figure.subplot_mosaic(
            [["m", "cloud"], ["bop", "cloud"], ["w̃", "cloud"], ["latent", "cloud"]],
            width_ratios=[1.7, 1],
            height_ratios=[4, 1, 2.2, 1],
        )
        dots(axes["m"], steps, np.clip(gradients[:, 0], -1.95, 1.95), color=FAINT)
        side = np.concatenate([[-1.0], mine.weights[:-1, 0]])
        line = {"color": BOP, "linewidth": 1, "linestyle": (0, (4, 2))}
        axes["m"].step(steps, threshold * side, where="mid", **line)
        axes["m"].plot(steps, mine.real[:, 0], color=BOP)
        axes["m"].set(ylim=(-2, 2), yticks=[-1, 0, 1])
        axes["w̃"].plot(steps, theirs.real[:, 0], color=LATENT)
        axes["w̃"].set(ylim=(-1.1, 1.1), yticks=[-1, 0, 1])
        titles = (("Bop: the average m", mine), ("Latent SGD: the latent weight w̃", theirs))
        for name, (title, result) in zip(("m", "w̃"), titles, strict=True):
            text = f"{title}; {times(result.flips[0])}"
            axes[name].set_title(text, fontsize=9, pad=4, color=BOP if name == "m" else LATENT)
            axes[name].set(xlim=(0, STEPS), xticklabels=[])
        for name, result, colour in (("bop", mine, BOP), ("latent", theirs, LATENT)):
            _strip(axes[name], result, colour)
            axes[name].tick_params(labelbottom=name == "latent")
        axes["latent"].set_xlabel("step")
        _cloud(axes["cloud"], mine, theirs)
    (one, all_), (other, others) = _tell(mine), _tell(theirs)
    figure.description = (
        f"γ = {number(gamma)}, τ = {number(threshold)}, η = {number(learning_rate)}, noise "
        f"{number(noise)}. On this stream Bop: {one}; latent SGD: {other}. "
        f"Means of {DRAWS} streams: Bop {all_}; latent SGD {others}."
    )
    return figure


def _strip(axis, result, colour):
    """The first stream's weight over the grey band of the sign that it should have."""
    steps, ideal = np.arange(STEPS), -np.sign(streams.turning_mean(STRENGTH, STEPS))
    axis.step(steps, ideal, where="post", color=FAINT, linewidth=4)
    axis.step(steps, result.weights[:, 0], where="post", color=colour, linewidth=1.5)
    axis.set(ylim=(-1.5, 1.5), xlim=(0, STEPS))
    axis.set_yticks([-1, 1], ["−1", "+1"])
    axis.grid(visible=False)
    flips = np.flatnonzero(np.diff(result.weights[:, 0], prepend=-1.0))
    verticals(axis, flips, color=colour, linewidth=0.6, alpha=0.35, zorder=1)


def _cloud(axis, mine, theirs):
    """Every stream as a point, and their means."""
    axis.axhline(np.log10(4), color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    for result, colour in ((mine, BOP), (theirs, LATENT)):
        points = np.log10(1 + result.wrong), np.log10(1 + result.flips)
        dots(axis, *points, size=3, color=colour, alpha=0.35)
        middle = np.log10(1 + result.wrong.mean()), np.log10(1 + result.flips.mean())
        axis.plot(*middle, "o", color=colour, markeredgecolor="white", markersize=9)
    ticks = np.array([0, 1, 3, 10, 30, 100])
    axis.set_yticks(np.log10(1 + ticks), ticks.astype(str))
    shares = np.array([1, 3, 10, 30])
    axis.set_xticks(np.log10(1 + STEPS * shares / 100), shares.astype(str))
    axis.set(xlim=(0, np.log10(1 + STEPS)), ylim=(-0.05, np.log10(151)), xlabel="% of time wrong")
    axis.set_title(f"{DRAWS} streams: flips", fontsize=9, pad=4, color=INK)
    axis.grid(color=GRID)


SCENE = Scene(
    "two_rules",
    draw,
    (
        Slider("gamma", "adaptivity rate γ", RATES, 0.1, log=True),
        Slider("threshold", "threshold τ", tuple(i / 100 for i in range(101)), 0.05),
        Slider("learning_rate", "learning rate η", RATES, 0.3, log=True),
        Slider("noise", "noise", tuple(i / 20 for i in range(41)), 1.0),
    ),
    live=True,
)
