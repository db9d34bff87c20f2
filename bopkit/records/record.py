"""Write, read and group the records of runs, without TensorFlow."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from bopkit._support.files import whole_file, with_home
from bopkit.errors import RecordError
from bopkit.records import schema

FILE_NAME = "run.json"


def write(folder: str | os.PathLike, record: dict) -> Path:
    """Write a record so that a reader sees the old one or the new one, never a part.

    Args:
        folder: the run's folder; it must exist.
        record: the record; numbers that are not finite become null, and characters that UTF-8
            cannot write become escapes.

    Returns:
        The path of ``run.json``.

    Raises:
        RecordError: the file cannot be written.

    Example:
        >>> record = bopkit.records.read("runs/digits")
        >>> Path("copy").mkdir(exist_ok=True)
        >>> bopkit.records.write("copy", record).name
        'run.json'
    """
    path = with_home(folder, RecordError) / FILE_NAME
    text = json.dumps(_readable(record), indent=1, allow_nan=False) + "\n"
    try:
        with whole_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise RecordError(f"cannot write {path}: {error.strerror}.") from error
    return path


def read(path: str | os.PathLike) -> dict:
    """Read and check a record.

    Args:
        path: ``run.json``, or the folder that holds it.

    Returns:
        The record.

    Raises:
        RecordError: the file is missing, is not JSON, or is not a record.

    Example:
        >>> record = bopkit.records.read("runs/digits")
        >>> record["experiment"], record["status"], len(record["epochs"])
        ('binarynet/bop', 'completed', 2)
    """
    return _read(with_home(path, RecordError))


def _read(path: Path) -> dict:
    if os.path.isdir(path):
        path = path / FILE_NAME
    if not os.path.lexists(path):
        raise RecordError(
            f"cannot read {path}: it does not exist; name the folder of one run, such as "
            f"runs/cifar10-paper/bop_seed0, or its {FILE_NAME}."
        )
    return schema.check(schema.read_json(path), path)


def collect(
    folder: str | os.PathLike, refused: Callable[[RecordError], None] | None = None
) -> list[dict]:
    """Read every record below a folder, sorted by path.

    `collect` follows links to folders, and reads each record once, however many paths lead to it.

    Args:
        folder: the folder.
        refused: called with the error of each folder or record that cannot be read, while the
            others are still read; None raises the first such error.

    Returns:
        The records.

    Raises:
        RecordError: the folder does not exist; or, without `refused`, a folder or a record in it
            cannot be read.

    Example:
        >>> [record["experiment"] for record in bopkit.records.collect("runs/digits")]
        ['binarynet/bop']
    """
    folder = with_home(folder, RecordError)
    if not os.path.isdir(folder):
        raise RecordError(f"there is no folder {folder}; give one that holds run.json files.")

    def unread(error):
        if refused is None:
            raise error
        refused(error)

    found = []
    for path in sorted(_find(folder, unread)):
        try:
            found.append(_read(path))
        except RecordError as error:
            unread(error)
    return found


def _find(folder: Path, unread: Callable[[RecordError], None]) -> list[Path]:
    """The paths of all records below a folder, one for each file."""
    # Links come last, so that what has a path of its own below `folder` is found by that path.
    folders, links, seen, found = [folder], [], set(), []
    while folders or links:
        here = folders.pop() if folders else links.pop(0)
        try:
            if (identity := _identity(here)) in seen:
                continue
            seen.add(identity)
            names = sorted(os.listdir(here))
        except OSError as error:
            unread(RecordError(f"cannot read {here}: {error.strerror}."))
            continue
        for path in map(here.joinpath, names):
            if path.name == FILE_NAME:
                found.append(path)
            elif os.path.isdir(path):
                (links if os.path.islink(path) else folders).append(path)
            elif not os.path.exists(path) and not path.name.startswith("."):  # .x: an editor's lock
                unread(RecordError(f"cannot read {path}: its link leads to nothing."))
    by_file = {}
    for path in sorted(found, key=os.path.islink):
        try:
            by_file.setdefault(_identity(path), path)
        except OSError:
            by_file[path] = path  # `read` will say why
    return list(by_file.values())


def _identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino


def final(record: dict, key: str = "val_accuracy") -> float:
    """Read a column's value in the last epoch of a run.

    Args:
        record: a run's record.
        key: the column.

    Returns:
        The value; NaN if the run has no epoch yet, or the column has no value.

    Example:
        >>> record = bopkit.records.read("runs/digits")
        >>> bopkit.records.final(record, "flip_ratio") == record["epochs"][-1]["flip_ratio"]
        True
    """
    rows = record["epochs"]
    value = rows[-1].get(key) if rows else None
    return math.nan if value is None else value


def group_by_seed(records: Iterable[dict]) -> list[list[dict]]:
    """Group the runs that have the same number of epochs and differ only in their seed.

    Args:
        records: run records.

    Returns:
        Lists of records.

    Example:
        >>> run = bopkit.records.read("runs/digits")
        >>> again = run | {"seed": 1, "config": run["config"] | {"seed": 1}}
        >>> [len(group) for group in bopkit.records.group_by_seed([run, again])]
        [2]
    """
    groups = defaultdict(list)
    for record in records:
        same = {key: value for key, value in record["config"].items() if key != "seed"}
        groups[json.dumps([len(record["epochs"]), same], sort_keys=True)].append(record)
    return list(groups.values())


def _readable(value):
    """The same structure as `read` takes it: without NaN, infinity and incomplete characters."""
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if isinstance(value, str):  # an error may quote a file's name that is not UTF-8
        return value.encode("utf8", "backslashreplace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
