"""Check what is asked for: how much of a set, and from which folder. No TensorFlow here."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from bopkit._support.files import with_home
from bopkit._support.numbers import is_whole
from bopkit.errors import DataError


def check_examples(argument: str, wanted: int | None, available: int) -> int:
    """Return how many examples to take: `wanted`, or all that are available for None.

    Args:
        argument: name of the argument that holds `wanted`, for the error.
        wanted: how many examples the caller asked for.
        available: how many examples the set holds.

    Raises:
        DataError: if `wanted` is not between 1 and `available`.
    """
    if wanted is None:
        return available
    if not (is_whole(wanted) and 1 <= wanted <= available):
        raise DataError(
            f"{argument} must be between 1 and the {available} there are, not {wanted!r}."
        )
    return int(wanted)


def check_holdout(name: str, holdout: int, available: int) -> None:
    """Refuse to hold out all training examples, because a run needs some to train on.

    Raises:
        DataError: if `holdout` is not between 0 and `available` - 1.
    """
    if not (is_whole(holdout) and 0 <= holdout < available):
        raise DataError(
            f"holdout must be at least 0 and below the {available} training examples of {name}, "
            f"not {holdout!r}."
        )


def check_arrays(
    name: str, split: str, images: np.ndarray, labels: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Refuse arrays that are no images with labels.

    Args:
        name: of the set.
        split: "train" or "test".
        images: what should be uint8, (n, height, width, channels).
        labels: what should be integers from 0 to `num_classes` - 1, (n,).
        num_classes: the number of classes.

    Returns:
        The images, and the labels as int64.

    Raises:
        DataError: if the arrays are of another type or shape, or a label is out of range.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(
            f"the {split} images of {name} must be uint8 from 0 to 255, of shape (n, height, "
            f"width, channels); got {images.dtype} of shape {images.shape}."
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(
            f"the {split} labels of {name} must be integers of shape ({len(images)},), one for "
            f"each image; got {labels.dtype} of shape {labels.shape}."
        )
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise DataError(
            f"{name} holds the label {wrong[0]}; labels must lie from 0 to {num_classes - 1}."
        )
    return images, labels.astype(np.int64, copy=False)


def folder(path: str | os.PathLike) -> Path:
    """Replace ~ and ~NAME at the start of a path by a home folder, as a shell does.

    Raises:
        DataError: if the home folder is not known.
    """
    return with_home(path, DataError)


def data_folder(data_dir: str | os.PathLike) -> Path:
    """Name the folder of `data_dir`, which need not exist.

    Raises:
        DataError: if it is a file, or its home folder is not known.
    """
    only = folder(data_dir)
    if only.exists() and not only.is_dir():
        raise DataError(f"{only} is a file; data_dir must name a folder.")
    return only


def require_writable(place: Path) -> None:
    """Check that a data set can be downloaded to a folder, which need not exist yet.

    Raises:
        DataError: if the folder cannot be made or written.
    """
    try:
        there = next(path for path in (place, *place.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise DataError(
            f"the data is not there, and {place}, to which it would be downloaded, cannot be "
            f"written ({error.strerror}): name another folder with data_dir or BOPKIT_DATA_DIR."
        ) from error


def environment_folder() -> Path | None:
    """Name the folder of the environment's BOPKIT_DATA_DIR; None if it is not set.

    Raises:
        DataError: if it names no folder: another copy of the data would be used unmentioned.
    """
    named = os.environ.get("BOPKIT_DATA_DIR")
    if not named:
        return None
    if not folder(named).is_dir():
        raise DataError(
            f"BOPKIT_DATA_DIR names {named}, which is not a folder: make it, or name another."
        )
    return folder(named)


def keras_cache() -> Path:
    """Name the folder where Keras keeps the data sets that it downloaded."""
    return folder(os.environ.get("KERAS_HOME") or "~/.keras") / "datasets"
