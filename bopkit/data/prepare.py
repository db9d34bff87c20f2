"""Gets a dataset ready to train on: checks first, then prepares, then says what is there.

ImageNet is prepared by TFDS's own builder, from archives that only its makers may give away. That
takes hours and 155 GB, so everything that can go wrong is looked at before it begins; and it works
in a folder of its own, so that what the others see is complete, or not there.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from bopkit._files import only_one
from bopkit.data import readers, tfrecords
from bopkit.data.imagenet import archives, build
from bopkit.errors import ConfigError, DataError, one_line
from bopkit.training.progress import in_bytes, watch_folder

DATASETS = ("digits", "fashion_mnist", "cifar10", "imagenet2012")
# TFDS writes each byte twice, but removes the first copy bit by bit while it writes the second.
SPACE_NEEDED = 1.05
LEFT_OUT = "left_out.txt"
CIFAR10_SPACE = 700_000_000  # the download, what is unpacked from it, and the prepared files


@dataclass(frozen=True)
class Summary:
    """What is there of a dataset. `str()` of it is what the command line prints.

    Attributes:
        name: of the dataset.
        folder: where its files are; None for one that came with a package.
        examples: number of examples of each split.
        shards: number of files of each split, of those that TFDS prepared.
        size: bytes of those files together.
        note: what else there is to know; may be empty.
    """

    name: str
    folder: Path | None
    examples: dict[str, int]
    shards: dict[str, int] = field(default_factory=dict)
    size: int = 0
    note: str = ""

    def __str__(self) -> str:
        where = f" in {self.folder}" if self.folder else ""
        size = f" ({in_bytes(self.size)})" if self.size else ""
        lines = [f"{self.name} is there{where}{size}"]
        for split, number in self.examples.items():
            shards = self.shards.get(split)
            files = f" in {shards:,} file{'s' * (shards > 1)}" if shards else ""
            lines.append(f"  {split}: {number:,} examples{files}")
        return "\n".join(lines + ([f"  {self.note}"] if self.note else []))


def prepare(
    name: str,
    *,
    manual_dir: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    skip_damaged: bool = False,
    progress: bool = True,
) -> Summary:
    """Prepares a dataset if it is not there yet; may be interrupted, and called again.

    Args:
        name: one of `DATASETS`.
        manual_dir: for imagenet2012, the folder with `ILSVRC2012_img_train.tar` and
            `ILSVRC2012_img_val.tar`, or with smaller archives of that form.
        data_dir: the folder to prepare in; None: the first of the usual ones, which are
            `$BOPKIT_DATA_DIR` and TFDS's own folder.
        skip_damaged: for imagenet2012, leave out images that cannot be decoded; they are counted,
            and named in the file `LEFT_OUT` beside the others. Else the first one is an error.
        progress: whether to print what is being done.

    Returns:
        What is there at the end.

    Raises:
        ConfigError: if there is no such dataset, or it takes no `manual_dir`.
        DataError: if something is missing, damaged or too small.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(str(name).lower(), DATASETS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise ConfigError(f"unknown dataset {name!r}: choose one of {', '.join(DATASETS)}{hint}")
    if name == "imagenet2012":
        return _imagenet(manual_dir, data_dir, skip_damaged, progress)
    if manual_dir is not None:
        raise ConfigError(f"{name} takes no --manual-dir: that is for imagenet2012 alone.")
    return {"digits": _digits, "fashion_mnist": _fashion_mnist, "cifar10": _cifar10}[name](data_dir)


def _digits(data_dir):
    examples = {split: len(readers.digits(split)[1]) for split in ("train", "test")}
    return Summary("digits", None, examples, note="it comes with scikit-learn: nothing to prepare.")


def _fashion_mnist(data_dir):
    folder = readers.find_fashion_mnist("train", data_dir)
    # Reading checks the files, and has Keras download them where there are none.
    examples = {
        split: len(readers.fashion_mnist(split, data_dir)[1]) for split in ("train", "test")
    }
    if folder is None:
        folder = Path(os.environ.get("KERAS_HOME", "~/.keras")) / "datasets" / "fashion-mnist"
    return Summary("fashion_mnist", folder.expanduser(), examples)


def _cifar10(data_dir):
    folders = readers.tfds_folders(data_dir)
    prepared = readers.find_prepared("cifar10", folders)
    if prepared is None:
        _check_space(folders[0], CIFAR10_SPACE, "cifar10")
        prepared = readers.prepare_cifar10(folders)
    return summarize(prepared)


def _imagenet(manual_dir, data_dir, skip_damaged, progress):
    folders = readers.tfds_folders(data_dir)
    prepared = readers.find_prepared("imagenet2012", folders)
    if prepared is not None:
        return summarize(prepared)
    found = archives.find(manual_dir)
    folder = folders[0]
    for unfinished in (folder / "imagenet2012").glob("[0-9]*"):
        raise DataError(
            f"{unfinished} has no dataset_info.json, so it is not complete: remove it, and run the "
            "same command again."
        )

    def say(text):
        if progress:
            print(text, flush=True)

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write in {folder}: {error.strerror}.") from error
    busy = DataError(f"another process is preparing imagenet2012 in {folder}: wait for it.")
    with only_one(folder / ".imagenet2012.lock", busy):
        work = folder / "imagenet2012.incomplete"
        if work.exists():
            say(f"removing {work}, which an interrupted preparation left")
            shutil.rmtree(work)
        for other in (folder / "imagenet2012").glob("incomplete.*"):
            say(f"{other} is not bopkit's: if TFDS is not at work there, remove it")
        total = sum(path.stat().st_size for path in found.values())
        # Room first, which is quick to see; then the archives, which may take minutes.
        _check_space(folder, int(SPACE_NEEDED * total), "imagenet2012")
        for archive, path in found.items():
            say(f"checking {path} ({in_bytes(path.stat().st_size)})")
            say(f"  {archives.check(archive, path)}")
        images = build.Images(skip_damaged)
        try:
            with watch_folder(work, 2 * total) if progress else contextlib.nullcontext():
                built = _build(work, found, images)
            for line in images.skipped:
                say(f"left out: {line}")
            if images.skipped:
                (built / LEFT_OUT).write_text("\n".join(images.skipped) + "\n", encoding="utf8")
            else:
                _check_counts(found, summarize(built))
            prepared = folder / "imagenet2012" / built.name
            prepared.parent.mkdir(exist_ok=True)
            built.rename(prepared)
        except OSError as error:
            raise DataError(f"imagenet2012 could not be prepared: {error}.") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return summarize(prepared)


def summarize(prepared: Path) -> Summary:
    """What TFDS's files in a folder hold, read without TFDS or TensorFlow.

    Args:
        prepared: a folder `NAME/VERSION` with a `dataset_info.json`.

    Returns:
        The numbers of examples and files.

    Raises:
        DataError: if files are missing or the description cannot be read.
    """
    try:
        info = json.loads((prepared / "dataset_info.json").read_text(encoding="utf8"))
        name, lengths = info["name"], {}
        for split in info["splits"]:
            lengths[split["name"]] = [int(length) for length in split["shardLengths"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{prepared} cannot be read ({one_line(error)}): remove it, and run the same "
            "command again."
        ) from error
    size = 0
    for split, shards in lengths.items():
        files = list(prepared.glob(f"{name}-{split}.*-of-*"))
        size += sum(file.stat().st_size for file in files)
        if len(files) != len(shards):
            raise DataError(
                f"{prepared} has {len(files):,} of the {len(shards):,} files of its {split} split: "
                "remove it, and run the same command again."
            )
    tfrecords.check(prepared)
    examples = {split: sum(shards) for split, shards in lengths.items()}
    note = ""
    if name == "imagenet2012":
        for archive in archives.ARCHIVES:
            if not examples.get(archive.split):
                raise DataError(
                    f"{prepared} has no {archive.split} images: remove it, and run the same "
                    f"command again with {archive.name} in the manual folder."
                )
        if (prepared / LEFT_OUT).exists():
            lines = len((prepared / LEFT_OUT).read_text(encoding="utf8").splitlines())
            note = f"damaged and left out: {lines:,}, named in {prepared / LEFT_OUT}"
        elif any(examples[archive.split] != archive.full_images for archive in archives.ARCHIVES):
            full = " and ".join(f"{archive.full_images:,}" for archive in archives.ARCHIVES)
            note = f"not the full ImageNet, which has {full} images"
    return Summary(name, prepared, examples, {s: len(n) for s, n in lengths.items()}, size, note)


def _check_space(folder, needed, name):
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise DataError(
            f"{folder} has {in_bytes(free)} of free space and {name} takes {in_bytes(needed)}: "
            "make room, or name another folder with --data-dir."
        )


def _check_counts(found, summary):
    """Whether archives of the full size also gave all images: a gap inside may look like an end."""
    for archive, path in found.items():
        images = summary.examples[archive.split]
        if path.stat().st_size == archive.full_size and images != archive.full_images:
            raise DataError(
                f"{path} has the full archive's size, but only {images:,} of its "
                f"{archive.full_images:,} images: it is damaged, get it again."
            )


def _build(work, found, images):
    return build.build(work, found, images)
