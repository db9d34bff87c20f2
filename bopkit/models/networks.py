"""Build the paper's four networks, layer by layer as in its released code.

Each function returns an uncompiled Keras model. With ``method="bop"`` the binary kernels hold -1
and +1. ``method="latent"`` is the usual baseline: a kernel is the sign of real-valued latent
weights that are clipped to [-1, 1]. With ``method="leaking"`` the latent weights start near zero
and are not clipped. All other layers are the same for the three methods.
"""

from __future__ import annotations

from bopkit._tensorflow import tf  # isort: skip  (before larq, which fails under Keras 3 at length)
import larq as lq

from bopkit._support.numbers import check_whole, is_whole
from bopkit.errors import ConfigError, unknown
from bopkit.models.layers import QuantConv2D
from bopkit.models.pieces import batch_norm, binary_kernel, softmax
from bopkit.models.quantizers import ApproxSign, SteSign

layers = tf.keras.layers
Shape = tuple[int, int, int]  # height, width, channels


def binarynet(
    input_shape: Shape,
    num_classes: int,
    *,
    method: str = "bop",
    filters: int = 128,
    dense_units: int = 1024,
) -> tf.keras.Model:
    """Build BinaryNet: six binary convolutions and three binary dense layers (CIFAR-10).

    Args:
        input_shape: (height, width, channels); the paper's is (32, 32, 3), and height and
            width must be at least 10.
        num_classes: the number of classes, at least 2.
        method: "bop", "latent" or "leaking".
        filters: channels of the first two convolutions; the others have 2 and 4 times as
            many. The paper's is 128.
        dense_units: units of the first two dense layers; the paper's is 1024.

    Returns:
        A `tf.keras.Sequential`; at the paper's sizes 10,363,550 parameters, 10,352,000 of
        them binary.

    Raises:
        ConfigError: the method is unknown, a number is out of range, or the images are too small.

    Source:
        Hubara et al. 2016; section 5.2 of arXiv:1906.02107.

    Example:
        >>> count_weights(binarynet((32, 32, 3), 10))
        (10363550, 10352000)
    """
    check_input("binarynet", input_shape, num_classes)
    filters = check_whole("filters", filters, least=1)
    dense_units = check_whole("dense_units", dense_units, least=1)
    kernel = binary_kernel(method)
    inner = {"input_quantizer": SteSign(), "padding": "same", **kernel}
    dense = {"input_quantizer": SteSign(), **kernel}

    def norm():
        return batch_norm(scale=False)

    model = [
        layers.Input(input_shape),
        QuantConv2D(filters, 3, padding="valid", **kernel),
        norm(),
    ]
    for width, pool in ((1, True), (2, False), (2, True), (4, False), (4, True)):
        model.append(QuantConv2D(width * filters, 3, **inner))
        if pool:
            model.append(layers.MaxPool2D(2))
        model.append(norm())
    model.append(layers.Flatten())
    for units in (dense_units, dense_units, num_classes):
        model += [lq.layers.QuantDense(units, **dense), norm()]
    return tf.keras.Sequential([*model, softmax()], name="binarynet")


def binary_alexnet(input_shape: Shape, num_classes: int, *, method: str = "bop") -> tf.keras.Model:
    """Build Binary AlexNet, in which every convolution and dense layer is binary.

    Args:
        input_shape: (height, width, channels); the paper's is (224, 224, 3).
        num_classes: the number of classes; the paper's is 1000.
        method: "bop", "latent" or "leaking".

    Returns:
        A `tf.keras.Sequential`; at the paper's sizes 61,869,664 parameters, 61,827,776 of
        them binary.

    Raises:
        ConfigError: the method is unknown, a number is out of range, or the images are too small.

    Source:
        Hubara et al. 2016; section 5.3 of arXiv:1906.02107.

    Example:
        >>> network = bopkit.models.binary_alexnet((64, 64, 3), 10)  # small photographs
        >>> bopkit.models.count_weights(network)
        (21110504, 21072576)
    """
    check_input("binary_alexnet", input_shape, num_classes)
    kernel = binary_kernel(method)
    inner = {"input_quantizer": SteSign(), **kernel}

    def norm():
        return batch_norm(momentum=0.9)

    model = [
        layers.Input(input_shape),
        QuantConv2D(64, 11, strides=4, padding="same", **kernel),
        layers.MaxPool2D(3, 2),
        norm(),
    ]
    for filters, size, pool in ((192, 5, True), (384, 3, False), (384, 3, False), (256, 3, True)):
        model.append(QuantConv2D(filters, size, padding="same", **inner))
        if pool:
            model.append(layers.MaxPool2D(3, 2))
        model.append(norm())
    model.append(layers.Flatten())
    for units in (4096, 4096, num_classes):
        model += [lq.layers.QuantDense(units, **inner), norm()]
    return tf.keras.Sequential([*model, softmax()], name="binary_alexnet")


def xnornet(input_shape: Shape, num_classes: int, *, method: str = "bop") -> tf.keras.Model:
    """Build XNOR-Net: a binary AlexNet whose first and last layers are real-valued.

    Args:
        input_shape: (height, width, channels); the paper's is (224, 224, 3).
        num_classes: the number of classes; the paper's is 1000.
        method: "bop", "latent" or "leaking".

    Returns:
        A `tf.keras.Sequential`; at the paper's sizes 62,406,432 parameters, 58,236,928 of
        them binary. The first and last kernels carry an L2 penalty of 5e-7.

    Raises:
        ConfigError: the method is unknown, a number is out of range, or the images are too small.

    Source:
        Rastegari et al. 2016; section 5.3 of arXiv:1906.02107.

    Example:
        >>> network = bopkit.models.xnornet((224, 224, 3), 10)
        >>> network.output_shape
        (None, 10)
    """
    check_input("xnornet", input_shape, num_classes)
    binary = {"input_quantizer": SteSign(), **binary_kernel(method)}
    penalty = tf.keras.regularizers.l2(5e-7)

    def norm(epsilon=1e-4):
        return batch_norm(momentum=0.9, epsilon=epsilon)

    def conv(filters, size, padding="same"):
        return QuantConv2D(filters, size, padding=padding, **binary)

    return tf.keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(
                96, 11, strides=4, padding="same", use_bias=False, kernel_regularizer=penalty
            ),
            norm(1e-5),
            layers.ReLU(),
            layers.MaxPool2D(3, 2),
            norm(),
            *(conv(256, 5), layers.MaxPool2D(3, 2), norm()),
            *(conv(384, 3), norm()),
            *(conv(384, 3), norm()),
            *(conv(256, 3), layers.MaxPool2D(3, 2), norm()),
            *(conv(4096, 6, "valid"), norm()),
            *(conv(4096, 1), norm(1e-3), layers.ReLU(), layers.Flatten()),
            layers.Dense(num_classes, use_bias=False, kernel_regularizer=penalty),
            softmax(),
        ],
        name="xnornet",
    )


def birealnet(input_shape: Shape, num_classes: int, *, method: str = "bop") -> tf.keras.Model:
    """Build Bi-Real Net: a binary ResNet-18 with a shortcut around every binary convolution.

    Args:
        input_shape: (height, width, channels); the paper's is (224, 224, 3).
        num_classes: the number of classes; the paper's is 1000.
        method: "bop", "latent" or "leaking".

    Returns:
        A `tf.keras.Model`; at the paper's sizes 11,699,112 parameters, 10,985,472 of them
        binary.

    Raises:
        ConfigError: the method is unknown, a number is out of range, or the images are too small.

    Source:
        Liu et al. 2018; section 5.3 of arXiv:1906.02107.

    Example:
        >>> network = bopkit.models.birealnet((64, 64, 3), 10)  # small photographs
        >>> bopkit.models.count_weights(network)
        (11191242, 10985472)
    """
    check_input("birealnet", input_shape, num_classes)
    kernel = {
        "input_quantizer": ApproxSign(),
        "padding": "same",
        **binary_kernel(method, "glorot_normal"),
    }

    def norm(x):
        return batch_norm(momentum=0.8)(x)

    def real_conv(filters, size, **kwargs):
        return layers.Conv2D(
            filters, size, use_bias=False, kernel_initializer="glorot_normal", **kwargs
        )

    def block(x, filters, strides):
        shortcut = x
        if strides > 1:
            shortcut = layers.AveragePooling2D(strides, padding="same")(x)
            shortcut = norm(real_conv(filters, 1)(shortcut))
        x = norm(QuantConv2D(filters, 3, strides=strides, **kernel)(x))
        return layers.Add()([x, shortcut])

    inputs = layers.Input(input_shape)
    x = norm(real_conv(64, 7, strides=2, padding="same")(inputs))
    x = layers.MaxPool2D(3, 2, padding="same")(x)
    for filters in (64, 128, 256, 512):
        for index in range(4):
            x = block(x, filters, strides=2 if index == 0 and filters > 64 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(num_classes)(x)
    return tf.keras.Model(inputs, softmax()(x), name="birealnet")


NETWORKS = {f.__name__: f for f in (binarynet, binary_alexnet, xnornet, birealnet)}

# The smallest height and width that leaves a pixel after the last pool.
MINIMUM_SIZE = {"binarynet": 10, "binary_alexnet": 57, "xnornet": 217, "birealnet": 32}


def count_weights(model: tf.keras.Model) -> tuple[int, int]:
    """Count the parameters of a model, and how many of them are binary.

    Args:
        model: a built Keras model.

    Returns:
        (all parameters, binary weights). Frozen layers count too, and batch normalization's
        running mean and variance count as parameters, as in `model.count_params()`.

    Example:
        >>> network = bopkit.models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
        >>> parameters, binary = bopkit.models.count_weights(network)
        >>> f"{binary / parameters:.0%} of the parameters are binary"
        '98% of the parameters are binary'
    """
    binary = sum(
        v.shape.num_elements() for v in model.weights if getattr(v, "precision", None) == 1
    )
    return model.count_params(), binary


def check_input(network: str, input_shape: Shape, num_classes: int) -> None:
    """Refuse images that are too small for the pools of a network.

    Args:
        network: a name of `NETWORKS`.
        input_shape: (height, width, channels).
        num_classes: the number of classes.

    Raises:
        ConfigError: the network is unknown, the images are too small or of another form, or
            the classes are too few.

    Example:
        >>> bopkit.models.check_input("birealnet", (64, 64, 3), 10)
        >>> bopkit.models.check_input("birealnet", (28, 28, 1), 10)
        Traceback (most recent call last):
        bopkit.errors.ConfigError: birealnet needs images of (height, width, channels) with at
        least 32 by 32 pixels; got (28, 28, 1).
    """
    if network not in MINIMUM_SIZE:
        raise ConfigError(unknown("network", network, MINIMUM_SIZE))
    check_whole("num_classes", num_classes, least=2)
    size = MINIMUM_SIZE[network]
    shape = tuple(input_shape) if isinstance(input_shape, list | tuple) else ()
    whole = all(is_whole(n) and n >= 1 for n in shape)
    if len(shape) != 3 or not whole or min(shape[:2]) < size:
        raise ConfigError(
            f"{network} needs images of (height, width, channels) with at least {size} by "
            f"{size} pixels; got {input_shape!r}."
        )
