"""List the data sets in one registry: to add a set takes a reader and a row of `DATASETS`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bopkit.data import cifar10, fashion_mnist
from bopkit.data.checks import check_arrays
from bopkit.data.identity import Origin
from bopkit.errors import DataError, unknown

if TYPE_CHECKING:
    from bopkit.data.base import Data
    from bopkit.data.summary import Summary


@dataclass(frozen=True)
class DataSet:
    """Describe one data set: what it is called, how it is read, and how it is prepared.

    Attributes:
        name: what `load` and the command line call the set.
        num_classes: the number of classes; labels lie from 0 to `num_classes` - 1. None if the
            files say how many there are.
        read: the reader of a set that fits into memory: a function of the split ("train" or
            "test") and `data_dir`. It reads that split's files only, and returns uint8 images
            (n, height, width, channels) and integer labels (n,) in a fixed order.
        stream: instead of `read`, for a set that does not fit into memory: a function of
            `num_classes` and of all arguments of `load` but the name, which returns the `Data`.
        locate: a function of `data_dir` and of the splits that are read, which says where `read`
            finds them, as an `Origin`; None if there is nothing to say.
        official: per split, the fingerprint of the set as its authors published it (what
            `bopkit data prepare NAME` prints for their files); empty where it is not known.
        prepare: a function of `data_dir` that puts the files in place, and returns a `Summary` or
            None; None if reading the set puts it in place, or nothing does.
        from_archives: whether `prepare` also takes `manual_dir`, `skip_damaged` and `progress`.

    Example:
        >>> def read(split, data_dir):
        ...     return np.zeros((9, 8, 8, 1), np.uint8), np.arange(9) % 3
        >>> DATASETS["squares"] = DataSet("squares", num_classes=3, read=read)
    """

    name: str
    num_classes: int | None
    read: Callable[[str, str | os.PathLike | None], tuple[np.ndarray, np.ndarray]] | None = None
    stream: Callable[..., Data] | None = None
    locate: Callable[[str | os.PathLike | None, tuple[str, ...]], Origin] | None = None
    official: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[..., Summary] | None = None
    from_archives: bool = False

    def read_checked(
        self, split: str, data_dir: str | os.PathLike | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a split, and refuse what are no images with labels of `num_classes` classes.

        Raises:
            DataError: as `check_arrays`.

        Example:
            >>> images, labels = DATASETS["digits"].read_checked("test", None)
            >>> images.shape, labels.shape
            ((360, 8, 8, 1), (360,))
        """
        return check_arrays(self.name, split, *self.read(split, data_dir), self.num_classes)

    def originate(
        self, data_dir: str | os.PathLike | None, fingerprint: Mapping[str, str]
    ) -> Origin | None:
        """Say where the splits were read from that have this fingerprint."""
        if self.locate is None:
            return None
        origin = self.locate(data_dir, tuple(fingerprint))
        if self.official:
            official = all(self.official.get(k) == v for k, v in fingerprint.items())
            origin = replace(origin, official=official)
        return origin


def check_name(name: str) -> None:
    """Refuse the name of a data set that does not exist, and suggest the nearest that does.

    Raises:
        DataError: if `DATASETS` has no such name.
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise DataError(unknown("dataset", name, DATASETS))


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


def _stream_folders(num_classes, **arguments):
    from bopkit.data import folders

    return folders.load_own(num_classes, **arguments)


def _stream_imagenette(num_classes, **arguments):
    from bopkit.data import imagenette

    return imagenette.load(num_classes, **arguments)


def _prepare_imagenette(data_dir):
    from bopkit.data import imagenette

    return imagenette.prepare(data_dir)


def _describe_folders(data_dir):
    from bopkit.data import folders

    return folders.describe(data_dir)


def _prepare_imagenet(data_dir, **arguments):
    from bopkit.data.imagenet import prepare

    return prepare.prepare(data_dir, **arguments)


DATASETS = {
    row.name: row
    for row in (
        DataSet(
            "digits",
            10,
            read=digits,
            locate=lambda data_dir, splits: Origin("scikit-learn's package"),
            official={
                "train": "8ed77bb57b28b8ac78be81ddde841c2c87dcd4fbdc4409046c46138aacf2c50b",
                "test": "4382cd17fa408752b393f4b639481a5ccd2c1199d7621fe278dbc65d37815288",
            },
        ),
        DataSet(
            "fashion_mnist",
            10,
            read=fashion_mnist.read,
            locate=fashion_mnist.locate,
            official={
                "train": "fb88a2f5c1b590c907f860b47803d006e4fa7b276cdb551799af9d443accdff7",
                "test": "0b381379398a0943a88bf3864ff3f5177903dcf178030b4b74c495294b38fa7c",
            },
        ),
        DataSet(
            "cifar10",
            10,
            read=cifar10.read,
            locate=cifar10.locate,
        ),
        DataSet(
            "imagenet2012",
            1000,
            stream=_stream_imagenet,
            prepare=_prepare_imagenet,
            from_archives=True,
        ),
        DataSet("imagenette", 10, stream=_stream_imagenette, prepare=_prepare_imagenette),
        DataSet("image_folder", None, stream=_stream_folders, prepare=_describe_folders),
    )
}
