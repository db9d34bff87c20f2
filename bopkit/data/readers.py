"""Where the images come from: finds, checks and reads the raw arrays of the small sets.

Each reader takes a split ("train" or "test") and a folder, reads that split's files only, and
returns uint8 images (n, height, width, channels) and int64 labels (n,) in a fixed order.
"""

from __future__ import annotations

import contextlib
import difflib
import gzip
import hashlib
import importlib.util
import json
import math
import os
import re
import struct
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import numpy as np

from bopkit._files import objects
from bopkit.data import tfrecords
from bopkit.errors import DataError, one_line

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
MOST_BYTES = 2**30  # that a file of Fashion-MNIST may inflate to; its largest holds 47 million
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"


def check_name(name: str) -> None:
    """Refuses a dataset that there is not, with the nearest one that there is."""
    if name not in DATASETS:
        near = difflib.get_close_matches(str(name).lower(), DATASETS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise DataError(f"there is no dataset {name!r}: choose one of {', '.join(DATASETS)}{hint}")


def folder(path: str | os.PathLike) -> Path:
    """The folder that is meant, with ~ and ~NAME as a shell has them.

    Raises:
        DataError: there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        home = Path(path).parts[0]
        raise DataError(
            f"{path} cannot be found: no home is known of {home}; write it out."
        ) from error


def digits(split: str, data_dir: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's handwritten digits: 8x8, their 17 grey levels spread over 0 to 255."""
    from sklearn.model_selection import train_test_split

    images, labels = scikit_learns_digits()
    images = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    rows = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)[
        split == "test"
    ]
    return images[rows], labels[rows].astype(np.int64)


def scikit_learns_digits() -> tuple[np.ndarray, np.ndarray]:
    """What its `load_digits` gives, from its file: to import scikit-learn takes a second or two.

    Returns:
        All images (1797, 64), from 0 to 16, and labels (1797,).
    """
    package = Path(importlib.util.find_spec("sklearn").origin).parent
    file = package / "datasets" / "data" / "digits.csv.gz"
    if not file.exists():  # where another release has put it, itself will know
        from sklearn.datasets import load_digits

        return load_digits(return_X_y=True)
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)


def fashion_mnist(
    split: str, data_dir: str | os.PathLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST from the four files of its authors, else from Keras' download."""
    place = find_fashion_mnist(split, data_dir)
    files = _fashion_mnist_files(split)
    if place is not None:
        return _read_idx_pair(place / files[0], place / files[1])

    folders = _fashion_mnist_folders(data_dir)
    missing = (
        f"Fashion-MNIST is not there: looked for {files[0]} and {files[1]} in "
        f"{', '.join(map(str, folders))}"
    )
    advice = (
        "put its four .gz files (github.com/zalandoresearch/fashion-mnist) into a folder named by "
        "data_dir or BOPKIT_DATA_DIR, or install Debian's package dataset-fashion-mnist."
    )
    if data_dir is not None:
        raise DataError(f"{missing}; {advice}")
    from bopkit._tensorflow import tf

    try:
        arrays = tf.keras.datasets.fashion_mnist.load_data()[split == "test"]
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        raise DataError(
            f"{missing}, and Keras could not download it ({one_line(error)}); {advice}"
        ) from error
    return arrays[0][..., None], arrays[1].astype(np.int64)


def find_fashion_mnist(split: str, data_dir: str | os.PathLike | None = None) -> Path | None:
    """The first folder with the authors' files of a split; None if Keras would have to get them."""
    for place in _fashion_mnist_folders(data_dir):
        if all((place / file).is_file() for file in _fashion_mnist_files(split)):
            return place
    return None


def _fashion_mnist_folders(data_dir):
    root = data_dir if data_dir is not None else os.environ.get("BOPKIT_DATA_DIR")
    folders = []
    if root:
        root = folder(root)
        folders += [root, root / "fashion-mnist", root / "fashion_mnist"]
    if data_dir is None:
        folders.append(DEBIAN_FASHION_MNIST)
    return folders


def _fashion_mnist_files(split):
    prefix = {"train": "train", "test": "t10k"}[split]
    return f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz"


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
        raise DataError(f"{labels_path} holds the label {labels.max()}; 9 is the highest there is.")
    return images[..., None], labels.astype(np.int64)


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Reads a gzipped IDX file of unsigned bytes (yann.lecun.com/exdb/mnist), checked."""
    # Two zero bytes, the type (8: unsigned byte), the number of dimensions; then their lengths.
    size = 4 + 4 * dimensions
    try:
        with gzip.open(path) as file:
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


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """Identify a set of images and labels, whatever files they came in and in whatever order.

    The SHA-256 of the sorted SHA-256 of each example, which is its pixels row by row and then its
    label in one byte.

    Args:
        images: uint8 (n, height, width, channels).
        labels: (n,), from 0 to 255.

    Returns:
        64 hexadecimal digits.
    """
    examples = zip(np.ascontiguousarray(images), labels.astype(np.uint8), strict=True)
    digests = sorted(hashlib.sha256(x.tobytes() + y.tobytes()).digest() for x, y in examples)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _cifar10_files(split):
    names = [f"data_batch_{n}" for n in range(1, 6)] if split == "train" else ["test_batch"]
    return [f"{name}.bin" for name in names]


def find_cifar10_binary(split: str, folders: list[Path]) -> Path | None:
    """Return the first folder that holds a split of CIFAR-10's binary files; None without one."""
    for place in folders:
        for inside in (place, place / "cifar-10-batches-bin"):
            if all((inside / file).is_file() for file in _cifar10_files(split)):
                return inside
    return None


def _read_cifar10_binary(place: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    # A row is a label and 3 planes of 32x32; a file holds 10,000 rows, and no more is read.
    most, row = 10_000, 1 + 3 * 32 * 32
    parts = []
    for name in _cifar10_files(split):
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


def cifar10(split: str, data_dir: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read CIFAR-10 from its authors' binary files, else as TFDS prepared it, or prepares it now.

    Returns:
        uint8 images (n, 32, 32, 3) and int64 labels (n,), in the order of the files.

    Raises:
        DataError: the files are damaged, or there are none and the download fails.
    """
    folders = tfds_folders(data_dir)
    binary = find_cifar10_binary(split, folders)
    if binary is not None:
        return _read_cifar10_binary(binary, split)
    prepared = find_prepared("cifar10", folders) or prepare_cifar10(folders)
    try:
        tfrecords.check(prepared)
        builder = open_prepared(prepared)
        import tensorflow_datasets as tfds

        arrays = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    except DataError:
        raise
    except Exception as error:  # TFDS raises what its many parts raise.
        raise DataError(
            f"{prepared} cannot be read ({one_line(error)}): remove that folder and try again."
        ) from error
    return arrays["image"], arrays["label"]


def open_prepared(prepared: Path):
    """TFDS's builder for a folder that it prepared, wherever the folder is from.

    The features named there are classes of any module, which TFDS would import: only its own are
    let.

    Args:
        prepared: a folder `NAME/VERSION` with a `features.json`.

    Raises:
        DataError: it names a class that is not TFDS's.
        Exception: what TFDS raises where the folder is damaged.
    """
    features = json.loads((prepared / "features.json").read_text(encoding="utf8"))
    for value in objects(features):
        for key in ("pythonClassName", "python_class_name", "type"):  # "type" of older versions
            name = value.get(key)
            if isinstance(name, str) and not name.startswith("tensorflow_datasets.core.features."):
                raise DataError(
                    f"{prepared / 'features.json'} asks for {name[:80]!r}, which is not TFDS's own "
                    "and could run code: prepare the set again."
                )
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(prepared)


def prepare_cifar10(folders: list[Path]) -> Path:
    """Has TFDS download CIFAR-10 into the first folder; returns where it stands then."""
    try:
        # Without internet TFDS would go on trying for minutes.
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(CIFAR10_URL, method="HEAD"), timeout=20)
        import tensorflow_datasets as tfds

        builder = tfds.builder("cifar10", data_dir=folders[0])
        builder.download_and_prepare()
    except Exception as error:  # as above
        raise DataError(
            f"CIFAR-10 is not there: looked for cifar10 prepared by TFDS in "
            f"{', '.join(map(str, folders))}, and could not download {CIFAR10_URL} "
            f"({one_line(error)}); run once with internet, or name the folder that holds it with "
            "data_dir or BOPKIT_DATA_DIR."
        ) from error
    return Path(builder.data_dir)


def tfds_folders(data_dir: str | os.PathLike | None) -> list[Path]:
    """Where TFDS's prepared sets may stand: `data_dir` alone, else the two usual places."""
    if data_dir is not None:
        only = folder(data_dir)
        if only.exists() and not only.is_dir():
            raise DataError(f"{only} is a file; data_dir must name a folder.")
        return [only]
    usual = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return [folder(p) for p in (os.environ.get("BOPKIT_DATA_DIR"), usual) if p]


def find_prepared(name: str, folders: list[Path]) -> Path | None:
    """The newest version of a set that TFDS finished preparing in the first folder that has one.

    `FOLDER/NAME/VERSION` with a `dataset_info.json`. Found without TFDS, whose own search is slow
    to import and asks the network about sets that are not there.
    """
    for place in folders:
        versions = [
            info.parent
            for info in (place / name).glob("*/dataset_info.json")
            if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)
        ]
        if versions:
            return max(versions, key=lambda path: tuple(map(int, path.name.split("."))))
    return None


# The sets that fit into memory, by name: to add one takes a reader here, and a row.
READERS = {"digits": digits, "fashion_mnist": fashion_mnist, "cifar10": cifar10}
DATASETS = (*READERS, "imagenet2012")
