"""Write and read the packed format; `bopkit.deploy.packed` describes it. No TensorFlow here."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Sequence

import numpy as np

from bopkit._support.files import whole_file, with_home
from bopkit.deploy import archives
from bopkit.errors import DataError

FORMAT, VERSION = "bopkit-packed", 1
_LARGEST_HEADER = 64 * 2**20


def write(
    path: str | os.PathLike, network: dict, weights: Sequence[tuple[str, np.ndarray, int]]
) -> int:
    """Write the weights of a network, in its order.

    Args:
        path: the file. It appears when it is complete.
        network: a description of the layers, for people and other programs.
        weights: name, finite values and bits (1 or 32) of each weight.

    Returns:
        The file's size in bytes.

    Raises:
        DataError: a weight of 32 bits holds a number that float32 cannot hold.
        OSError: the file cannot be written.
    """
    path, arrays = with_home(path, DataError), {}
    for number, (name, values, bits) in enumerate(weights):
        # sign(0) is +1, as in the quantizers
        kept = np.packbits(values.ravel() >= 0) if bits == 1 else values.astype(np.float32)
        if bits == 32 and not (kept.astype(values.dtype) == values).all():
            raise DataError(
                f"{name} is {values.dtype} and holds numbers that float32, the type in the file, "
                "would round: build the network in float32, and copy the weights."
            )
        arrays[str(number)] = kept
    listed = [[name, list(values.shape), bits] for name, values, bits in weights]
    header = {"format": FORMAT, "version": VERSION, "network": network, "weights": listed}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)
    return path.stat().st_size


def read(
    path: str | os.PathLike,
    names: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
    bits: Sequence[int],
) -> list[np.ndarray]:
    """Read the weights of a network whose shapes are known.

    Args:
        path: the file.
        names: of each weight, in the network's order, for messages.
        shapes: of each weight.
        bits: of each weight, 1 or 32.

    Returns:
        float32 arrays of these shapes.

    Raises:
        DataError: the file cannot be read, is damaged, of another kind or version, or of a network
            with other weights.
    """
    path = with_home(path, DataError)
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
    archives.require_finite(path, zip(names, arrays, strict=True))
    return arrays


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
