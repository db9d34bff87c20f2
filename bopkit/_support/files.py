"""Write files completely or not at all, take locks, and name what is in a file's place."""

from __future__ import annotations

import contextlib
import errno
import functools
import operator
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bopkit.errors import BopkitError, ConfigError


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Write a file beside its place, and move it there when it is complete and on the disk.

    It gets the permissions that the process gives to new files (its umask).

    Args:
        path: the file; its folder must exist. What stood there stays until it is replaced.

    Yields:
        A file to write bytes to.

    Raises:
        OSError: it cannot be written; then nothing is left of it.
    """
    path = Path(path)
    # Not by mkstemp: only the owner may read its files, and only the system applies the umask.
    temporary = path.parent / f".{secrets.token_hex(4)}{path.name}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _flags("O_BINARY"), 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def open_ordinary(path: str | os.PathLike, flags: int = os.O_RDONLY) -> int:
    """Open an ordinary file; follow no link, and wait for no pipe.

    A folder that somebody else filled may hold links to one's own files.

    Args:
        path: the file.
        flags: as for `os.open`.

    Returns:
        Its descriptor.

    Raises:
        OSError: it cannot be opened, or is something else; `strerror` says why.
    """
    safe = _flags("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(errno.EINVAL, "it is a link or no ordinary file: remove it", str(path))
    handle = os.open(path, flags | safe, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # it was exchanged between the two looks
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not an ordinary file: remove it", str(path))
    return handle


def _flags(*names):
    """Those of the flags of `os.open` that this system has."""
    return functools.reduce(operator.or_, (getattr(os, name, 0) for name in names))


def output_folder(path: str | os.PathLike) -> Path:
    """Check the name of a folder to write to, and put the home folder in the place of ~.

    Raises:
        ConfigError: it is no name of a folder on this machine.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ConfigError(f"output_dir must name a folder; got {path!r}.")
    name = os.fspath(path)
    # Files of TensorFlow's and the record's are named in UTF-8.
    if "\0" in name or name.encode("utf8", "replace").decode("utf8") != name:
        raise ConfigError(f"output_dir must be text that UTF-8 can write; got {name!a}.")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", name):  # two letters: C:/ is a drive
        raise ConfigError(
            f"output_dir must be a folder of this machine's file systems; got the address {name}: "
            "write to a folder here, and copy it afterwards."
        )
    return with_home(name, ConfigError)


def with_home(path: str | os.PathLike, kind: type[BopkitError]) -> Path:
    """Replace ~ or ~NAME at the start of a path by a home folder, as a shell does.

    Args:
        path: of a file or a folder.
        kind: what to raise if the home folder is not known.

    Raises:
        BopkitError: of `kind`, if the home folder is not known.
    """
    expanded = os.path.expanduser(Path(path))
    if expanded.startswith("~"):
        home = Path(expanded).parts[0]
        raise kind(
            f"{path} cannot be found: no home folder is known for {home}; write the path in full."
        )
    return Path(expanded)


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
def only_one(path: Path, busy: BopkitError, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock for as long as the block runs.

    Args:
        path: the file that stands for the lock; its folder must exist.
        busy: what to raise when another process holds it.
        wait: wait until the other process releases it instead.

    Raises:
        BopkitError: `busy`; or one of its kind, if the file cannot be opened or is no file.
    """
    try:
        handle = open_ordinary(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise type(busy)(f"cannot write {path}: {error.strerror}.") from error
    with os.fdopen(handle, "r+b") as lock:
        if reason := _lock(lock, busy, wait):
            print(
                f"bopkit: {path.parent} cannot be locked ({reason}): see to it that no other "
                "process works there.",
                file=sys.stderr,
            )
        yield


def _lock(file, busy, wait) -> str:
    """Lock a file, or say why it cannot be locked, which is no reason not to work there."""
    try:
        import fcntl
    except ImportError:
        return "Windows has no such locks"
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (BlockingIOError, PermissionError):
        raise busy from None
    except OSError as error:  # as of some network file systems
        return error.strerror
    return ""
