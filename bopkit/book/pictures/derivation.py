"""The derivation of Bop on one stream of gradients: sum, leak, other units, threshold."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit._support.text import number
from bopkit.book import streams
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.pictures.two_rules import RATES
from bopkit.book.style import BOP, FAINT, INK, LATENT, MUTED, STYLE, new_figure

STEPS, STRENGTH, SEED, START = 300, 0.4, 1, 1.0
STAGES = ("1. sum", "2. leak", "3. other units", "4. threshold")


class Stage(NamedTuple):
    """Hold what one step of the derivation makes of the gradients.

    Attributes:
        weights: the binary weight after each step; (steps,).
        real: w̃ or m after each step; (steps,).
        flips: how often the weight flipped.
        wrong: on how many steps it had the sign that makes the loss grow.
    """

    weights: np.ndarray
    real: np.ndarray
    flips: int
    wrong: int


def compute(
    decay: float, learning_rate: float, threshold: float, seed: int = SEED
) -> tuple[Stage, Stage, Stage, Stage]:
    """Run the four steps of the derivation on the same stream of gradients.

    Args:
        decay: λ of the leaking latent weight, and γ of Bop.
        learning_rate: η of the latent weights, which begin at 0 and are not clipped.
        threshold: τ of the last step.
        seed: of the noise.

    Returns:
        A `Stage` for the latent weight that adds up, the one that leaks, its average m without a
        threshold, and Bop.
    """
    mean = streams.turning_mean(STRENGTH, STEPS)
    gradients = mean[:, None] + 1.0 * streams.normals((STEPS, 1), seed)
    courses = (
        streams.latent_sgd(gradients, learning_rate=learning_rate, start=0.0),
        streams.latent_sgd(gradients, learning_rate=learning_rate, decay=decay, start=0.0),
        streams.bop(gradients, gamma=decay, threshold=0.0, start=START),
        streams.bop(gradients, gamma=decay, threshold=threshold, start=START),
    )
    stages = []
    for course in courses:
        flips, wrong = (int(count[0]) for count in streams.score(course.weights, mean, START))
        stages.append(Stage(course.weights[:, 0], course.real[:, 0], flips, wrong))
    return tuple(stages)


def _tell(stage):
    """Write what became of the weight."""
    times = {0: "never flips", 1: "flips once"}.get(stage.flips, f"flips {stage.flips} times")
    wrong = streams.tenths(100 * stage.wrong, STEPS)
    return f"The weight {times} and is wrong {wrong} % of the time."


def describe(stages: tuple[Stage, ...], stage: str, decay: float, threshold: float) -> str:
    """Say what a step does, with its numbers.

    Args:
        stages: from `compute`.
        stage: one of `STAGES`.
        decay: λ.
        threshold: τ.

    Returns:
        The text under the picture.
    """
    whole, leaking, average, bop = stages
    differ = np.count_nonzero(leaking.weights != average.weights)
    return (
        f"The latent weight adds up the gradients, and w is its sign. {_tell(whole)}",
        f"Per step, the latent weight loses the share λ = {number(decay)} of itself, so it "
        f"forgets. {_tell(leaking)} The grey curve is the sum of step 1.",
        "Multiplying w̃ by −λ/η turns the same curve upside down and changes its scale. η is gone, "
        "and m is a moving average of the gradient. The weight differs from step 2 on "
        f"{differ} of {STEPS} steps.",
        f"The weight now flips only if m exceeds τ = {number(threshold)} on its own side. This is "
        f"Bop with γ = λ = {number(decay)}. {_tell(bop)}",
    )[STAGES.index(stage)]


def draw(stage: str, decay: float, learning_rate: float, threshold: float) -> Figure:
    """Draw the four steps one under the other.

    Args:
        stage: the step that the description speaks of; its title is black.
        decay: λ, which is γ in the last two steps.
        learning_rate: η.
        threshold: τ of the last step.

    Returns:
        A figure of four panels that share the step.
    """
    stages = compute(decay, learning_rate, threshold)
    titles = (
        f"1. Sum: w̃ ← w̃ − η g, η = {number(learning_rate)}",
        "2. Leak: w̃ ← (1 − λ) w̃ − η g",
        "3. Other units: m = −λ w̃ / η",
        "4. Threshold: flip w if w·m > τ",
    )
    steps = np.arange(1, STEPS + 1)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(5.6, 6, 4, sharex=True)
        for axis, title, name, (weights, real, flips, wrong) in zip(
            axes, titles, STAGES, stages, strict=True
        ):
            colour = LATENT if axis in axes[:2] else BOP
            reach = 60 * learning_rate if axis in axes[:2] else 1.0
            axis.plot(steps, np.clip(real, -reach, reach), color=colour)
            if name == STAGES[3]:
                side = threshold * np.concatenate([[START], weights[:-1]])
                axis.step(steps, side, where="mid", color=colour, linewidth=1, linestyle="--")
            # The binary weight as a line above the curve, over the sign that it should have.
            for heights, line in (
                (-np.sign(streams.turning_mean(STRENGTH, STEPS)), {"color": FAINT, "linewidth": 4}),
                (weights, {"color": INK, "linewidth": 1}),
            ):
                axis.step(steps, reach * (1.45 + 0.25 * heights), where="post", **line)
            axis.axhline(0, color=MUTED, linewidth=0.8)
            count = "1 flip" if flips == 1 else f"{flips} flips"
            text = f"{title}; {count}, wrong {streams.tenths(100 * wrong, STEPS)} %"
            axis.set_title(text, fontsize=9, pad=4, color=INK if name == stage else MUTED)
            axis.set(xlim=(0, STEPS), ylim=(-1.1 * reach, 1.8 * reach))
            most = "60 η" if axis in axes[:2] else "1"  # as wide at every η
            axis.set_yticks([-reach, 0, reach], [f"−{most}", "0", most])
        axes[-1].set_xlabel("step; above each curve, the weight over the sign that it should have")
    figure.description = describe(stages, stage, decay, threshold)
    return figure


SCENE = Scene(
    "derivation",
    draw,
    (
        Slider("stage", "step of the derivation", STAGES, STAGES[0]),
        Slider("decay", "leak λ", (0.005, 0.007, *RATES[:-6]), 0.05, log=True),
        Slider("learning_rate", "learning rate η", RATES, 0.1, log=True),
        Slider("threshold", "threshold τ", tuple(i / 100 for i in range(61)), 0.1),
    ),
    live=True,
)
