"""Find and read CIFAR-10, as its authors' binary files or as TFDS prepared it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bopkit.data import tfds
from bopkit.data.summary import Summary, check_space, count_examples
from bopkit.errors import DataError, as_our_error

SPACE = 700_000_000  # bytes of the download, of what is unpacked from it, and of the prepared files


def read(split: str, data_dir: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read CIFAR-10 from its authors' binary files, or as TFDS prepared it, or prepare it now.

    Returns:
        uint8 images (n, 32, 32, 3) and int64 labels (n,), in the order of the files.

    Raises:
        DataError: if the files are damaged, or there are none and the download fails.
    """
    places = tfds.folders(data_dir)
    binary = find_binary(split, places)
    if binary is not None:
        return _read_binary(binary, split)
    prepared = tfds.find_prepared("cifar10", places) or tfds.prepare_cifar10(places)
    advice = "remove that folder and try again."
    with as_our_error(DataError, f"{prepared} cannot be read ({{}}): {advice}"):
        tfds.check_lengths(prepared)
        builder = tfds.open_prepared(prepared)
        import tensorflow_datasets

        arrays = tensorflow_datasets.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    images, labels = arrays["image"], arrays["label"]
    # `features.json` says how the images are decoded, and one channel would make them grey.
    if images.shape[1:] != (32, 32, 3) or images.dtype != np.uint8:
        raise DataError(
            f"{prepared} holds {images.dtype} images of {images.shape[1:]}, not uint8 images of "
            f"(32, 32, 3): {advice}"
        )
    return images, labels


def find_binary(split: str, places: list[Path]) -> Path | None:
    """Find the first folder that holds a split of CIFAR-10's binary files; None without one."""
    for place in places:
        for inside in (place, place / "cifar-10-batches-bin"):
            if all((inside / file).is_file() for file in _files(split)):
                return inside
    return None


def prepare(data_dir: str | os.PathLike | None) -> Summary:
    """Say what is there of CIFAR-10, in either form; download it if there is neither.

    Raises:
        DataError: if the files are damaged, there is too little room, or the download fails.
    """
    places = tfds.folders(data_dir)
    binary = find_binary("train", places)
    if binary is not None and find_binary("test", places) is not None:
        return Summary("cifar10", binary, count_examples(read, data_dir))
    prepared = tfds.find_prepared("cifar10", places)
    if prepared is None:
        check_space(places[0], SPACE, "cifar10")
        prepared = tfds.prepare_cifar10(places)
    return tfds.summarize(prepared)


def _files(split):
    names = [f"data_batch_{n}" for n in range(1, 6)] if split == "train" else ["test_batch"]
    return [f"{name}.bin" for name in names]


def _read_binary(place: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    # A row is a label and 3 planes of 32x32; a file holds 10,000 rows, and no more is read.
    most, row = 10_000, 1 + 3 * 32 * 32
    parts = []
    for name in _files(split):
        try:
            with (place / name).open("rb") as file:
                content = file.read(most * row + 1)
        except OSError as error:
            raise DataError(f"{place / name} cannot be read: {error.strerror}.") from error
        if not content or len(content) % row or len(content) > most * row:
            raise DataError(
                f"{place / name} must hold up to {most:,} rows of {row:,} bytes; it is damaged or "
                "cut short: get it again."
            )
        parts.append(np.frombuffer(content, np.uint8).reshape(-1, row))
    rows = np.concatenate(parts)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, 0].astype(np.int64)
