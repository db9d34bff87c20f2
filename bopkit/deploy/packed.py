"""Write a trained network to a file of one bit per binary weight, and read it back.

The file is NumPy's ``.npz``, a zip archive of arrays. Any NumPy reads it, and it holds no code.

======================  =====================================================================
member                  what it holds
======================  =====================================================================
``header``              uint8, JSON in UTF-8: ``format`` ("bopkit-packed"), ``version`` (1),
                        ``network`` (the layers, as Keras' ``model.to_json`` writes them) and
                        ``weights``, a list of ``[name, shape, bits]`` in the model's order
``0``, ``1``, ...       the weights, in that order: where ``bits`` is 1, uint8, eight weights
                        per byte, the first in the highest bit, 1 for +1 and 0 for -1, filled
                        up with 0; where ``bits`` is 32, float32 of the weight's shape
======================  =====================================================================

Of a latent weight the file holds the sign, because a prediction takes nothing else from it.

``network`` is for people and other programs. `load_packed` never builds a network from it, because
a description of layers can name code to run (see `bopkit.deploy.loading`).
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from pathlib import Path

import larq as lq
import numpy as np

from bopkit._files import whole_file
from bopkit._tensorflow import tf
from bopkit.deploy import archives
from bopkit.errors import ConfigError, DataError
from bopkit.optimizers.variables import is_binary_variable

FORMAT, VERSION = "bopkit-packed", 1
_LARGEST_HEADER = 64 * 2**20


def save_packed(model: tf.keras.Model, path: str | os.PathLike) -> int:
    """Write a network with one bit for each binary weight and float32 for everything else.

    The file is for predictions, so it leaves out the optimizer.

    Args:
        model: a built model, sequential or functional.
        path: the file; by custom its name ends in ``.npz``. It appears when it is complete.

    Returns:
        The file's size in bytes.

    Raises:
        DataError: a weight is NaN or infinite, or a layer uses a binary weight that is not -1 or
            +1, which its sign alone would not give back.
        OSError: the file cannot be written.

    Example:
        >>> network = bopkit.models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
        >>> size = bopkit.save_packed(network, "model.npz")  # bytes
        >>> size < 4 * network.count_params() / 4
        True
    """
    path = Path(path)
    weights, arrays = [], {}
    for number, variable in enumerate(model.weights):
        values = np.asarray(tf.convert_to_tensor(variable), np.float32)
        archives.require_finite("the network", [(variable.name, values)])
        one_bit = is_binary_variable(variable)
        weights.append([variable.name, list(values.shape), 1 if one_bit else 32])
        # sign(0) is +1, as in the quantizers
        arrays[str(number)] = np.packbits(values.ravel() >= 0) if one_bit else values
    require_signs(model)
    network = json.loads(model.to_json())
    header = {"format": FORMAT, "version": VERSION, "network": network, "weights": weights}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)
    return path.stat().st_size


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
    path, variables = Path(path), _variables(into)
    bits = [1 if is_binary_variable(v) else 32 for v in variables]
    shapes = [tuple(v.shape) for v in variables]
    damaged = (
        "is not a packed network, or is damaged: write it again with `bopkit export RUN` or "
        "bopkit.save_packed."
    )
    with archives.opened(path, damaged) as archive:
        header = json.loads(_array(archive, "header", np.uint8, None, _LARGEST_HEADER).tobytes())
        _check_header(path, header, shapes, bits)
        arrays = [
            _weight(archive, str(number), shape, width)
            for number, (shape, width) in enumerate(zip(shapes, bits, strict=True))
        ]
    archives.require_finite(path, zip((v.name for v in variables), arrays, strict=True))
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


def _check_header(path, header, shapes, bits):
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DataError(
            f"{path} is not a packed network, because its header does not name the format "
            f"{FORMAT}: name a file that `bopkit export` or bopkit.save_packed wrote."
        )
    if header.get("version") != VERSION:
        raise DataError(
            f"{path} has version {header.get('version')!r:.40} of the format, and this bopkit "
            f"reads version {VERSION}: write the file again with this bopkit."
        )
    there = [weight[1:] for weight in header["weights"]]  # without their names
    here = [[list(shape), width] for shape, width in zip(shapes, bits, strict=True)]
    if len(there) != len(here):
        raise DataError(
            f"{path} holds {len(there)} weights and the network has {len(here)}: build the network "
            "that was saved."
        )
    for number, (theirs, ours) in enumerate(zip(there, here, strict=True)):
        if theirs != ours:
            raise DataError(
                f"{path} holds weights of other shapes than the network: [shape, bits] of weight "
                f"{number} is {theirs!r:.60} there and {ours} here; build the network that was "
                "saved."
            )


def _weight(archive, name, shape, bits) -> np.ndarray:
    if bits == 32:
        return _array(archive, name, np.float32, shape, 4 * math.prod(shape))
    count = math.prod(shape)
    packed = _array(archive, name, np.uint8, (-(-count // 8),), -(-count // 8))
    return (np.unpackbits(packed, count=count).astype(np.float32) * 2 - 1).reshape(shape)


def _array(
    archive: zipfile.ZipFile, name: str, dtype: type, shape: tuple | None, largest: int
) -> np.ndarray:
    """One array, taken apart by hand: NumPy's own reader takes the memory that the file claims."""
    content = io.BytesIO(archives.read_member(archive, f"{name}.npy", largest + 4096))
    if np.lib.format.read_magic(content) != (1, 0):
        raise ValueError("of another version of NumPy's format")
    found, fortran, kind = np.lib.format.read_array_header_1_0(content)
    values = content.read()
    wanted = (len(values),) if shape is None else shape
    if kind != dtype or fortran or found != wanted:
        raise ValueError("of another type or shape")
    return np.frombuffer(values, dtype).reshape(wanted)  # which fails where values are missing
