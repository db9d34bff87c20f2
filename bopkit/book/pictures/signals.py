"""Four ways to move one binary weight, on the same gradients: Bop and three latent optimizers."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._text import number
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.style import BOP, FAINT, INK, LATENT, MUTED, STYLE, dots, new_figure

STEPS = 300
GAMMA, THRESHOLD = 0.05, 0.1
CLIP = 1.0


class Course(NamedTuple):
    """What one method did with the gradients.

    Attributes:
        weights: the binary weight after each step; (steps,).
        flips: how often it changed.
        wrong: share of the steps on which it had the sign that makes the loss grow.
    """

    weights: np.ndarray
    flips: int
    wrong: float


def signal(strength: float, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gradients whose mean is -strength, +strength, -strength for a third of the steps each.

    Args:
        strength: size of the mean.
        noise: standard deviation around it.
        seed: of the noise.

    Returns:
        The mean and the gradients; (steps,) each.
    """
    mean = strength * np.where((np.arange(STEPS) * 3 // STEPS) % 2 == 0, -1.0, 1.0)
    return mean, mean + noise * np.random.RandomState(seed).normal(size=STEPS)


def courses(mean: np.ndarray, gradients: np.ndarray, learning_rate: float) -> dict[str, Course]:
    """One binary weight, begun at -1, under Bop and under SGD, momentum and Adam.

    Args:
        mean: of the gradients at each step; (steps,).
        gradients: (steps,).
        learning_rate: η of the three latent optimizers.

    Returns:
        A `Course` for each method. Latent weights begin at -1 and are clipped to [-1, 1].
    """
    binary = {name: [] for name in ("Bop", "latent, SGD", "latent, momentum", "latent, Adam")}
    weight, average = np.array([-1.0]), np.zeros(1)
    sgd, momentum, velocity, adam, moments = -1.0, -1.0, 0.0, -1.0, None
    for gradient in gradients:
        weight, average, _ = rules.bop_step(
            weight, average, np.array([gradient]), threshold=THRESHOLD, gamma=GAMMA
        )
        sgd = rules.latent_sgd_step(sgd, gradient, learning_rate=learning_rate, clip=CLIP)
        momentum, velocity = rules.latent_momentum_step(
            momentum, velocity, gradient, learning_rate=learning_rate, clip=CLIP
        )
        adam, moments = rules.latent_adam_step(
            adam, moments, gradient, learning_rate=learning_rate, clip=CLIP
        )
        now = (weight[0], *(float(rules.sign(x)) for x in (sgd, momentum, adam)))
        for history, value in zip(binary.values(), now, strict=True):
            history.append(value)
    return {
        name: Course(
            np.array(history),
            int(np.count_nonzero(np.diff([-1.0, *history]))),
            # a weight with the sign of its gradient makes the loss grow
            float(np.mean(np.array(history) * mean > 0)),
        )
        for name, history in binary.items()
    }


def draw(strength: float, noise: float, learning_rate: float) -> Figure:
    """The gradients above, the weight under each of the four methods below.

    Args:
        strength: size of the gradient's mean.
        noise: its standard deviation.
        learning_rate: η of the latent optimizers; Bop has γ = 0.05 and τ = 0.1.

    Returns:
        A figure of five panels that share the step.
    """
    mean, gradients = signal(strength, noise)
    results = courses(mean, gradients, learning_rate)
    steps = np.arange(STEPS)
    with mpl.rc_context(STYLE):
        figure, (top, *strips) = new_figure(
            5.6, 5.4, 5, sharex=True, height_ratios=[2.1, 1, 1, 1, 1]
        )
        dots(top, steps, np.clip(gradients, -2.95, 2.95), color=FAINT)
        top.step(steps, mean, where="post", color=INK)
        top.set(ylim=(-3, 3), ylabel="gradient")
        top.set_title("What all four see: a mean (line) under noise (dots)", fontsize=10, pad=6)
        for axis, (name, course) in zip(strips, results.items(), strict=True):
            colour = BOP if name == "Bop" else LATENT
            # Behind: the sign that lowers the loss.
            axis.step(steps, -np.sign(mean), where="post", color=FAINT, linewidth=4)
            axis.step(steps, course.weights, where="post", color=colour, linewidth=1.5)
            flips = "1 flip" if course.flips == 1 else f"{course.flips} flips"
            how = f" (γ = {GAMMA}, τ = {THRESHOLD})" if name == "Bop" else ""
            axis.set_title(
                f"{name}{how}: {flips}, wrong {100 * course.wrong:.0f} % of the time",
                fontsize=9,
                pad=4,
                color=colour,
            )
            axis.set(ylim=(-1.5, 1.5), xlim=(0, STEPS))
            axis.set_yticks([-1, 1], ["−1", "+1"])
            axis.grid(visible=False)
            axis.tick_params(axis="y", colors=MUTED)
            axis.xaxis.set_visible(axis is strips[-1])  # one scale of steps for all
        strips[-1].set_xlabel("step")
    told = "; ".join(
        f"{name} {course.flips}, {100 * course.wrong:.0f} %" for name, course in results.items()
    )
    figure.description = (
        f"Mean ±{number(strength)}, noise {number(noise)}, η = {number(learning_rate)}. "
        f"Flips, and share of steps on the wrong side: {told}."
    )
    return figure


SCENE = Scene(
    "signals",
    draw,
    (
        Slider("strength", "strength: size of the mean", (0.05, 0.1, 0.2, 0.4, 0.8), 0.4),
        Slider("noise", "noise around it", (0.0, 0.5, 1.0, 2.0), 1.0),
        Slider("learning_rate", "latent learning rate η", (0.02, 0.05, 0.1, 0.2, 0.5), 0.1),
    ),
)
