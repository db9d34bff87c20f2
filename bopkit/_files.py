"""Files that are there whole or not at all, and locks that a process holds on a folder."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bopkit.errors import BopkitError


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


@contextlib.contextmanager
def only_one(path: Path, busy: BopkitError) -> Iterator[None]:
    """Hold a lock for as long as the block runs.

    Args:
        path: the file that stands for the lock; its folder must exist.
        busy: what to raise when another process holds it.

    Raises:
        BopkitError: `busy`; or one of its kind, if the file cannot be written.
    """
    try:
        lock = open(path, "w")  # noqa: SIM115 (held for the whole block)
    except OSError as error:
        raise type(busy)(f"cannot write in {path.parent}: {error.strerror}.") from error
    with lock:
        with contextlib.suppress(ImportError):  # not on Windows
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                raise busy from None
            except OSError as error:
                # Some network file systems have no locks, which is no reason not to work there.
                print(
                    f"bopkit: {path.parent} cannot be locked ({error.strerror}): see to it that no "
                    "other process works there.",
                    file=sys.stderr,
                )
        yield
