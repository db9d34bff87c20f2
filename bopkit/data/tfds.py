"""Find, check and open the folders that TensorFlow Datasets (TFDS) prepared.

TFDS is slow to import, and asks the network about sets that are not there. So the folders are found
and their files are counted without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bopkit._support.files import objects, only_one
from bopkit.data.checks import data_folder, environment_folder, folder, require_writable
from bopkit.data.summary import Summary
from bopkit.errors import DataError, as_our_error

# In a TFRecord file the length of each record (8 bytes) and its checksum (4) stand before the
# record, and the checksum of the record's bytes (4) stands after it.
_BEFORE, _AFTER = 12, 4
_LARGEST_JSON = 2**24  # ImageNet's take 50 KB


def folders(data_dir: str | os.PathLike | None) -> list[Path]:
    """List the folders that may hold prepared sets: only `data_dir`, or the two usual ones.

    Args:
        data_dir: the folder to look in; None is `$BOPKIT_DATA_DIR` and TFDS's own folder.

    Raises:
        DataError: if `data_dir` is a file, or `$BOPKIT_DATA_DIR` is set and no folder.
    """
    if data_dir is not None:
        return [data_folder(data_dir)]
    usual = folder(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    first = environment_folder()
    return [first, usual] if first else [usual]


def find_prepared(name: str, places: list[Path]) -> Path | None:
    """Find the newest complete version of a set in the first folder that has one.

    A version is complete when `PLACE/NAME/VERSION` holds a `dataset_info.json`.

    Args:
        name: of the set.
        places: what `folders` returned.

    Returns:
        The folder of the version; None if no place has one.
    """
    for place in places:
        versions = [
            info.parent
            for info in (place / name).glob("*/dataset_info.json")
            if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)
        ]
        if versions:
            return max(versions, key=lambda path: tuple(map(int, path.name.split("."))))
    return None


@dataclass(frozen=True)
class _Split:
    name: str
    lengths: list[int]  # records per file
    files: list[Path]  # the files that are there
    size: int | None  # bytes of all records; None if the description does not say


def _read_description(prepared: Path) -> tuple[str, list[_Split]]:
    """Read a set's name and its splits from `dataset_info.json`; a ValueError says what is wrong.

    The names are parts of file names, so they hold letters, digits and underscores only.
    """
    info = _read_json(prepared / "dataset_info.json")
    name, splits = _name(info), []
    for split in _field(info, "splits", list):
        files = sorted(prepared.glob(f"{name}-{_name(split)}.*-of-*"))
        files = [file for file in files if file.is_file()]  # a pipe would be waited for
        lengths = [_count_of("shardLengths", n) for n in _field(split, "shardLengths", list)]
        size = _count_of("numBytes", split["numBytes"]) if "numBytes" in split else None
        splits.append(_Split(_name(split), lengths, files, size))
    return name, splits


def _read_json(path: Path) -> object:
    if not path.is_file():  # a pipe would be waited for, a device never end
        raise ValueError(f"{path.name} is missing, or no file")
    if path.stat().st_size > _LARGEST_JSON:
        raise ValueError(f"{path.name} is too large")
    return json.loads(path.read_text(encoding="utf8"))


def _field(entry, key, kind):
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"dataset_info.json has {value!r:.40} as {key}")
    return value


def _name(entry) -> str:
    if not re.fullmatch(r"\w{1,100}", name := _field(entry, "name", str)):
        raise ValueError(f"dataset_info.json has {name!r:.40} as name")
    return name


def _count_of(key, value) -> int:
    """A whole number, which TFDS writes as text."""
    if not re.fullmatch(r"\d{1,18}", str(value)):
        raise ValueError(f"dataset_info.json has {value!r:.40} in {key}")
    return int(value)


def summarize(prepared: Path) -> Summary:
    """Count what a prepared folder holds, without TFDS or TensorFlow.

    Args:
        prepared: a folder `NAME/VERSION` with a `dataset_info.json`.

    Returns:
        The numbers of examples and files.

    Raises:
        DataError: if files are missing or cut short, or the description cannot be read.
    """
    advice = "remove it, and run the same command again."
    with as_our_error(DataError, f"{prepared} cannot be read ({{}}): {advice}"):
        name, splits = _read_description(prepared)
    for split in splits:
        if len(split.files) != len(split.lengths):
            raise DataError(
                f"{prepared} has {len(split.files):,} of the {len(split.lengths):,} files of its "
                f"{split.name} split: {advice}"
            )
    check_lengths(prepared)
    return Summary(
        name,
        prepared,
        examples={split.name: sum(split.lengths) for split in splits},
        shards={split.name: len(split.lengths) for split in splits},
        size=sum(file.stat().st_size for split in splits for file in split.files),
    )


def check_lengths(prepared: Path) -> None:
    """Compare the lengths of the files with their description: quick, even for ImageNet.

    TensorFlow reads a TFRecord file that ends between two records without an error, so a copy that
    stopped early would only make the set smaller.

    Args:
        prepared: a folder `NAME/VERSION` with a `dataset_info.json`.

    Raises:
        DataError: if a file is cut short, or longer than it was; the error names it.
        Exception: what is wrong with `dataset_info.json`.
    """
    name, splits = _read_description(prepared)
    for split in splits:
        files = [file for file in split.files if ".tfrecord-" in file.name]
        if split.size is None or len(files) != len(split.lengths):
            continue  # the size is not known; or files are missing, which others report
        expected = split.size + sum(split.lengths) * (_BEFORE + _AFTER)
        if sum(file.stat().st_size for file in files) == expected:
            continue
        for file, length in zip(files, split.lengths, strict=True):
            found = _count(file)
            if found != length:
                held = "is cut short or damaged" if found is None else f"holds {found:,}"
                raise DataError(
                    f"{file} {held}, where it should hold {length:,} records: copy it again, or "
                    f"remove {prepared} and prepare {name} again."
                )


def _count(file: Path) -> int | None:
    """Count the records of a TFRecord file without reading them; None if it ends within one."""
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


def open_prepared(prepared: Path):
    """Make TFDS's builder for a prepared folder, wherever the folder is from.

    `features.json` names classes that TFDS would import; refuse any class that is not TFDS's own.

    Args:
        prepared: a folder `NAME/VERSION` with a `features.json`.

    Raises:
        DataError: if `features.json` names a class that is not TFDS's.
        Exception: what is wrong with `dataset_info.json`, and what TFDS raises where the folder is
            damaged.
    """
    for path in prepared.iterdir():  # TFDS would wait for a pipe
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ValueError(f"{path.name} is a device or a pipe")
    _read_description(prepared)
    features = _read_json(prepared / "features.json")
    for value in objects(features):
        for key in ("pythonClassName", "python_class_name", "type"):  # "type" of older versions
            name = value.get(key)
            if isinstance(name, str) and not name.startswith("tensorflow_datasets.core.features."):
                raise DataError(
                    f"{prepared / 'features.json'} asks for {name[:80]!r}, which is not TFDS's own "
                    "and could run code: prepare the set again."
                )
    import tensorflow_datasets

    return tensorflow_datasets.builder_from_directory(prepared)


def download(builder: str, title: str, url: str, places: list[Path]) -> Path:
    """Download a set and prepare it with TFDS in the first of the folders.

    Args:
        builder: the set as TFDS calls it, with its configuration if it has several.
        title: the set as people call it.
        url: what TFDS downloads, which is asked for first.
        places: what `folders` returned.

    Returns:
        The prepared folder.

    Raises:
        DataError: if the folder cannot be written, or the download or the preparation fails.
    """
    failed = (
        f"{title} is not there: looked in {', '.join(map(str, places))}, and could not download "
        f"{url} ({{}}); run once with internet, or name the folder that holds it with data_dir or "
        "BOPKIT_DATA_DIR."
    )
    require_writable(places[0])
    with as_our_error(DataError, failed):
        # Without internet TFDS would try again for minutes.
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=20)
        places[0].mkdir(parents=True, exist_ok=True)
        # Of several processes, such as the runs of a sweep, one downloads the set. TFDS fails if
        # another process has put the set in place, and does nothing if the set is there at first.
        with only_one(places[0] / ".download.lock", DataError("busy"), wait=True):
            import tensorflow_datasets

            made = tensorflow_datasets.builder(builder, data_dir=places[0])
            made.download_and_prepare()
    return Path(made.data_dir)
