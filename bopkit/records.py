"""One run is one JSON record: written, read, checked, grouped. No TensorFlow here."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from bopkit import schema
from bopkit.errors import RecordError
from bopkit.files import whole_file

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
        RecordError: the file is missing, is not JSON, or is no record as `bopkit.schema` has it.
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


def versions() -> dict[str, str]:
    """The versions of what a run's numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("bopkit", "tensorflow", "tf-keras", "larq", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware() -> dict:
    """What the run runs on: processor, its cores and its bfloat16, memory in GiB."""
    found = {"machine": platform.machine(), "cores": os.cpu_count()}
    try:
        text = Path("/proc/cpuinfo").read_text()
        fields = dict(
            (part.strip() for part in line.split(":", 1))
            for line in text.splitlines()
            if ":" in line
        )
        found["processor"] = fields.get("model name", "unknown")
        flags = fields.get("flags", "").split()
        found["bfloat16"] = [f for f in ("avx512_bf16", "amx_bf16") if f in flags]
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found["memory_gib"] = round(pages / 2**30, 1)
    except (OSError, ValueError):
        found["processor"] = platform.processor() or "unknown"
    return found


def git_commit() -> str | None:
    """The commit that `bopkit` runs from, with "-dirty" where it was changed; None elsewhere."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _finite(value):
    """The same structure with null for NaN and infinity, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
