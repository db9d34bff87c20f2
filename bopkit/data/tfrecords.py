"""Whether the files that TFDS prepared are whole, seen from their lengths. No TensorFlow here.

A TFRecord file that ends between two records, as a copy that stopped may, is read without an error:
there are fewer images, and nobody is told.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from bopkit.errors import DataError

# The length (8 bytes) and its sum (4) stand before each record, the sum of its bytes (4) after it.
_BEFORE, _AFTER = 12, 4


def check(prepared: Path) -> None:
    """Compares the files' lengths with their description: quick, even for all of ImageNet.

    Args:
        prepared: a folder `NAME/VERSION` with a `dataset_info.json`, which must be readable.

    Raises:
        DataError: a file is cut short, or longer than it was; it is named.
    """
    info = json.loads((prepared / "dataset_info.json").read_text(encoding="utf8"))
    for split in info["splits"]:
        lengths = [int(length) for length in split["shardLengths"]]
        files = sorted(prepared.glob(f"{info['name']}-{split['name']}.tfrecord-*-of-*"))
        expected = int(split.get("numBytes", 0)) + sum(lengths) * (_BEFORE + _AFTER)
        if "numBytes" not in split or len(files) != len(lengths):
            continue  # not known; or noticed elsewhere
        if sum(file.stat().st_size for file in files) == expected:
            continue
        for file, length in zip(files, lengths, strict=True):
            found = count(file)
            if found != length:
                held = "is cut short or damaged" if found is None else f"holds {found:,}"
                raise DataError(
                    f"{file} {held}, where it should hold {length:,} records: copy it again, or "
                    f"remove {prepared} and prepare {info['name']} again."
                )


def count(file: Path) -> int | None:
    """How many records a TFRecord file holds; None if it ends within one. Their bytes are not read.

    Args:
        file: its path.
    """
    size, offset, number = file.stat().st_size, 0, 0
    with file.open("rb") as content:
        while offset < size:
            content.seek(offset)
            header = content.read(_BEFORE)
            if len(header) < _BEFORE:
                return None
            offset += _BEFORE + struct.unpack("<Q", header[:8])[0] + _AFTER
            number += 1
    return number if offset == size else None
