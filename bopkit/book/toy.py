r"""A binary network small enough to train while a slider moves: NumPy, real digits, no TensorFlow.

Two layers of binary weights without biases, a batch normalization without parameters behind
each, so that there is nothing to train but signs:

.. math::

    h &= \operatorname{sign}(\operatorname{BN}(x\, W_1)), \qquad
    p = \operatorname{softmax}(3 \operatorname{BN}(h\, W_2))

The data are scikit-learn's digits: 1,797 images of 8x8, of which 360 are held out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from bopkit import rules
from bopkit.data import readers

BATCH_SIZE = 100
_EPSILON = 1e-5
_SHARPNESS = 3.0  # logits of standard deviation 1 would leave even a sure answer at 90 %

# Decorates what multiplies: products this small gain nothing from a second core, wait for it where
# it is busy, and would round otherwise with another number of cores.
on_one_core = ThreadpoolController().wrap(limits=1, user_api="blas")


class Run(NamedTuple):
    """What one training run leaves behind.

    Attributes:
        accuracy: top-1 on the held-out images after each epoch, in [0, 1]; (epochs,).
        train_accuracy: top-1 on the training batches of each epoch, in [0, 1]; (epochs,).
        loss: mean cross-entropy of each epoch's training batches, in nats; (epochs,).
        flip_ratio: binary weights that flipped over all binary weights, each step; (steps,).
        weights: the binary weights at the end, one array a layer.
    """

    accuracy: np.ndarray
    train_accuracy: np.ndarray
    loss: np.ndarray
    flip_ratio: np.ndarray
    weights: list[np.ndarray]


@cache
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The digits, scaled to [-1, 1], split once and for all.

    Returns:
        Training images (1437, 64) and labels, held-out images (360, 64) and labels.
    """
    images, labels = readers.scikit_learns_digits()
    order = np.random.RandomState(0).permutation(len(images))
    images, labels = (images[order] / 8 - 1).astype(np.float32), labels[order]
    return images[360:], labels[360:], images[:360], labels[:360]


def start_weights(hidden: int = 64, seed: int = 0) -> list[np.ndarray]:
    """Binary weights to begin with, -1 or +1 with equal chance; (64, hidden) and (hidden, 10)."""
    random = np.random.RandomState(seed)
    return [
        rules.sign(random.normal(size=shape).astype(np.float32))
        for shape in ((64, hidden), (hidden, 10))
    ]


class NumPyBop:
    """Move the network's weights by Bop: one average per layer, `bopkit.rules.bop_step`.

    Args:
        threshold: τ, in units of the gradient.
        gamma: γ; one number, or one for each epoch.
    """

    def __init__(self, threshold: float = 1e-3, gamma: float | Sequence[float] = 1e-2):
        self.threshold, self.gamma = threshold, gamma
        self.momentum: dict[int, np.ndarray] = {}

    def step(self, layer: int, weights, gradient, epoch: int):
        """The new weights of one layer."""
        update = rules.bop_step(
            weights,
            self.momentum.get(layer, np.zeros_like(weights)),
            gradient,
            threshold=self.threshold,
            gamma=_at(self.gamma, epoch),
        )
        self.momentum[layer] = update.momentum
        return update.weights


class NumPyBop2ndOrder:
    """Move the network's weights by Bop2ndOrder: two averages per layer, its `bopkit.rules` step.

    Args:
        threshold: τ, a share of the gradient's usual size.
        gamma: γ; one number, or one for each epoch.
        sigma: σ, the rate of the second moment.
    """

    def __init__(
        self,
        threshold: float = 0.1,
        gamma: float | Sequence[float] = 2e-2,
        sigma: float = 2e-2,
    ):
        self.threshold, self.gamma, self.sigma = threshold, gamma, sigma
        self.averages: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def step(self, layer: int, weights, gradient, epoch: int):
        """The new weights of one layer."""
        zeros = np.zeros_like(weights)
        update = rules.bop2ndorder_step(
            weights,
            *self.averages.get(layer, (zeros, zeros)),
            gradient,
            threshold=self.threshold,
            gamma=_at(self.gamma, epoch),
            sigma=self.sigma,
        )
        self.averages[layer] = update.momentum, update.square
        return update.weights


def _at(rate, epoch) -> float:
    """A rate that is one number, or one for each epoch."""
    return float(rate if np.ndim(rate) == 0 else rate[epoch])


class LatentSGD:
    """Latent weights under plain SGD: the weights are their signs.

    Args:
        learning_rate: η, in units of latent weight over gradient.
        scale: the latent weights begin uniform in [-scale, scale], their signs as `start_weights`.
        clip: the largest magnitude allowed; `None` for no clipping.
    """

    def __init__(self, learning_rate: float = 0.1, scale: float = 1.0, clip: float | None = None):
        self.learning_rate, self.scale, self.clip = learning_rate, scale, clip
        self.latent: dict[int, np.ndarray] = {}

    def step(self, layer: int, weights, gradient, epoch: int):
        """The new weights of one layer."""
        if layer not in self.latent:
            magnitude = np.random.RandomState(layer).uniform(0, 1, weights.shape)
            self.latent[layer] = self.scale * magnitude * weights
        self.latent[layer] = rules.latent_sgd_step(
            self.latent[layer], gradient, learning_rate=self.learning_rate, clip=self.clip
        )
        return rules.sign(self.latent[layer]).astype(weights.dtype)


@on_one_core
def train(
    optimizer,
    *,
    epochs: int = 10,
    hidden: int = 64,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    watch: Callable[[int, list[np.ndarray]], None] | None = None,
    data: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Run:
    """Train the network on the digits.

    Args:
        optimizer: what moves the weights: `NumPyBop`, `NumPyBop2ndOrder`, `LatentSGD`, or an object
            with the same `step(layer, weights, gradient, epoch)`.
        epochs: passes over the 1,437 training images; 14 steps each at the default batch.
        hidden: units of the hidden layer; the network has 74 binary weights for each.
        seed: of the first weights and of the order of the images.
        batch_size: images a step, at most 1,437; what is left of an epoch is not used.
        watch: called after each step with its number and the weights.
        data: images to train on, their labels, images to score on, theirs; `None`: `digits()`.

    Returns:
        A `Run`. The same arguments give the same numbers on one machine, however many of its cores
        are used.

    Raises:
        ValueError: as the optimizer's rule.
    """
    images, labels, held_out, held_out_labels = digits() if data is None else data
    weights = start_weights(hidden, seed)
    random = np.random.RandomState(seed + 1)
    running = [np.zeros((2, n), np.float32) for n in (hidden, 10)]
    size = sum(w.size for w in weights)
    rows, flip_ratio, step = [], [], 0
    for epoch in range(epochs):
        order = random.permutation(len(images))
        seen = []
        for start in range(0, len(order) - batch_size + 1, batch_size):
            batch = order[start : start + batch_size]
            gradients, loss, right, _ = _backward(images[batch], labels[batch], weights, running)
            new = [
                optimizer.step(layer, *pair, epoch)
                for layer, pair in enumerate(zip(weights, gradients, strict=True))
            ]
            flips = sum(np.count_nonzero(a != b) for a, b in zip(weights, new, strict=True))
            flip_ratio.append(flips / size)
            seen.append((right, loss))
            weights = new
            if watch is not None:
                watch(step, weights)
            step += 1
        accuracy = np.mean(_predict(held_out, weights, running) == held_out_labels)
        rows.append((accuracy, *np.mean(seen, axis=0)))
    accuracy, train_accuracy, loss = np.array(rows).T
    return Run(accuracy, train_accuracy, loss, np.array(flip_ratio), weights)


class Probe(NamedTuple):
    """What one batch says about a network that stands still.

    Attributes:
        loss: mean cross-entropy, in nats.
        gradients: with respect to the binary weights, one array a layer.
        shift_gradient: what the straight-through estimator reports for `shift`; (hidden,).
        inputs: what stands before the sign of each hidden unit, shift included; (images, hidden).
    """

    loss: float
    gradients: list[np.ndarray]
    shift_gradient: np.ndarray
    inputs: np.ndarray


@on_one_core
def probe(
    weights: list[np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    shift: float | np.ndarray = 0.0,
    clip: float = 1.0,
) -> Probe:
    """Measure loss and gradients on one batch, in double precision; nothing is trained.

    Args:
        weights: binary weights, as `start_weights` gives them.
        images: (images, 64).
        labels: (images,).
        shift: added to what stands before the hidden units' sign; a number or (hidden,).
        clip: half the width of the straight-through estimator's window.

    Returns:
        A `Probe`.
    """
    weights = [np.asarray(w, np.float64) for w in weights]
    running = [np.zeros((2, w.shape[1])) for w in weights]
    images = np.asarray(images, np.float64)
    gradients, loss, _, hidden = _backward(images, labels, weights, running, shift, clip)
    return Probe(float(loss), gradients, hidden.gradient.sum(axis=0), hidden.inputs)


class _Hidden(NamedTuple):
    """What stands before the hidden units' sign, and the gradient that reaches it."""

    inputs: np.ndarray
    gradient: np.ndarray


def _backward(images, labels, weights, running, shift=0.0, clip=1.0):
    """Gradients with respect to the binary weights, the loss, the share right, the hidden layer."""
    first, back_first = _normalize(images @ weights[0], running[0])
    first = first + shift
    hidden = rules.sign(first)
    second, back_second = _normalize(hidden @ weights[1], running[1])
    scores = _SHARPNESS * second
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances = scores / scores.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(chances[rows, labels] + 1e-12).mean()
    right = np.count_nonzero(chances.argmax(axis=1) == labels) / len(labels)
    # ∂L/∂scores of softmax and cross-entropy: (p - y) / n
    chances[rows, labels] -= 1
    back = back_second(_SHARPNESS * chances / len(labels))
    gradient_2 = hidden.T @ back
    # through the sign by the straight-through estimator
    passed = rules.ste_sign_gradient(first, back @ weights[1].T, clip=clip)
    # The columns of back_first(...) add up to 0, so that what all images share cancels. Taken off
    # first, it cancels exactly: a pixel that is blank in the whole batch has gradient 0, and not a
    # rounding error whose sign decides a flip at τ = 0.
    gradient_1 = (images - images.min(axis=0)).T @ back_first(passed)
    return [gradient_1, gradient_2], loss, right, _Hidden(first, passed)


def _normalize(values, running):
    """Batch normalization without parameters, and the function that takes a gradient back."""
    mean = _mean(values)
    centred = values - mean
    deviation = np.sqrt(_mean(centred * centred) + _EPSILON)
    # What the held-out images are normalized by: averages over about ten batches.
    pace = 1.0 if not running[1].any() else 0.1
    running[0] += pace * (mean - running[0])
    running[1] += pace * (deviation - running[1])
    normal = centred / deviation

    def back(gradient):
        centred = gradient - _mean(gradient)
        return (centred - normal * _mean(gradient * normal)) / deviation

    return normal, back


def _mean(values):
    # What `values.mean(axis=0)` does, whose wrapping takes as long as the sum of so small an array.
    return np.add.reduce(values, axis=0) / len(values)


def _predict(images, weights, running):
    """The digit that the network takes each image for."""
    hidden = rules.sign((images @ weights[0] - running[0][0]) / running[0][1])
    return ((hidden @ weights[1] - running[1][0]) / running[1][1]).argmax(axis=1)
