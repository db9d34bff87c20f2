"""Four ways to move a binary weight, on the same gradients: Bop and three latent optimizers."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit._support.text import number
from bopkit.book import streams
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.pictures.two_rules import RATES, Result, times
from bopkit.book.style import BOP, FAINT, INK, LATENT, MUTED, STYLE, dots, new_figure

STEPS, DRAWS, SEED = 300, 200, 1
CLIP = 1.0
METHODS = ("Bop", "latent SGD", "latent momentum", "latent Adam")


def compute(
    strength: float,
    noise: float,
    gamma: float,
    threshold: float,
    learning_rate: float,
    seed: int = SEED,
) -> tuple[Result, Result, Result, Result]:
    """Run the four methods on 200 streams, on weights that begin at -1.

    Args:
        strength: the gradients' mean is -strength, +strength, -strength for 100 steps each.
        noise: standard deviation around the mean.
        gamma: γ of Bop.
        threshold: τ of Bop.
        learning_rate: η of the three latent optimizers, whose latent weights are clipped to ±1.
        seed: of the noise.

    Returns:
        What each of `METHODS` made of the same streams.
    """
    mean, gradients = signal(strength, noise, seed)
    latent = {"learning_rate": learning_rate, "clip": CLIP}
    courses = (
        streams.bop(gradients, gamma=gamma, threshold=threshold),
        streams.latent_sgd(gradients, **latent),
        streams.latent_momentum(gradients, **latent),
        streams.latent_adam(gradients, **latent),
    )
    return tuple(Result(*course, *streams.score(course.weights, mean)) for course in courses)


def signal(strength: float, noise: float, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Make the gradients; arguments as for `compute`.

    Returns:
        The mean at each step, (steps,), and the gradients, (steps, draws).
    """
    mean = streams.turning_mean(strength, STEPS)
    return mean, mean[:, None] + noise * streams.normals((STEPS, DRAWS), seed)


def _tell(result):
    """Write flips and the share of time on the wrong side: of the first stream, and of all."""
    wrong = streams.tenths(100 * result.wrong[0], STEPS)
    flips = streams.tenths(result.flips.sum(), DRAWS)
    share = streams.tenths(100 * result.wrong.sum(), DRAWS * STEPS)
    return (str(result.flips[0]), wrong), (flips, share)


def draw(
    strength: float, noise: float, gamma: float, threshold: float, learning_rate: float
) -> Figure:
    """Draw one stream of gradients with Bop's average above, and the four weights below.

    Args:
        strength: as for `compute`, which takes the other arguments too.
        noise: standard deviation around the mean.
        gamma: γ of Bop.
        threshold: τ of Bop.
        learning_rate: η of the latent optimizers.

    Returns:
        A figure of five panels that share the step.
    """
    mean, gradients = signal(strength, noise)
    results = compute(strength, noise, gamma, threshold, learning_rate)
    steps = np.arange(1, STEPS + 1)
    with mpl.rc_context(STYLE):
        figure, (top, *strips) = new_figure(
            5.6, 5.4, 5, sharex=True, height_ratios=[2.4, 1, 1, 1, 1]
        )
        dots(top, steps, np.clip(gradients[:, 0], -1.95, 1.95), color=FAINT)
        top.step(steps, mean, where="post", color=INK, linewidth=1)
        side = threshold * np.concatenate([[-1.0], results[0].weights[:-1, 0]])
        top.step(steps, side, where="mid", color=BOP, linewidth=1, linestyle=(0, (4, 2)))
        top.plot(steps, results[0].real[:, 0], color=BOP)
        top.set(ylim=(-2, 2), yticks=[-1, 0, 1])
        title = f"Gradients, their mean, Bop's m (blue); right: {DRAWS} streams"
        top.set_title(title, fontsize=9, pad=4)
        for axis, name, result in zip(strips, METHODS, results, strict=True):
            colour = BOP if name == "Bop" else LATENT
            # Behind: the sign that lowers the loss.
            axis.step(steps, -np.sign(mean), where="post", color=FAINT, linewidth=4)
            axis.step(steps, result.weights[:, 0], where="post", color=colour, linewidth=1.5)
            (_, wrong), (flips, share) = _tell(result)
            here = f"{name[0].upper()}{name[1:]}: {times(result.flips[0])}, wrong {wrong} %"
            axis.set_title(here, loc="left", fontsize=9, pad=4, color=colour)
            all_ = f"mean: {flips} flips, {share} %"
            axis.set_title(all_, loc="right", fontsize=9, pad=4, color=colour)
            axis.set(ylim=(-1.5, 1.5), xlim=(0, STEPS))
            axis.set_yticks([-1, 1], ["−1", "+1"])
            axis.grid(visible=False)
            axis.tick_params(axis="y", colors=MUTED)
            axis.xaxis.set_visible(axis is strips[-1])  # one scale of steps for all
        strips[-1].set_xlabel("step")
    figure.description = describe(results, strength, noise, gamma, threshold, learning_rate)
    return figure


def describe(results: tuple[Result, ...], *settings: float) -> str:
    """Say how often each weight flipped and was wrong.

    Args:
        results: from `compute`.
        settings: the first five arguments of `compute`.

    Returns:
        The text under the picture.
    """
    names = ("Mean ±", "noise ", "γ = ", "τ = ", "η = ")
    where = ", ".join(f"{a}{number(b)}" for a, b in zip(names, settings, strict=True))
    told = [_tell(result) for result in results]
    one, all_ = (
        "; ".join(
            f"{name} {flips}, {wrong} %"
            for name, (flips, wrong) in zip(METHODS, numbers, strict=True)
        )
        for numbers in zip(*told, strict=True)
    )
    return (
        f"{where}. Flips, and share of steps on the wrong side, on this stream: {one}. "
        f"Means of {DRAWS} streams: {all_}."
    )


SCENE = Scene(
    "signals",
    draw,
    (
        Slider("strength", "strength", tuple(i / 100 for i in range(1, 81)), 0.4),
        Slider("noise", "noise", tuple(i / 20 for i in range(41)), 1.0),
        Slider("gamma", "Bop's γ", RATES, 0.05, log=True),
        Slider("threshold", "Bop's τ", tuple(i / 100 for i in range(101)), 0.1),
        Slider("learning_rate", "latent η", tuple(r for r in RATES if r >= 0.02), 0.1, log=True),
    ),
    live=True,
)
