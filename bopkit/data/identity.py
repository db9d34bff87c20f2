"""Say which data was used: where it lay, in which form, and a fingerprint that no form changes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Origin:
    """Say where a data set was read from.

    Attributes:
        form: in which form, in words.
        path: the folder or the archive; None for a set that came with a package.
        official: whether these are the very files that the set's authors published; None where
            nothing tells.
        classes: the names of the classes, by label, of a set of one's own.
    """

    form: str
    path: Path | None = None
    official: bool | None = None
    classes: tuple[str, ...] = ()

    def describe(self) -> dict:
        """Make what a run's record holds of it."""
        path = None if self.path is None else str(self.path.absolute())
        described = {"form": self.form, "path": path, "official": self.official}
        return described | ({"classes": list(self.classes)} if self.classes else {})


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
        '98b72efd'
    """
    kind = "<u8" if labels.max(initial=0) > 255 else "u1"
    examples = zip(np.ascontiguousarray(images), labels.astype(kind), strict=True)
    digests = sorted(hashlib.sha256(x.tobytes() + y.tobytes()).digest() for x, y in examples)
    return hashlib.sha256(b"".join(digests)).hexdigest()
