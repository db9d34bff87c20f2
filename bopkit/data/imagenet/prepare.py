"""Prepare ImageNet from its archives or folders, once all that can go wrong was looked at.

Only ImageNet's makers may give the archives away. Preparing takes hours and 155 GB, so the space
and the archives are checked before it begins. It works in a folder of its own, so that others see a
complete set or none.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import sys
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from bopkit._support.files import only_one
from bopkit._support.text import note
from bopkit._tensorflow import load_tensorflow
from bopkit.data import checks, tfds
from bopkit.data.identity import Origin
from bopkit.data.imagenet import archives
from bopkit.data.imagenet.images import Images
from bopkit.data.listings import Listing, find_imagenet
from bopkit.data.summary import Summary, check_space
from bopkit.errors import DataError

# TFDS writes each byte twice, but removes the first copy bit by bit while it writes the second.
SPACE_NEEDED = 1.05
LEFT_OUT = "left_out.txt"


def prepare(
    data_dir: str | os.PathLike | None,
    manual_dir: str | os.PathLike | None,
    skip_damaged: bool,
    progress: bool,
) -> Summary:
    """Prepare ImageNet if it is not there yet; `bopkit.data.prepare.prepare` says with what.

    Raises:
        DataError: if something is missing, damaged or too small.
    """
    folders = tfds.folders(data_dir)
    prepared = tfds.find_prepared("imagenet2012", folders)
    if prepared is not None:
        return summarize(prepared)
    listing = find_imagenet(folders if manual_dir is None else [checks.folder(manual_dir)])
    if manual_dir is None and listing is not None:
        return _in_place(listing)
    found = listing or archives.find(manual_dir)
    folder = folders[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write in {folder}: {error.strerror}.") from error
    busy = DataError(f"another process is preparing imagenet2012 in {folder}: wait for it.")
    with only_one(folder / ".imagenet2012.lock", busy):
        # Another process may have ended between the first look and the lock.
        prepared = tfds.find_prepared("imagenet2012", [folder])
        if prepared is None:
            prepared = _prepare(folder, found, skip_damaged, progress)
    return summarize(prepared)


def _in_place(listing):
    """Count the images that training reads where they are; to decode each would take hours."""
    return Summary(
        "imagenet2012",
        listing.root,
        {"train": len(listing.train), "validation": len(listing.validation)},
        origin=Origin(listing.form, listing.root),
        note="bopkit reads these files in place and has not decoded them; "
        "to check them all and pack them, name their folder with --manual-dir",
    )


def _prepare(folder, found, skip_damaged, progress):
    def say(text):
        if progress:
            note(text)

    for unfinished in (folder / "imagenet2012").glob("[0-9]*"):
        raise DataError(
            f"{unfinished} has no dataset_info.json, so it is not complete: remove it, and run the "
            "same command again."
        )
    work = folder / "imagenet2012.incomplete"
    if work.exists():
        say(f"removing {work}, which an interrupted preparation left")
        shutil.rmtree(work)
    for other in (folder / "imagenet2012").glob("incomplete.*"):
        say(f"{other} is not bopkit's: if TFDS is not at work there, remove it")
    sizes = _sizes(found)
    # The space first, which is quick to see; then the archives, which may take minutes.
    check_space(folder, int(SPACE_NEEDED * sum(sizes.values())), "imagenet2012")
    if isinstance(found, Listing):
        say(f"reading {found.form} in {found.root}")
    else:
        for archive, path in found.items():
            say(f"checking {path} ({tqdm.format_sizeof(path.stat().st_size, 'B')})")
            say(f"  {archives.check(archive, path)}")
    load_tensorflow()
    from bopkit.data.imagenet import build

    images = Images(skip_damaged)
    if isinstance(found, Listing):
        sources = {
            split: build.Source(split, size, functools.partial(images.of_folders, found, split))
            for split, size in sizes.items()
        }
    else:
        sources = {
            archive.split: build.Source(
                path.name, sizes[archive.split], functools.partial(images.of, archive, path)
            )
            for archive, path in found.items()
        }
    try:
        work.mkdir()
        with _bar(sum(sizes.values()), progress) as bar:
            built = build.build(work, sources, bar)
        for line in images.skipped:
            say(f"left out: {line}")
        if images.skipped:
            (built / LEFT_OUT).write_text("\n".join(images.skipped) + "\n", encoding="utf8")
        elif not isinstance(found, Listing):
            _check_counts(found, summarize(built))
        prepared = folder / "imagenet2012" / built.name
        prepared.parent.mkdir(exist_ok=True)
        built.rename(prepared)
    except OSError as error:
        raise DataError(f"imagenet2012 could not be prepared: {error}.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return prepared


def _sizes(found) -> dict[str, int]:
    """Bytes of each split, in archives or in folders."""
    if isinstance(found, Listing):
        return {
            split: sum(_size(found.root / path) for path, _ in getattr(found, split))
            for split in ("train", "validation")
        }
    return {archive.split: path.stat().st_size for archive, path in found.items()}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # `Images` says what is wrong with the file, or leaves it out
        return 0


class _Lines:
    """Turn what tqdm draws over and over into lines, for a log file."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> None:
        if text := text.strip():
            note(text, self.stream)

    def flush(self) -> None:
        pass


def _bar(total: int, progress: bool) -> tqdm:
    """Show how much of the archives was read: a bar in a terminal, a line per minute elsewhere."""
    if sys.stderr.isatty():
        where = {"file": sys.stderr, "leave": False, "dynamic_ncols": True}
    else:
        where = {
            "file": _Lines(sys.stdout),
            "leave": False,
            "mininterval": 60,
            "miniters": 1,
            "bar_format": "{desc}: {percentage:.0f}% ({n_fmt}B of {total_fmt}B read)",
        }
    return tqdm(
        desc="preparing", total=total, unit="B", unit_scale=True, disable=not progress, **where
    )


def summarize(prepared: Path) -> Summary:
    """Count what the prepared folder holds, and note what the full ImageNet has besides.

    Args:
        prepared: a folder `imagenet2012/VERSION` with a `dataset_info.json`.

    Raises:
        DataError: if files are missing or damaged, or a split has no images.
    """
    summary = tfds.summarize(prepared)
    for archive in archives.ARCHIVES:
        if not summary.examples.get(archive.split):
            raise DataError(
                f"{prepared} has no {archive.split} images: remove it, and run the same "
                f"command again with {archive.name} in the manual folder."
            )
    note = ""
    if (prepared / LEFT_OUT).is_file():
        lines = len((prepared / LEFT_OUT).read_text(encoding="utf8").splitlines())
        note = f"damaged and left out: {lines:,}, named in {prepared / LEFT_OUT}"
    elif any(
        summary.examples[archive.split] != archive.full_images for archive in archives.ARCHIVES
    ):
        full = " and ".join(f"{archive.full_images:,}" for archive in archives.ARCHIVES)
        note = f"not the full ImageNet, which has {full} images"
    return dataclasses.replace(summary, note=note)


def _check_counts(found, summary):
    """Refuse archives of the full size that lack images: a gap inside may look like an end."""
    for archive, path in found.items():
        images = summary.examples[archive.split]
        if path.stat().st_size == archive.full_size and images != archive.full_images:
            raise DataError(
                f"{path} has the full archive's size, but only {images:,} of its "
                f"{archive.full_images:,} images: it is damaged, get it again."
            )
