"""Rewrite a network for Larq's converter: only float32, larq's quantizers and convolutions."""

from __future__ import annotations

import numpy as np

from bopkit import rules
from bopkit.models.layers import QuantConv2D
from bopkit.optimizers.variables import is_binary_variable

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq

layers = tf.keras.layers


def in_float32(model: tf.keras.Model) -> tf.keras.Model:
    """Make a network of the same layers and weights that computes in float32 throughout.

    Args:
        model: a network of any precision.

    Returns:
        `model` itself if it computes in float32 already; otherwise a new network.
    """
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    twin = type(model).from_config(_without_policies(model.get_config()))
    twin.set_weights(model.get_weights())
    return twin


def _without_policies(value):
    if isinstance(value, list | tuple):
        return type(value)(map(_without_policies, value))
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "Policy":
        return "float32"
    return {key: _without_policies(item) for key, item in value.items()}


def as_convolutions(model: tf.keras.Model) -> tuple[tf.keras.Model, tuple[str, ...]]:
    """Rewrite binary dense layers as convolutions, because the converter packs only convolutions.

    A dense layer behind `Flatten` is a convolution whose window is the whole picture, and each
    later one is a convolution of 1x1. The new kernels hold the signs of the old ones.

    Only the dense layers of a `Sequential` network are rewritten.

    Args:
        model: a network that computes in float32, with one input, whose binary weights are -1 and
            +1 or latent weights. It is not changed.

    Returns:
        A network of the same predictions, with inputs and outputs of the same shapes, and the names
        of the binary layers that take more than one bit per weight in the file: layers with real
        inputs, and the dense layers of a network that is not `Sequential`.

    Raises:
        AttributeError: the name of an input quantizer's class is not that of one of larq's.

    Example:
        >>> network = bopkit.models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
        >>> rewritten, wide = as_convolutions(network)
        >>> kinds = [type(layer).__name__ for layer in rewritten.layers]
        >>> kinds.count("QuantConv2D"), kinds.count("QuantDense")  # six were convolutions before
        (9, 0)
        >>> wide == (network.layers[0].name,)  # the first layer, whose inputs are pixels
        True
    """
    if isinstance(model, tf.keras.Sequential):
        twin = _rewritten(model)
    else:
        twin = tf.keras.models.clone_model(model, clone_function=_plain)
        for old, new in zip(model.layers, twin.layers, strict=True):
            _set_weights(new, old)
    quantized = (lq.layers.QuantConv2D, lq.layers.QuantDense)
    wide = [
        layer.name
        for layer in twin.layers
        if isinstance(layer, quantized)
        and is_binary(model.get_layer(layer.name))
        and (layer.input_quantizer is None or isinstance(layer, lq.layers.QuantDense))
    ]
    return twin, tuple(wide)


def is_binary(layer: tf.keras.layers.Layer) -> bool:
    """Tell whether a layer has a binary kernel, frozen or not."""
    return any(is_binary_variable(v) for v in layer.weights)


def _rewritten(model):
    x = inputs = layers.Input(model.input_shape[1:])
    window = None  # the picture's size, between a Flatten that was left out and the next layer
    for layer in model.layers:
        if isinstance(layer, layers.Flatten) and len(x.shape) == 4:
            window = tuple(x.shape[1:3])
            continue
        if window and isinstance(layer, lq.layers.QuantDense) and is_binary(layer):
            twin, window = _plain(layer, lq.layers.QuantConv2D, window), (1, 1)
        else:
            if window and not isinstance(layer, layers.BatchNormalization):
                x, window = layers.Flatten()(x), None
            twin = _plain(layer)
        x = twin(x)
        _set_weights(twin, layer)
    return tf.keras.Model(inputs, layers.Flatten()(x) if window else x, name=model.name)


def _plain(layer, kind=None, window=None):
    """Make a layer of the same settings from classes that the converter knows."""
    config = layer.get_config()
    if window:
        config |= {"filters": config.pop("units"), "kernel_size": window, "padding": "valid"}
    if isinstance(layer, layers.BatchNormalization):
        # The axis counts from the front, and a convolution has two more axes than a dense layer.
        config["axis"] = -1
    if is_binary(layer):
        config |= {"kernel_quantizer": None, "kernel_constraint": None}
        config["kernel_initializer"] = "zeros"
    if (quantizer := getattr(layer, "input_quantizer", None)) is not None:
        larqs = getattr(lq.quantizers, type(quantizer).__name__)
        config["input_quantizer"] = larqs.from_config(quantizer.get_config())
    own = lq.layers.QuantConv2D if isinstance(layer, QuantConv2D) else type(layer)
    return (kind or own).from_config(config)


def _set_weights(twin, layer):
    values = [
        rules.sign(v.numpy()) if is_binary_variable(v) else np.asarray(v) for v in layer.weights
    ]
    twin.set_weights(
        [value.reshape(v.shape) for value, v in zip(values, twin.weights, strict=True)]
    )
