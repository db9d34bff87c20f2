"""What the batch size does to Bop: the gradient's noise, the flips, and how far back m looks."""

from __future__ import annotations

from functools import lru_cache

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit._support.text import number
from bopkit.book import toy, toy_network
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.book.remember import remember
from bopkit.book.style import BOP, FAINT, INK, LATENT, MUTED, STYLE, dots, new_figure

EPOCHS = 12
SIZES = (10, 30, 100, 300, 700)
GAMMAS = (0.01, 0.03, 0.1, 0.3)
THRESHOLDS = (1e-4, 3e-4, 1e-3)
DRAWS = 300  # batches that the fixed network is shown


@lru_cache(maxsize=1)
def standing() -> list[np.ndarray]:
    """A network to measure on, which does not move: the small one after three epochs."""
    return toy.train(toy.NumPyBop(3e-4, 0.03), epochs=3).weights


def _gradient(batch) -> np.ndarray:
    """Compute the first layer's gradient in the fixed network for some images; (4096,)."""
    images, labels, _, _ = toy.digits()
    running = [np.zeros((2, n), np.float32) for n in (64, 10)]
    return toy_network.backward(images[batch], labels[batch], standing(), running)[0][0].ravel()


@lru_cache(maxsize=16)
@toy.on_one_core
def gradients(batch_size: int) -> np.ndarray:
    """Compute the first layer's gradient in the fixed network for each of many random batches.

    Args:
        batch_size: images per batch, drawn with replacement, because a large batch would otherwise
            hold nearly every image of this small data set, and its noise would be too small.

    Returns:
        The mean gradient of each batch; (DRAWS, 4096).
    """
    random = np.random.RandomState(0)
    return np.stack([_gradient(random.randint(1437, size=batch_size)) for _ in range(DRAWS)])


def split(batch_size: int) -> tuple[float, float]:
    """Measure the gradient's noise and signal in the fixed network.

    Args:
        batch_size: images per batch.

    Returns:
        Root mean squares over the weights: of the standard deviation from batch to batch, and of
        the mean over the batches.
    """
    found = gradients(batch_size)
    mean, variance = found.mean(axis=0), found.var(axis=0, ddof=1)
    # The noise that is left in a mean of this many gradients is taken out of the signal.
    signal = np.maximum((mean**2 - variance / len(found)).mean(), 0)
    return float(np.sqrt(variance.mean())), float(np.sqrt(signal))


@lru_cache(maxsize=4)
@toy.on_one_core
def pulls(batch_size: int, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute what pulls, batch after batch, at the weights of the fixed network that are right.

    A weight is right if the gradient of all images together agrees with it: w·g < 0.

    Args:
        batch_size: images per batch.
        gamma: γ.

    Returns:
        w·g and w·m at each step; two arrays (DRAWS, weights that are right). m starts at the mean
        of g. The first is a typical weight: signal and noise of its gradient are near those of
        the whole layer.
    """
    weights, whole = standing()[0].ravel(), _gradient(np.arange(1437))
    right = np.flatnonzero(weights * whole < 0)
    noise, signal = split(100)
    distance = np.abs(np.abs(whole) / signal - 1) + np.abs(gradients(100).std(axis=0) / noise - 1)
    typical = distance[right].argmin()
    right[[0, typical]] = right[[typical, 0]]
    pull = (weights * gradients(batch_size))[:, right]
    average, averages = pull.mean(axis=0), []
    for row in pull:
        average = average + gamma * (row - average)
        averages.append(average)
    return pull, np.stack(averages)


@remember
def run(batch_size: int, gamma: float, threshold: float, seed: int = 0) -> toy.Run:
    """Train the small network with batches of this size; remembered."""
    return toy.train(
        toy.NumPyBop(threshold, gamma), epochs=EPOCHS, batch_size=batch_size, seed=seed
    )


def flips_per_epoch(result: toy.Run) -> float:
    """How often a weight flips in one of the last four epochs, on average."""
    steps = len(result.flip_ratio) // EPOCHS
    return float(result.flip_ratio[-4 * steps :].sum() / 4)


def draw(batch_size: int, gamma: float, threshold: float) -> Figure:
    """The gradient's noise at one batch size, and a run with it.

    Args:
        batch_size: images per step.
        gamma: γ.
        threshold: τ, in units of the gradient.

    Returns:
        A figure of three panels. The first has w·g and w·m of one weight that should not flip,
        against τ. The others have the flip ratio and top-1 by epoch in a run. A bar below them
        shows how far back m looks.
    """
    result = run(batch_size, gamma, threshold)
    steps = len(result.flip_ratio) // EPOCHS
    pull, averages = pulls(batch_size, gamma)
    epochs = np.arange(1, EPOCHS + 1)
    with mpl.rc_context(STYLE):
        figure, (top, middle, bottom, strip) = new_figure(
            5.6, 6.8, 4, height_ratios=[1.35, 1, 1, 0.22]
        )
        _weight(top, pull[:, 0], averages[:, 0], threshold)
        means = result.flip_ratio.reshape(EPOCHS, -1).mean(axis=1)
        middle.plot(epochs, rules.log_flip_ratio(means), color=BOP, marker="o", markersize=3)
        middle.set(ylim=(-9.4, 0), yticks=[-9, -6, -3, 0], ylabel="πₜ")
        title = f"πₜ (log flip ratio) in training, {steps} steps per epoch"
        middle.set_title(title, fontsize=10, pad=6)
        bottom.plot(epochs, 100 * result.accuracy, color=BOP, marker="o", markersize=3)
        bottom.set(ylim=(0, 100), yticks=[0, 50, 100], ylabel="top-1 (%)", xlabel="epoch")
        bottom.set_title("Accuracy on held-out digits", fontsize=10, pad=6)
        _look_back(strip, 1 / gamma / steps)
        for axis in (middle, bottom):
            axis.set(xlim=(0, EPOCHS))
            axis.set_xticks(range(0, EPOCHS + 1, 2))
    by_noise = 100 * float(np.mean(averages > threshold))
    accuracy = 100 * result.accuracy[-3:].mean()
    figure.description = (
        f"Batches of {number(batch_size)}, γ = {number(gamma)}, τ = {number(threshold)}: in an "
        f"average step {by_noise:.2g} % of the first layer's {averages.shape[1]:,} right weights "
        "(of 4,096; one is drawn) stand beyond τ, carried there by noise. In training a weight "
        f"flips {flips_per_epoch(result):.2g} times an epoch, and {accuracy:.0f} % of the held-out "
        "digits are right at the end."
    )
    return figure


def _look_back(axis, epochs):
    """How far back m looks, on the panels' scale of epochs."""
    axis.plot([0, min(epochs, EPOCHS)], [0, 0], color=INK, linewidth=4, solid_capstyle="butt")
    axis.text(0, 0.9, f"m looks back {_epochs(epochs)}", va="center", fontsize=9)
    axis.set(xlim=(0, EPOCHS), ylim=(-0.5, 1.5))
    axis.set_axis_off()


def _epochs(count):
    return f"{count:.2g} epochs" if f"{count:.2g}" != "1" else "1 epoch"


def _weight(axis, pull, average, threshold):
    """A steady weight's gradients and their average, and the wall that m must not cross."""
    shown = slice(0, 200)
    steps, limit = np.arange(200), 2e-3
    inside = np.abs(pull[shown]) < limit
    dots(axis, steps[inside], pull[shown][inside], color=FAINT)
    axis.plot(steps, average[shown], color=BOP)
    axis.axhline(threshold, color=LATENT, linewidth=1.4, linestyle=(0, (4, 2)))
    axis.set(xlim=(0, 200), ylim=(-limit, limit), xlabel="step", ylabel="pull to flip")
    axis.set_yticks([-0.002, -0.001, 0, 0.001, 0.002], ["−0.002", "−0.001", "0", "0.001", "0.002"])
    entries = (("w·g", MUTED), ("w·m", BOP), ("τ: beyond it w flips", LATENT))
    for x, (text, colour) in zip((0.0, 0.1, 0.21), entries, strict=True):
        axis.text(x, 1.02, text, transform=axis.transAxes, color=colour, va="bottom", fontsize=9)
    axis.set_title("A weight with the right sign, while nothing trains", fontsize=10, pad=18)


SCENE = Scene(
    "batch",
    draw,
    (
        Slider("batch_size", "batch size", SIZES, 100),
        Slider("gamma", "adaptivity rate γ", GAMMAS, 0.03, log=True),
        Slider("threshold", "threshold τ", THRESHOLDS, 3e-4, log=True),
    ),
)
