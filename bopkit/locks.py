"""One process at a time in a folder. The system drops a lock when its process ends, however."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from bopkit.errors import BopkitError


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
