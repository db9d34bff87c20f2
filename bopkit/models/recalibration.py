"""Recalibrate batch normalization, whose averages lag behind weights that flip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from bopkit._tensorflow import tf
from bopkit.errors import ConfigError


def recalibrate(model: tf.keras.Model, batches: Iterable) -> int:
    r"""Replace the averages of each batch normalization by averages for the current weights.

    .. math::

        \mu = \frac{1}{B} \sum_{b=1}^{B} \mu_b, \qquad
        \sigma^2 = \frac{1}{B} \sum_{b=1}^{B} \sigma_b^2

    where :math:`\mu_b` and :math:`\sigma_b^2` are the mean and the variance of batch :math:`b`. The
    averages that training leaves belong to weights of the last steps: about a hundred steps with
    Keras' momentum of 0.99. A weight that has flipped since makes them wrong, so accuracy on
    held-out images is lower than it could be. No trainable weight changes.

    Args:
        model: a network of Keras, as :math:`\gamma` and :math:`\tau` left it.
        batches: batches of training images, prepared and batched as in training, or pairs of
            images and labels. About 50 batches are enough. An endless pipeline must be cut, as in
            ``data.train_batches(100, seed=0, epochs=1).take(50)``.

    Returns:
        The number of batches.

    Raises:
        ConfigError: there is no batch, or no batch normalization that is not frozen. After any
            error the averages are those of before.

    Example:
        >>> network = bopkit.models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
        >>> batches = bopkit.data.load("digits", image_size=16).train_batches(100, seed=0, epochs=1)
        >>> bopkit.models.recalibrate(network, batches)
        14
    """
    layers = tf.keras.layers
    kinds = (layers.BatchNormalization, layers.experimental.SyncBatchNormalization)
    norms = [layer for layer in model.submodules if isinstance(layer, kinds) and layer.trainable]
    if not norms:
        raise ConfigError(
            f"recalibrate needs a batch normalization that is not frozen; {model.name} has none."
        )
    with _as_before(norms):
        count = 0
        for batch in batches:
            images = batch[0] if isinstance(batch, tuple | list) else batch
            for norm in norms:
                # μ_n = n/(n+1) μ_{n-1} + 1/(n+1) μ_b is the mean of the first n+1 batches.
                norm.momentum = count / (count + 1)
            model(images, training=True)
            count += 1
        if not count:
            raise ConfigError("recalibrate needs at least one batch of training images; got none.")
    return count


@contextlib.contextmanager
def _as_before(norms):
    """Put every momentum back, and after an error the averages too."""
    momenta = [norm.momentum for norm in norms]
    averages = [norm.non_trainable_weights for norm in norms]
    values = [[variable.numpy() for variable in of_norm] for of_norm in averages]
    try:
        yield
    except BaseException:  # Ctrl-C too
        for of_norm, kept in zip(averages, values, strict=True):
            for variable, value in zip(of_norm, kept, strict=True):
                variable.assign(value)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
