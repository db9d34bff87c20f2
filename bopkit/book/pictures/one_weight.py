"""One binary weight under Bop: what γ and τ do to it."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._text import number
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.style import BOP, FAINT, INK, LATENT, STYLE, dots, new_figure, verticals


def noisy_signal(steps: int = 300, noise: float = 1.0, seed: int = 0) -> np.ndarray:
    """A gradient whose mean changes sign twice under noise: what a weight has to make sense of.

    Args:
        steps: how many gradients.
        noise: standard deviation of the noise; the mean is -0.4 or +0.4.
        seed: of the noise.

    Returns:
        Gradients; (steps,).
    """
    mean = np.where((np.arange(steps) * 3 // steps) % 2 == 0, -0.4, 0.4)
    return mean + noise * np.random.RandomState(seed).normal(size=steps)


def draw(
    gradients: Sequence[float],
    *,
    threshold: float,
    gamma: float,
    start: float = -1.0,
    mean: Sequence[float] | None = None,
) -> Figure:
    """One binary weight under Bop: its gradient, the average m, the threshold and the flips.

    Args:
        gradients: the weight's gradient at each step; (steps,).
        threshold: τ, in units of the gradient.
        gamma: γ, the adaptivity rate.
        start: the weight at the beginning, -1 or +1.
        mean: what the gradient is without noise, which the weight should stand against; (steps,).

    Returns:
        A figure of two panels that share the step: above, gradient and m with the line that m
        has to cross; below, the weight.

    Raises:
        ValueError: as `bopkit.rules.bop_step`.
    """
    weight, momentum = np.array([start]), np.zeros(1)
    weights, momentums, flips = [start], [], []
    for step, gradient in enumerate(gradients):
        weight, momentum, flipped = rules.bop_step(
            weight, momentum, np.array([gradient]), threshold=threshold, gamma=gamma
        )
        weights.append(weight[0])
        momentums.append(momentum[0])
        if flipped[0]:
            flips.append(step)
    steps = np.arange(len(gradients))
    with mpl.rc_context(STYLE):
        figure, (above, below) = new_figure(5.6, 3.7, 2, sharex=True, height_ratios=[3, 1])
        dots(above, steps, gradients, color=FAINT, label="gradient g")
        above.plot(steps, momentums, color=BOP, label="its average m")
        # The weight flips when w·m > τ: only the line on the weight's own side counts.
        above.step(
            steps,
            threshold * np.array(weights[:-1]),
            where="mid",
            color=LATENT,
            linewidth=1.2,
            linestyle=(0, (4, 2)),
            label="w·τ: beyond it m flips w",
        )
        dots(above, flips, [momentums[i] for i in flips], size=6.5, color=BOP, zorder=5)
        # Always the same scale: what moves is the average, not the axis.
        above.set_ylim(-2.2, 2.2)
        above.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=3, fontsize=9)
        above.set_ylabel("gradient")
        if mean is not None:  # behind: the sign that lowers the loss
            below.step(steps, -np.sign(mean), where="post", color=FAINT, linewidth=5)
        below.step(steps, weights[1:], where="post", color=INK)
        below.set(ylim=(-1.5, 1.5), ylabel="weight w", xlabel="step", xlim=(0, len(steps)))
        below.set_yticks([-1, 1], ["−1", "+1"])
        below.grid(visible=False)
        for axis in (above, below):
            verticals(axis, flips, color=BOP, linewidth=0.8, alpha=0.35, zorder=1)
    times = "once" if len(flips) == 1 else f"{len(flips)} times" if flips else "never"
    figure.description = (
        f"With γ = {number(gamma)} and τ = {number(threshold)} the weight flips {times} in "
        f"{len(steps)} steps{_when(flips)}."
    )
    if mean is not None:
        # A weight with the sign of its gradient makes the loss grow.
        wrong = np.mean(np.array(weights[1:]) * mean > 0)
        figure.description += f" It is wrong {100 * wrong:.0f} % of the time."
    return figure


def _when(flips) -> str:
    """The steps of the flips in words, if they are few."""
    if not 0 < len(flips) <= 5:
        return ""
    *most, last = (str(step) for step in flips)
    return f": at step{'s' if most else ''} {', '.join(most)}{' and ' if most else ''}{last}"


def _play(gamma: float, threshold: float) -> Figure:
    return draw(noisy_signal(), threshold=threshold, gamma=gamma, mean=noisy_signal(noise=0.0))


SCENE = Scene(
    "one_weight",
    _play,
    (
        Slider(
            "gamma",
            "adaptivity rate γ",
            (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
            0.5,
            log=True,
        ),
        Slider("threshold", "threshold τ", (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0), 0.05),
    ),
)
