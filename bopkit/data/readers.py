"""List the data sets in one registry: to add a set takes a reader and a row of `DATASETS`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bopkit.data import cifar10, fashion_mnist
from bopkit.errors import DataError, unknown

if TYPE_CHECKING:
    from bopkit.data.base import Data
    from bopkit.data.summary import Summary


@dataclass(frozen=True)
class DataSet:
    """Describe one data set: what it is called, how it is read, and how it is prepared.

    Attributes:
        name: what `load` and the command line call the set.
        num_classes: the number of classes; labels lie from 0 to `num_classes` - 1.
        read: the reader of a set that fits into memory: a function of the split ("train" or
            "test") and `data_dir`. It reads that split's files only, and returns uint8 images
            (n, height, width, channels) and integer labels (n,) in a fixed order.
        stream: instead of `read`, for a set that does not fit into memory: a function of
            `num_classes` and of all arguments of `load` but the name, which returns the `Data`.
        prepare: a function of `data_dir` that puts the files in place and returns a `Summary`;
            None if there is nothing to prepare.
        from_archives: whether `prepare` also takes `manual_dir`, `skip_damaged` and `progress`.

    Example:
        >>> def read(split, data_dir):
        ...     return np.zeros((9, 8, 8, 1), np.uint8), np.arange(9) % 3
        >>> DATASETS["squares"] = DataSet("squares", num_classes=3, read=read)
    """

    name: str
    num_classes: int
    read: Callable[[str, str | os.PathLike | None], tuple[np.ndarray, np.ndarray]] | None = None
    stream: Callable[..., Data] | None = None
    prepare: Callable[..., Summary] | None = None
    from_archives: bool = False


def check_name(name: str) -> None:
    """Refuse the name of a data set that does not exist, and suggest the nearest that does.

    Raises:
        DataError: if `DATASETS` has no such name.
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise DataError(unknown("dataset", name, DATASETS))


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """Identify a set of images and labels, whatever files they came in and in whatever order.

    The fingerprint is the SHA-256 of the sorted SHA-256 of each example, which is its pixels row by
    row and then its label in one byte.

    Args:
        images: uint8 (n, height, width, channels).
        labels: (n,), from 0 to 255.

    Returns:
        64 hexadecimal digits.
    """
    examples = zip(np.ascontiguousarray(images), labels.astype(np.uint8), strict=True)
    digests = sorted(hashlib.sha256(x.tobytes() + y.tobytes()).digest() for x, y in examples)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def digits(split: str, data_dir: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read scikit-learn's handwritten digits: 8x8, their 17 grey levels spread over 0 to 255."""
    from sklearn.model_selection import train_test_split

    images, labels = scikit_learns_digits()
    images = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    rows = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)[
        split == "test"
    ]
    return images[rows], labels[rows].astype(np.int64)


def scikit_learns_digits() -> tuple[np.ndarray, np.ndarray]:
    """Read what scikit-learn's `load_digits` returns, without its import of a second or two.

    Returns:
        All images (1797, 64), from 0 to 16, and labels (1797,).
    """
    package = Path(importlib.util.find_spec("sklearn").origin).parent
    file = package / "datasets" / "data" / "digits.csv.gz"
    if not file.exists():  # another release has put the file elsewhere, and knows where
        from sklearn.datasets import load_digits

        return load_digits(return_X_y=True)
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)


def _stream_imagenet(num_classes, **arguments):
    from bopkit.data.imagenet import pipeline

    return pipeline.load(num_classes, **arguments)


def _prepare_imagenet(data_dir, **arguments):
    from bopkit.data.imagenet import prepare

    return prepare.prepare(data_dir, **arguments)


DATASETS = {
    row.name: row
    for row in (
        DataSet("digits", 10, read=digits),
        DataSet("fashion_mnist", 10, read=fashion_mnist.read, prepare=fashion_mnist.prepare),
        DataSet("cifar10", 10, read=cifar10.read, prepare=cifar10.prepare),
        DataSet(
            "imagenet2012",
            1000,
            stream=_stream_imagenet,
            prepare=_prepare_imagenet,
            from_archives=True,
        ),
    )
}
