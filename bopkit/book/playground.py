"""Prepare what the playground takes from Python: the digits as text, and a still picture.

The playground trains the network of `bopkit.book.toy` in the reader's browser. Its code is in
`book/_static/playground`.
"""

from __future__ import annotations

import json

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import rules
from bopkit.book import toy
from bopkit.book.style import BOP, FAINT, INK, STYLE, new_figure

EPOCHS = 20
GAMMA, THRESHOLD = 0.07, 0.0


def digits_script() -> str:
    """Write the digits as a script that sets `bopDigits`: a letter per pixel, a numeral per label.

    Returns:
        One line of JavaScript. The 360 held-out images come first; "A" is a pixel without ink and
        "Q" one of full ink.

    Example:
        >>> len(digits_script()) // 1000  # kilobytes, for 1,797 images of 64 pixels
        116
    """
    images, labels, held_out, held_out_labels = toy.digits()
    levels = np.rint((np.concatenate([held_out, images]) + 1) * 8).astype(np.uint8)
    pixels = (levels + ord("A")).tobytes().decode("ascii")
    names = "".join(map(str, np.concatenate([held_out_labels, labels])))
    return f"globalThis.bopDigits = {json.dumps({'pixels': pixels, 'labels': names})};\n"


class _Watched(toy.NumPyBop):
    """Bop that keeps how hard each weight of the first layer was pushed before it could flip."""

    def step(self, layer, weights, gradient, epoch):
        new = super().step(layer, weights, gradient, epoch)
        if layer == 0:
            self.push = (weights * self.momentum[0]).ravel()
            self.flipped = new != weights
        return new


def still() -> Figure:
    """Draw what the playground shows after its first run, for readers without JavaScript.

    Returns:
        A figure of four panels: accuracy by epoch, π_t by step, the first layer's weights and the
        histogram of w·m. Its `description` says what is to be seen.
    """
    bop = _Watched(THRESHOLD, GAMMA)
    run = toy.train(bop, epochs=EPOCHS)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(8, 5, 2, 2)
        (accuracy, flips), (weights, pushes) = axes
        epochs = np.arange(1, EPOCHS + 1)
        accuracy.plot(epochs, 100 * run.train_accuracy, color=BOP, linewidth=0.9)
        accuracy.plot(epochs, 100 * run.accuracy, color=BOP)
        accuracy.set(ylim=(0, 100), xlabel="epoch")
        accuracy.set_title("Digits right (%); training: thin")
        flips.plot(rules.log_flip_ratio(run.flip_ratio), color=BOP, linewidth=1)
        flips.set(ylim=(-9.4, 0), xlabel="step")
        flips.set_title("πₜ, log share of weights that flip")
        _tiles(weights, run.weights[0], bop.flipped)
        bins = np.linspace(-1, 1, 61) * np.abs(bop.push).max()
        pushes.hist(bop.push, bins, color=FAINT)
        pushes.hist(bop.push[bop.push > THRESHOLD], bins, color=BOP)
        pushes.axvline(THRESHOLD, color=INK, linewidth=1.2)
        pushes.set_title("w·m before the last step; right of τ: flips")
    figure.description = (
        f"Bop with γ = {GAMMA} and τ = 0 on the digits: after {EPOCHS} epochs "
        f"{run.accuracy[-1]:.0%} of the held-out digits are right, and in an average step of the "
        f"last epoch {run.flip_ratio[-14:].mean():.1%} of the 4,736 weights flip."
    )
    return figure


def _tiles(axis, weights, flipped):
    """The first layer: one tile of 8x8 pixels for each of the 64 hidden units."""

    def tile(values):
        return values.reshape(8, 8, 8, 8).transpose(2, 0, 3, 1).reshape(64, 64)

    shades = np.where(tile(weights)[..., None] > 0, 0.93, 0.73) * np.ones(3)
    shades[tile(flipped)] = mpl.colors.to_rgb(BOP)
    axis.imshow(shades, interpolation="nearest")
    axis.set_axis_off()
    axis.set_title("First layer; blue: flipped in the last step")
