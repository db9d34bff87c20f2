"""Find and read CIFAR-10: its authors' files, their archives, or what TFDS prepared."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bopkit.data import cifar10_files, tfds
from bopkit.data.checks import keras_cache
from bopkit.data.cifar10_files import Source
from bopkit.data.identity import Origin
from bopkit.data.summary import check_space
from bopkit.errors import DataError, as_our_error

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SPACE = 700_000_000  # bytes of the download, of what is unpacked from it, and of the prepared files


def read(split: str, data_dir: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read CIFAR-10 from where it lies, in whatever form; have TFDS download it if it is nowhere.

    Returns:
        uint8 images `(n, 32, 32, 3)` and int64 labels `(n,)`, in the order of the files.

    Raises:
        DataError: if the files are damaged, or there are none and the disk has no room for them or
            the download fails.
    """
    places = _places(data_dir)
    found = _find(split, places)
    if isinstance(found, Source):
        return found.read(split)
    prepared = found or _download(places)
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


def locate(data_dir: str | os.PathLike | None, splits: tuple[str, ...]) -> Origin:
    """Say where CIFAR-10 is read from, in which form, and whether the files are its authors' own.

    Raises:
        DataError: if it is nowhere.
    """
    places = _places(data_dir)
    found = _find(splits[0], places)
    if isinstance(found, Source):
        return Origin(found.name, found.path, found.is_official(splits))
    if found is None:
        raise DataError(f"CIFAR-10 is not there: looked in {', '.join(map(str, places))}.")
    return Origin("prepared by TFDS", found)


def _places(data_dir) -> list[Path]:
    places = tfds.folders(data_dir)
    return places if data_dir is not None else [*places, keras_cache()]


def _download(places) -> Path:
    check_space(places[0], SPACE, "cifar10")
    return tfds.download("cifar10", "CIFAR-10", URL, places)


def _find(split, places) -> Source | Path | None:
    """Find a split in the first place that has it: the authors' files, or a prepared folder."""
    for place in places:
        found = cifar10_files.find(split, place) or tfds.find_prepared("cifar10", [place])
        if found is not None:
            return found
    return None
