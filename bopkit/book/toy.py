r"""Train a small binary network in NumPy, in a fraction of a second, on scikit-learn's digits.

The network has two layers of binary weights without biases. A batch normalization without
parameters follows each layer, so only the signs of the weights are trained:

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
from bopkit.book.toy_network import backward, predict
from bopkit.data import readers

BATCH_SIZE = 100

# Decorates what multiplies: products this small gain nothing from a second core, wait for it where
# it is busy, and would round otherwise with another number of cores.
on_one_core = ThreadpoolController().wrap(limits=1, user_api="blas")


class Run(NamedTuple):
    """Hold the curves and the final weights of one training run.

    Attributes:
        accuracy: top-1 on the held-out images after each epoch, in [0, 1]; (epochs,).
        train_accuracy: top-1 on the training batches of each epoch, in [0, 1]; (epochs,).
        loss: mean cross-entropy of each epoch's training batches, in nats; (epochs,).
        flip_ratio: share of the binary weights that flipped in each step; (steps,).
        weights: the binary weights at the end, one array per layer.

    Example:
        >>> run = train(NumPyBop(), epochs=2)
        >>> run.accuracy.shape, run.flip_ratio.shape
        ((2,), (28,))
    """

    accuracy: np.ndarray
    train_accuracy: np.ndarray
    loss: np.ndarray
    flip_ratio: np.ndarray
    weights: list[np.ndarray]


@cache
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Load the digits, scaled to [-1, 1], in a split that never changes.

    Returns:
        Training images (1437, 64) and labels, held-out images (360, 64) and labels.

    Example:
        >>> images, labels, held_out, held_out_labels = digits()
        >>> images.shape, held_out.shape
        ((1437, 64), (360, 64))
    """
    images, labels = readers.scikit_learns_digits()
    order = np.random.RandomState(0).permutation(len(images))
    images, labels = (images[order] / 8 - 1).astype(np.float32), labels[order]
    return images[360:], labels[360:], images[:360], labels[:360]


def start_weights(hidden: int = 64, seed: int = 0) -> list[np.ndarray]:
    """Draw the initial binary weights, each -1 or +1 with equal probability.

    Args:
        hidden: units of the hidden layer.
        seed: the seed of the draw.

    Returns:
        Two arrays, (64, hidden) and (hidden, 10).

    Example:
        >>> [weights.shape for weights in start_weights(hidden=32)]
        [(64, 32), (32, 10)]
    """
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

    Example:
        >>> train(NumPyBop(threshold=1e-3, gamma=[1e-2, 1e-3]), epochs=2).accuracy[-1] > 0.5
        True
    """

    def __init__(self, threshold: float = 1e-3, gamma: float | Sequence[float] = 1e-2):
        self.threshold, self.gamma = threshold, gamma
        self.momentum: dict[int, np.ndarray] = {}

    def step(self, layer: int, weights: np.ndarray, gradient: np.ndarray, epoch: int) -> np.ndarray:
        """Return the new weights of one layer."""
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

    Example:
        >>> train(NumPyBop2ndOrder(), epochs=2).accuracy[-1] > 0.5
        True
    """

    def __init__(
        self,
        threshold: float = 0.1,
        gamma: float | Sequence[float] = 2e-2,
        sigma: float = 2e-2,
    ):
        self.threshold, self.gamma, self.sigma = threshold, gamma, sigma
        self.averages: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def step(self, layer: int, weights: np.ndarray, gradient: np.ndarray, epoch: int) -> np.ndarray:
        """Return the new weights of one layer."""
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
    """Move latent weights by plain SGD; the network's weights are their signs.

    Args:
        learning_rate: η, in units of latent weight over gradient.
        scale: the latent weights begin uniform in [-scale, scale], their signs as `start_weights`.
        clip: the largest magnitude allowed; `None` for no clipping.

    Example:
        >>> train(LatentSGD(learning_rate=1.0), epochs=2).accuracy[-1] > 0.5
        True
    """

    def __init__(self, learning_rate: float = 0.1, scale: float = 1.0, clip: float | None = None):
        self.learning_rate, self.scale, self.clip = learning_rate, scale, clip
        self.latent: dict[int, np.ndarray] = {}

    def step(self, layer: int, weights: np.ndarray, gradient: np.ndarray, epoch: int) -> np.ndarray:
        """Return the new weights of one layer."""
        if layer not in self.latent:
            magnitude = np.random.RandomState(layer).uniform(0, 1, weights.shape)
            self.latent[layer] = self.scale * magnitude * weights
        self.latent[layer] = rules.latent_sgd_step(
            self.latent[layer], gradient, learning_rate=self.learning_rate, clip=self.clip
        )
        return rules.sign(self.latent[layer]).astype(weights.dtype)


@on_one_core
def train(
    optimizer: NumPyBop | NumPyBop2ndOrder | LatentSGD,
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
        optimizer: a `NumPyBop`, `NumPyBop2ndOrder` or `LatentSGD`, or another object with a method
            `step(layer, weights, gradient, epoch)` that returns the new weights.
        epochs: passes over the 1,437 training images; 14 steps each at the default batch.
        hidden: units of the hidden layer; the network has 74 binary weights for each.
        seed: of the first weights and of the order of the images.
        batch_size: images per step, at most 1,437; the rest of an epoch is not used.
        watch: called after each step with its number and the weights.
        data: images to train on, their labels, images to score on, their labels; `None` is
            `digits()`.

    Returns:
        A `Run`. The same arguments give the same numbers on one machine, however many of its cores
        are used.

    Raises:
        ValueError: as the optimizer's rule.

    Example:
        >>> run = train(NumPyBop(threshold=1e-3, gamma=1e-2), epochs=5)
        >>> run.accuracy[-1] > 0.8
        True
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
            gradients, loss, right, _ = backward(images[batch], labels[batch], weights, running)
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
        accuracy = np.mean(predict(held_out, weights, running) == held_out_labels)
        rows.append((accuracy, *np.mean(seen, axis=0)))
    accuracy, train_accuracy, loss = np.array(rows).T
    return Run(accuracy, train_accuracy, loss, np.array(flip_ratio), weights)


class Probe(NamedTuple):
    """Hold the loss and the gradients of one batch.

    Attributes:
        loss: mean cross-entropy, in nats.
        gradients: with respect to the binary weights, one array per layer.
        shift_gradient: the straight-through estimator's gradient for `shift`; (hidden,).
        inputs: the argument of each hidden unit's sign, shift included; (images, hidden).

    Example:
        >>> images, labels, *_ = digits()
        >>> found = probe(start_weights(hidden=32), images[:100], labels[:100])
        >>> found.shift_gradient.shape, found.inputs.shape
        ((32,), (100, 32))
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
        shift: a number that is added to the argument of the hidden units' sign, or (hidden,).
        clip: half the width of the straight-through estimator's window.

    Returns:
        A `Probe`.

    Example:
        >>> images, labels, *_ = digits()
        >>> found = probe(start_weights(hidden=32), images[:100], labels[:100])
        >>> [gradient.shape for gradient in found.gradients]
        [(64, 32), (32, 10)]
    """
    weights = [np.asarray(w, np.float64) for w in weights]
    running = [np.zeros((2, w.shape[1])) for w in weights]
    images = np.asarray(images, np.float64)
    gradients, loss, _, hidden = backward(images, labels, weights, running, shift, clip)
    return Probe(float(loss), gradients, hidden.gradient.sum(axis=0), hidden.inputs)
