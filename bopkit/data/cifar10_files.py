"""Read CIFAR-10 as its authors publish it: Python's batches or binary files, or their archives.

Both forms hold the same images in the same order, a file of 10,000 for each fifth of the training
set and one for the test set.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bopkit.data.identity import ARCHIVE
from bopkit.errors import DataError, one_line

_PIXELS, _MOST_ROWS = 3 * 32 * 32, 10_000
_LARGEST_FILE = 64 * 2**20  # the authors' own files hold 31 million bytes
LARGEST_ARCHIVE = 2**30  # bytes that an archive may inflate to; the authors' hold 186 million


@dataclass(frozen=True)
class Form:
    """Describe one of the two forms.

    Attributes:
        name: what `bopkit data prepare` calls it.
        inside: where the files are looked for below a place.
        archives: the names of the archive, the authors' own first.
        ending: of a file's name.
        decode: reads the labels and the pixels of one file's bytes.
        sums: the published checksums by name: SHA-256 of the authors' archive, MD5 of the files.
    """

    name: str
    inside: tuple[str, ...]
    archives: tuple[str, ...]
    ending: str
    decode: Callable[[bytes], tuple[np.ndarray, np.ndarray]]
    sums: Mapping[str, str]

    def files(self, split: str) -> list[str]:
        """Name the files of a split, in the order of the examples."""
        names = [f"data_batch_{n}" for n in range(1, 6)] if split == "train" else ["test_batch"]
        return [name + self.ending for name in names]


@dataclass(frozen=True)
class Source:
    """Name a place that holds CIFAR-10 in one of the two forms: a folder, or an archive."""

    form: Form
    path: Path
    packed: bool

    @property
    def name(self) -> str:
        """What to call it."""
        return self.form.name + ARCHIVE if self.packed else self.form.name

    def read(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Read a split.

        Returns:
            uint8 images `(n, 32, 32, 3)` and int64 labels `(n,)`, in the order of the files.

        Raises:
            DataError: a file is damaged, or is not what it should be.
        """
        names = self.form.files(split)
        contents = _unpack(self.path, names) if self.packed else _read(self.path, names)
        labels, images = zip(
            *(self._decode(name, content) for name, content in contents.items()), strict=True
        )
        images = np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(images), np.concatenate(labels).astype(np.int64)

    def is_official(self, splits: tuple[str, ...]) -> bool | None:
        """Tell whether these are the authors' own bytes, by the checksums that they publish.

        Args:
            splits: "train", "test" or both. An archive counts as a whole.

        Returns:
            Whether; None for a form whose files have no published checksum.

        Raises:
            DataError: a file cannot be read.
        """
        if self.packed:
            digest = hashlib.sha256()
            try:
                with self.path.open("rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
            except OSError as error:
                raise DataError(f"{self.path} cannot be read: {error.strerror}.") from error
            return digest.hexdigest() == self.form.sums[self.form.archives[0]]
        names = [name for split in splits for name in self.form.files(split)]
        if not self.form.sums.keys() >= set(names):
            return None
        return all(
            hashlib.md5(content, usedforsecurity=False).hexdigest() == self.form.sums[name]
            for name, content in _read(self.path, names).items()
        )

    def _decode(self, name, content):
        try:
            labels, pixels = self.form.decode(content)
        except Exception as error:  # a pickle may fail in any way
            raise DataError(
                f"{self.path / name} is not one of CIFAR-10's files ({one_line(error)}): it is "
                "damaged or cut short, or something else; get it again."
            ) from error
        if not 0 < len(pixels) <= _MOST_ROWS or len(pixels) != len(labels):
            raise DataError(
                f"{self.path / name} must hold from 1 to {_MOST_ROWS:,} images with a label each; "
                f"it holds {len(pixels):,} with {len(labels):,}: get it again."
            )
        return labels, pixels


def find(split: str, place: Path) -> Source | None:
    """Find a split in a place: in a folder of the place, or else in an archive.

    Args:
        split: "train" or "test".
        place: a folder, which need not exist.
    """
    for form in FORMS:
        for inside in form.inside:
            folder = place / inside
            if all((folder / file).is_file() for file in form.files(split)):
                return Source(form, folder, packed=False)
    for form in FORMS:
        for archive in form.archives:
            if (place / archive).is_file():
                return Source(form, place / archive, packed=True)
    return None


def _read(folder: Path, names: list[str]) -> dict[str, bytes]:
    contents = {}
    for name in names:
        try:
            with (folder / name).open("rb") as file:
                contents[name] = file.read(_LARGEST_FILE + 1)
        except OSError as error:
            raise DataError(f"{folder / name} cannot be read: {error.strerror}.") from error
        if len(contents[name]) > _LARGEST_FILE:
            raise DataError(f"{folder / name} is too large for one of CIFAR-10's files.")
    return contents


def _unpack(archive: Path, names: list[str]) -> dict[str, bytes]:
    """Read files out of an archive into memory; nothing is written, whatever their names are."""
    contents, passed = {}, 0
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                passed += member.size
                if member.issparse() or passed > LARGEST_ARCHIVE:
                    raise DataError(f"{archive} inflates to more than CIFAR-10 takes.")
                name = member.name.rpartition("/")[2]
                if member.isreg() and name in names and member.size <= _LARGEST_FILE:
                    contents[name] = tar.extractfile(member).read()
                if len(contents) == len(names):
                    break
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(
            f"{archive} cannot be read ({one_line(error)}): it is damaged or cut short, get it "
            "again."
        ) from error
    missing = [name for name in names if name not in contents]
    if missing:
        raise DataError(f"{archive} lacks {', '.join(missing)}: get it again.")
    return {name: contents[name] for name in names}


def _decode_binary(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    # A row is a label and 3 planes of 32x32.
    if len(content) % (1 + _PIXELS):
        raise ValueError(f"{len(content):,} bytes are no rows of {1 + _PIXELS:,}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return rows[:, 0], rows[:, 1:]


def _decode_python(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    for opcode, argument, _ in pickletools.genops(content):
        # Python would make room for as many remembered values as the number says.
        if opcode.name.endswith("PUT") and int(argument) > len(content):
            raise ValueError("it numbers more values than it can hold")
    batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    if not isinstance(batch, dict):
        raise ValueError("it holds no dict")
    batch = {k.decode() if isinstance(k, bytes) else k: v for k, v in batch.items()}
    data, labels = batch.get("data"), batch.get("labels")
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise ValueError("it lacks the array 'data' or the list 'labels'")
    if any(type(label) is not int or not 0 <= label < 256 for label in labels):
        raise ValueError("a label is not a whole number from 0 to 255")
    return np.array(labels, np.uint8), data.pixels()


class _Unpickler(pickle.Unpickler):
    """Unpickle numbers, texts, lists and one kind of array, and nothing else.

    A pickle is a program that calls what it names. The few names that CIFAR-10's files hold are
    answered with `_Array`, `_Type` and `_encode`, so that nothing is imported, and nothing of
    NumPy's is called with what a file says.
    """

    def find_class(self, module, name):
        # NumPy 2 writes numpy._core for numpy.core.
        found = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no file of CIFAR-10 does, and which could run "
                "code"
            )
        return found


class _Array:
    """Replace an array: remember its bytes, shape and type, and build it if they fit pixels."""

    def __init__(self, *arguments):
        self.state = None

    def __setstate__(self, state):
        self.state = state

    def pixels(self):
        _, shape, dtype, by_columns, content = self.state
        if not (isinstance(dtype, _Type) and dtype.name in ("u1", b"u1") and not by_columns):
            raise ValueError("'data' is not an array of bytes by rows")
        if isinstance(content, str):
            content = content.encode("latin1")
        pixels = np.frombuffer(content, np.uint8)  # of bytes, or it raises
        if len(shape) != 2 or shape[1] != _PIXELS or shape[0] * shape[1] != pixels.size:
            raise ValueError(f"'data' is not of shape (n, {_PIXELS})")
        return pixels.reshape(-1, _PIXELS)


class _Type:
    """Replace the NumPy type that an array's numbers have."""

    def __init__(self, name, *arguments):
        self.name = name

    def __setstate__(self, state):
        pass


def _encode(text, encoding):
    """Make bytes of text, as Python 3 writes bytes that Python 2 can read."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise ValueError("bytes are not written as Latin-1")
    return text.encode("latin1")


def _from_buffer(content, dtype, shape, order):
    """Make an array as pickles of protocol 5 do."""
    array = _Array()
    array.state = (1, shape, dtype, order not in ("C", b"C"), content)
    return array


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}

# Published on www.cs.toronto.edu/~kriz/cifar.html, and in the sources of Keras and torchvision.
FORMS = (
    Form(
        "Python's batches",
        # The third is where Keras 3 puts it.
        ("", "cifar-10-batches-py", "cifar-10-batches-py-target/cifar-10-batches-py"),
        ("cifar-10-python.tar.gz", "cifar-10-batches-py.tar.gz"),  # Keras 2 calls it the second
        "",
        _decode_python,
        {
            "cifar-10-python.tar.gz": (
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
            ),
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
    ),
    Form(
        "binary files",
        ("", "cifar-10-batches-bin"),
        ("cifar-10-binary.tar.gz",),
        ".bin",
        _decode_binary,
        {
            "cifar-10-binary.tar.gz": (
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9dddda3db29a59bca1dd"
            )
        },
    ),
)
