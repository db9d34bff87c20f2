"""Write a trained network to a file of one bit per binary weight, and read it back.

The file is NumPy's ``.npz``, a ZIP archive of arrays. Any NumPy reads it, and it holds no code.

======================  =====================================================================
member                  what it holds
======================  =====================================================================
``header``              uint8, JSON in UTF-8: ``format`` ("bopkit-packed"), ``version`` (1),
                        ``network`` (the layers, as Keras' ``model.to_json`` writes them) and
                        ``weights``, a list of ``[name, shape, bits]`` in the model's order
``0``, ``1``, ...       the weights, in that order. If ``bits`` is 32, they are float32 of the
                        weight's shape. If ``bits`` is 1, they are uint8, with eight weights
                        per byte, the first in the highest bit, 1 for +1 and 0 for -1, and the
                        last byte filled up with 0
======================  =====================================================================

Of a latent weight the file holds the sign, because a prediction takes nothing else from it.

``network`` is for people and other programs. `load_packed` never builds a network from it, because
a description of layers can name code to run (see `bopkit.deploy.loading`).
"""

from __future__ import annotations

import json
import os

import larq as lq
import numpy as np

from bopkit._tensorflow import tf
from bopkit.deploy import archives, packed_file
from bopkit.errors import ConfigError, DataError
from bopkit.optimizers.variables import is_binary_variable


def save_packed(model: tf.keras.Model, path: str | os.PathLike) -> int:
    """Write a network with one bit for each binary weight and float32 for everything else.

    The file is for predictions, so it leaves out the optimizer.

    Args:
        model: a built model, sequential or functional.
        path: the file; by custom its name ends in ``.npz``. It appears when it is complete.

    Returns:
        The file's size in bytes.

    Raises:
        DataError: a weight is NaN or infinite, float32 cannot hold it, or a layer uses a binary
            weight that is not -1 or +1, because the file keeps only its sign.
        OSError: the file cannot be written.

    Example:
        >>> network = bopkit.models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
        >>> size = bopkit.save_packed(network, "model.npz")  # bytes
        >>> size < network.count_params()  # float32 takes four bytes per number
        True
    """
    weights = [
        (
            variable.name,
            np.asarray(tf.convert_to_tensor(variable)),
            1 if is_binary_variable(variable) else 32,
        )
        for variable in model.weights
    ]
    archives.require_finite("the network", ((name, values) for name, values, _ in weights))
    require_signs(model)
    return packed_file.write(path, json.loads(model.to_json()), weights)


def require_signs(model: tf.keras.Model) -> None:
    """Refuse a network that computes with anything but -1 and +1 where it is binary.

    Raises:
        DataError: a binary weight is something else.
    """
    for variable in filter(is_binary_variable, model.weights):
        # The layer sees what the quantizer makes of it: of a latent weight, its sign.
        with lq.context.quantized_scope(True):
            used = np.asarray(tf.convert_to_tensor(variable), np.float32)
        if not (np.abs(used) == 1).all():
            raise DataError(
                f"the network uses values other than -1 and +1 in {variable.name}, which one bit "
                "cannot keep: assign the signs, or train the network again."
            )


def load_packed(path: str | os.PathLike, into: tf.keras.Model) -> tf.keras.Model:
    """Fill a network with the weights that `save_packed` wrote.

    The network then predicts what the saved one did, bit for bit. Nothing in the file is run,
    whoever made it. If the file is refused, the network stays as it was.

    Args:
        path: the file.
        into: a built model of the same layers and sizes as the saved one.

    Returns:
        `into`, with the weights of the file.

    Raises:
        ConfigError: `into` is no built model.
        DataError: the file cannot be read, is damaged, of another kind or version, or of a network
            with other weights.

    Example:
        >>> build = lambda: bopkit.models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
        >>> network = build()
        >>> size = bopkit.save_packed(network, "model.npz")
        >>> copy = bopkit.load_packed("model.npz", into=build())
        >>> all(map(np.array_equal, network.get_weights(), copy.get_weights()))
        True
    """
    variables = _variables(into)
    bits = [1 if is_binary_variable(v) else 32 for v in variables]
    shapes = [tuple(v.shape) for v in variables]
    arrays = packed_file.read(path, [v.name for v in variables], shapes, bits)
    for variable, values in zip(variables, arrays, strict=True):
        variable.assign(values)
    return into


def _variables(model) -> list[tf.Variable]:
    try:
        return list(model.weights)
    except (AttributeError, ValueError) as error:  # Keras: its weights "have not yet been created"
        raise ConfigError(
            "into must be a built Keras model, such as bopkit.models.binarynet((32, 32, 3), 10); "
            f"got {type(model).__name__}."
        ) from error
