"""Compute the small network of `bopkit.book.toy`: predictions, and gradients of its weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bopkit import rules

_EPSILON = 1e-5
_SHARPNESS = 3.0  # logits of standard deviation 1 would leave even a sure answer at 90 %


class Hidden(NamedTuple):
    """Hold the arguments of the hidden units' sign, and the gradient that reaches them."""

    inputs: np.ndarray
    gradient: np.ndarray


def backward(images, labels, weights, running, shift=0.0, clip=1.0):
    """Compute the weights' gradients, the loss, the share right, and the hidden layer."""
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
    return [gradient_1, gradient_2], loss, right, Hidden(first, passed)


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


def predict(images, weights, running):
    """Recognize a digit in each image."""
    hidden = rules.sign((images @ weights[0] - running[0][0]) / running[0][1])
    return ((hidden @ weights[1] - running[1][0]) / running[1][1]).argmax(axis=1)
