"""Find and read Fashion-MNIST's four IDX files, gzipped or not, or have Keras download them."""

from __future__ import annotations

import gzip
import math
import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np

from bopkit._support.files import whole_file
from bopkit.data.checks import data_folder, environment_folder, keras_cache, require_writable
from bopkit.data.identity import Origin
from bopkit.errors import DataError, as_our_error, one_line

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_PREFIXES = {"train": "train", "test": "t10k"}
MOST_BYTES = 2**30  # that a file may inflate to; the largest holds 47 million


def read(split: str, data_dir: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read Fashion-MNIST from the four files of its authors; have Keras download them if need be.

    Raises:
        DataError: if the files are damaged, or there are none and the folder for them cannot be
            written or the download fails.
    """
    place = find(split, data_dir) or _download(split, data_dir)
    return _read_idx_pair(*_files(place, split))


def _download(split, data_dir) -> Path:
    """Have Keras download a split's files into `data_dir`, `$BOPKIT_DATA_DIR` or its own cache."""
    from bopkit._tensorflow import tf

    images, labels = _names(split)
    failed = (
        f"Fashion-MNIST is not there: looked for {images}.gz and {labels}.gz, or the same "
        f"unzipped, in {', '.join(map(str, _folders(data_dir)))}, and Keras could not download it "
        "({}); put its four .gz files (github.com/zalandoresearch/fashion-mnist) into a folder "
        "named by data_dir or BOPKIT_DATA_DIR, or install Debian's package dataset-fashion-mnist."
    )
    place = (_named(data_dir) or keras_cache()) / "fashion-mnist"
    require_writable(place)
    # Keras raises a bare Exception when a download fails.
    with as_our_error(DataError, failed), tempfile.TemporaryDirectory() as elsewhere:
        for name in (f"{images}.gz", f"{labels}.gz"):
            file = tf.keras.utils.get_file(name, URL + name, cache_dir=elsewhere, cache_subdir="")
            place.mkdir(parents=True, exist_ok=True)
            # Nobody reads half a file: neither another process, nor one after an interruption.
            with whole_file(place / name) as whole:
                whole.write(Path(file).read_bytes())
    return place


def find(split: str, data_dir: str | os.PathLike | None = None) -> Path | None:
    """Find the first folder with the authors' files of a split; None if there is none."""
    for place in _folders(data_dir):
        if _files(place, split):
            return place
    return None


def locate(data_dir: str | os.PathLike | None, splits: tuple[str, ...]) -> Origin:
    """Say where Fashion-MNIST is read from."""
    return Origin("IDX files", find(splits[0], data_dir))


def _named(data_dir):
    return data_folder(data_dir) if data_dir is not None else environment_folder()


def _folders(data_dir):
    root, folders = _named(data_dir), []
    if root:
        # torchvision's root holds the files in FashionMNIST/raw.
        names = ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "raw")
        folders += [root, *(root / name for name in names)]
    if data_dir is None:
        folders += [DEBIAN_FOLDER, keras_cache() / "fashion-mnist"]
    return folders


def _files(place: Path, split: str) -> list[Path]:
    """The files of a split's images and labels, gzipped or not; none unless both are there."""
    found = [
        next((p for p in (place / f"{name}.gz", place / name) if p.is_file()), None)
        for name in _names(split)
    ]
    return [] if None in found else found


def _names(split):
    prefix = _PREFIXES[split]
    return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


def _read_idx_pair(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images = _read_idx(images_path, dimensions=3)
    labels = _read_idx(labels_path, dimensions=1)
    if images.shape[1:] != (28, 28):
        raise DataError(f"{images_path} holds images of {images.shape[1:]}, not (28, 28).")
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images)} images, but {labels_path} {len(labels)} labels."
        )
    if labels.max(initial=0) > 9:
        raise DataError(
            f"{labels_path} holds the label {labels.max()}; labels must be from 0 to 9: "
            "get it again."
        )
    return images[..., None], labels.astype(np.int64)


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read and check an IDX file of unsigned bytes, gzipped or not (yann.lecun.com/exdb/mnist)."""
    # Two zero bytes, the type (8: unsigned byte), the number of dimensions; then their lengths.
    size = 4 + 4 * dimensions
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(size)
            if header[:4] != bytes((0, 0, 8, dimensions)) or len(header) < size:
                raise DataError(
                    f"{path} is not the IDX file it should be: it begins with "
                    f"{header[:4].hex() or 'nothing'}, not with 000008{dimensions:02x}."
                )
            shape = struct.unpack(f">{dimensions}I", header[4:])
            announced = math.prod(shape)
            if not 0 < announced <= MOST_BYTES:
                raise DataError(
                    f"{path} announces {announced:,} bytes, and not 1 to {MOST_BYTES:,}: it is "
                    "damaged, get it again."
                )
            # A file may be made to inflate without end: no more is read than it announced.
            content = file.read(announced + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read ({one_line(error)}): it is damaged or cut short, get it again."
        ) from error
    if len(content) != announced:
        held = "more" if len(content) > announced else f"{len(content):,}"
        raise DataError(
            f"{path} announces {announced:,} bytes but holds {held}: "
            "it is damaged or cut short, get it again."
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
