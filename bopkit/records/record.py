"""One run is one JSON record: written, read, checked, grouped. No TensorFlow here."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from bopkit._files import whole_file
from bopkit.errors import RecordError
from bopkit.records import schema

FILE_NAME = "run.json"


def write(folder: str | os.PathLike, record: dict) -> Path:
    """Write a record so that a reader sees the old one or the new one, never a part.

    Args:
        folder: the run's folder; it must exist.
        record: the record; numbers that are not finite become null.

    Returns:
        The path of ``run.json``.

    Raises:
        RecordError: the file cannot be written.
    """
    path = Path(folder) / FILE_NAME
    text = json.dumps(_finite(record), indent=1, allow_nan=False) + "\n"
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
        RecordError: the file is missing, is not JSON, or is not a record (see
            `bopkit.records.schema`).
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    if not path.exists():
        raise RecordError(
            f"cannot read {path}: there is none; name one run's own folder, such as "
            f"runs/cifar10-paper/bop, or its {FILE_NAME}."
        )
    return schema.check(schema.read_json(path), path)


def collect(folder: str | os.PathLike) -> list[dict]:
    """Read every record below a folder, sorted by path.

    Raises:
        RecordError: the folder does not exist, or a record in it cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordError(f"there is no folder {folder}; give one that holds run.json files.")
    return [read(path) for path in sorted(folder.rglob(FILE_NAME))]


def final(record: dict, key: str = "val_accuracy") -> float:
    """A column's value in the last epoch; NaN where there is none."""
    rows = record["epochs"]
    value = rows[-1].get(key) if rows else None
    return math.nan if value is None else value


def group_by_seed(records: Iterable[dict]) -> list[list[dict]]:
    """Put together the runs that differ in their seed alone and are equally far."""
    groups = defaultdict(list)
    for record in records:
        same = {key: value for key, value in record["config"].items() if key != "seed"}
        groups[json.dumps([len(record["epochs"]), same], sort_keys=True)].append(record)
    return list(groups.values())


def _finite(value):
    """The same structure with null for NaN and infinity, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
