"""Identify the data of a run: its folder, its form, and a fingerprint of its images."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bopkit._support.files import open_ordinary, whole_file
from bopkit._support.text import printable
from bopkit.errors import ConfigError, DataError

# Beside files that bopkit prepared: the fingerprint of what they were made from.
FILE = "fingerprint.json"
ARCHIVE = ", archive"  # ends the name of a form whose files are still packed


@dataclass(frozen=True)
class Origin:
    """Say where a data set was read from.

    Attributes:
        form: in which form, in words.
        path: the folder or the archive; None for a set that came with a package.
        official: whether these are the very files that the set's authors published; None where
            nothing tells.
        classes: the names of the classes, by label, of a set of one's own.

    Example:
        >>> bopkit.data.load("digits").origin.form
        "scikit-learn's package"
    """

    form: str
    path: Path | None = None
    official: bool | None = None
    classes: tuple[str, ...] = ()

    def describe(self) -> dict:
        """Make what a run's record holds of it."""
        path = None if self.path is None else _text(str(self.path.absolute()))
        described = {"form": self.form, "path": path, "official": self.official}
        return described | ({"classes": [_text(c) for c in self.classes]} if self.classes else {})


def require_same_form(folder: Path, began: object, found: object) -> None:
    """Refuse to resume a run on a copy of its data that has another form.

    A fingerprint is the same for every form. But the order of the images depends on the form, and
    with it the order of training and the choice of the held-out images.

    Args:
        folder: the run's folder.
        began: what `Origin.describe` made when the run began; anything else is not compared.
        found: the same for the data found now.

    Raises:
        ConfigError: the forms differ. An archive and what it unpacks to count as one form.

    Example:
        >>> digits = bopkit.data.load("digits").origin.describe()
        >>> require_same_form(Path("runs/digits"), digits, found=digits)
    """
    if not (isinstance(began, dict) and isinstance(found, dict)):
        return
    one, other = (str(data.get("form")).removesuffix(ARCHIVE) for data in (began, found))
    if one != other:
        first, second = (
            printable(f"{data.get('path')} ({data.get('form')})") for data in (began, found)
        )
        raise ConfigError(
            f"the run in {folder} began with the data in {first}, but the data found now is in "
            f"{second}, where the images may have another order or size; to resume, name a folder "
            "that holds only the first copy (data_dir, or --data-dir), or choose another output "
            "folder."
        )


def _text(name: str) -> str:
    r"""Write a file's name in UTF-8, with an escape such as ``\udce9`` for each other byte."""
    return name.encode("utf8", "backslashreplace").decode("utf8")


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """Identify a set of images and labels, whatever files they came in and in whatever order.

    The fingerprint is the SHA-256 of the sorted SHA-256 of each example, which is its pixels row by
    row and then its label: in one byte, or in eight (the lowest first) if a label is above 255.

    Args:
        images: uint8 (n, height, width, channels).
        labels: (n,), of at least 0.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> fingerprint(np.zeros((1, 1, 1, 1), np.uint8), np.array([3]))[:8]
        '9a6199af'
    """
    kind = "<u8" if labels.max(initial=0) > 255 else "u1"
    examples = zip(np.ascontiguousarray(images), labels.astype(kind), strict=True)
    digests = sorted(hashlib.sha256(x.tobytes() + y.tobytes()).digest() for x, y in examples)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def fingerprint_names(files: Iterable[tuple[str, int]]) -> str:
    """Identify a split of ImageNet by its images' names and labels: their bytes may be 150 GB.

    Args:
        files: the name of each image, with or without its folder, and its label.

    Returns:
        64 hexadecimal digits: the SHA-256 of the sorted lines `NAME LABEL`.
    """
    lines = sorted(f"{os.path.basename(name)} {label}" for name, label in files)
    return hashlib.sha256("\n".join(lines).encode(errors="replace")).hexdigest()


def write_fingerprint(folder: Path, prints: Mapping[str, str]) -> None:
    """Write a set's fingerprint beside its prepared files."""
    with whole_file(folder / FILE) as file:
        file.write(json.dumps(prints, indent=1).encode())


def read_fingerprint(folder: Path) -> dict[str, str]:
    """Read the fingerprint beside prepared files; empty where somebody else prepared them.

    Raises:
        DataError: if the file is there and holds no fingerprint.
    """
    try:
        with os.fdopen(open_ordinary(folder / FILE), "rb") as file:
            prints = json.loads(file.read(10_000))
        if not all(isinstance(value, str) and len(value) == 64 for value in prints.values()):
            raise ValueError
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError):
        raise DataError(
            f"{folder / FILE} holds no fingerprint: remove it; records of runs on this set will "
            "then hold no fingerprint."
        ) from None
    return prints
