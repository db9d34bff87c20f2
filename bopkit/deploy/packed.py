"""A trained network in a file of one bit a binary weight, and back.

The file is NumPy's ``.npz``, a zip archive of arrays. Any NumPy reads it, and it holds no code.

======================  =====================================================================
member                  what it holds
======================  =====================================================================
``header``              uint8, JSON in UTF-8: ``format`` ("bopkit-packed"), ``version`` (1),
                        ``network`` (the layers, as Keras' ``model.to_json`` writes them) and
                        ``weights``, a list of ``[name, shape, bits]`` in the model's order
``0``, ``1``, ...       the weights, in that order: where ``bits`` is 1, uint8, eight weights a
                        byte, the first in the highest bit, 1 for +1 and 0 for -1, filled up
                        with 0; where it is 32, float32 of the weight's shape
======================  =====================================================================

Latent weights are stored as their signs, which is all that a prediction takes from them.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np

from bopkit._files import whole_file
from bopkit._tensorflow import tf
from bopkit.deploy import loading
from bopkit.errors import DataError
from bopkit.optimizers.variables import is_binary_variable

FORMAT, VERSION = "bopkit-packed", 1
_LARGEST_HEADER = 64 * 2**20


def save_packed(model: tf.keras.Model, path: str | os.PathLike) -> int:
    """Write a network with one bit for each binary weight and float32 for all else.

    The optimizer is left out: the file is for predictions.

    Args:
        model: a built model of layers that `bopkit.load_model` loads.
        path: the file; by custom it ends in ``.npz``. It is there when it is whole.

    Returns:
        The file's size in bytes.

    Raises:
        DataError: the model holds what `load_packed` would refuse, or a weight is NaN.
        OSError: the file cannot be written.
    """
    path = Path(path)
    network = json.loads(model.to_json())
    loading.check_config("this network", network)
    binary = {id(v) for v in model.weights if is_binary_variable(v)}
    weights, arrays = [], {}
    for number, variable in enumerate(model.weights):
        values = np.asarray(tf.convert_to_tensor(variable), np.float32)
        if np.isnan(values).any():
            raise DataError(f"{variable.name} holds NaN: there is nothing to keep of this network.")
        one_bit = id(variable) in binary
        weights.append([variable.name, list(values.shape), 1 if one_bit else 32])
        # sign(0) is +1, as the quantizers have it
        arrays[str(number)] = np.packbits(values.ravel() >= 0) if one_bit else values
    header = {"format": FORMAT, "version": VERSION, "network": network, "weights": weights}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)
    return path.stat().st_size


def load_packed(path: str | os.PathLike) -> tf.keras.Model:
    """Read what `save_packed` wrote: a network that predicts what the saved one did, bit for bit.

    Whoever made the file, nothing in it is run.

    Args:
        path: the file.

    Returns:
        The network, not compiled.

    Raises:
        DataError: the file cannot be read, is damaged or of another kind, or holds layers that
            `bopkit.load_model` would refuse.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("header.npy").file_size > _LARGEST_HEADER:
                raise DataError(f"{path} has a header of more than 64 MB.")
            header = json.loads(bytes(_member(archive, "header")))
            network, weights = _check_header(path, header)
            # The layers, and with them the shapes, before the arrays: no array is read that is
            # larger than the network it says it is of.
            model = loading.build(path, network)
            _fill(path, archive, model, weights)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or 'it is damaged'}.") from error
    except (*loading.DAMAGED, KeyError, ValueError, RecursionError, NotImplementedError) as e:
        raise DataError(
            f"{path} is not a packed network, or is damaged: write it again with "
            "`bopkit export RUN --format packed`."
        ) from e
    return model


def _member(archive, name):
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_header(path, header):
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DataError(f"{path} is not a packed network: its header says otherwise.")
    if header.get("version") != VERSION:
        raise DataError(
            f"{path} is of version {header.get('version')!r} of the format; this bopkit reads "
            f"version {VERSION}."
        )
    return header["network"], header["weights"]


def _fill(path, archive, model, weights):
    shapes = [list(v.shape) for v in model.weights]
    bits = [1 if is_binary_variable(v) else 32 for v in model.weights]
    given = [(list(shape), width) for _, shape, width in weights]
    if given != list(zip(shapes, bits, strict=True)):
        raise DataError(f"{path} holds weights of other shapes than its layers have.")
    for number, variable in enumerate(model.weights):
        count, one_bit = variable.shape.num_elements(), bits[number] == 1
        expected = -(-count // 8) if one_bit else 4 * count
        if archive.getinfo(f"{number}.npy").file_size > expected + 4096:
            raise ValueError("an array is longer than its layer's")
        values = _member(archive, str(number))
        if one_bit and (values.dtype != np.uint8 or values.shape != (expected,)):
            raise ValueError("not packed bits")
        if not one_bit and (values.dtype != np.float32 or values.shape != tuple(variable.shape)):
            raise ValueError("not float32")
        if one_bit:
            signs = np.unpackbits(values, count=count).astype(np.float32) * 2 - 1
            values = signs.reshape(variable.shape)
        variable.assign(values)
