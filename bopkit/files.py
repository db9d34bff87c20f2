"""Files that are there whole or not at all, and what the JSON in one holds."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Write a file beside its place, and move it there when it is complete and on the disk.

    Args:
        path: the file; its folder must exist. What stood there stays until it is replaced.

    Yields:
        A file to write bytes to.

    Raises:
        OSError: it cannot be written; then nothing is left of it.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def objects(value: object) -> Iterator[dict]:
    """Every object in a parsed JSON document, at whatever depth, without recursion.

    Args:
        value: what `json.loads` returned.
    """
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        if isinstance(value, dict):
            waiting += value.values()
            yield value
