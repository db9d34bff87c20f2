"""Say what is there of a data set, and check that there is room for it. No TensorFlow here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from bopkit.data.identity import Origin
from bopkit.errors import DataError

_OFFICIAL = {
    True: "these are the files or the images that the set's authors published",
    False: "these are not the files or the images that the set's authors published",
    None: "nothing tells whether these are the files that the set's authors published",
}


@dataclass(frozen=True)
class Summary:
    """Describe a prepared data set; `str()` gives what the command line prints.

    Attributes:
        name: of the data set.
        folder: where its files are; None for a set that came with a package.
        examples: number of examples per split.
        shards: number of files per split, for a set that TFDS prepared.
        size: bytes of those files together.
        origin: where its files lie and in which form, for a set that fits into memory.
        fingerprint: per split, what identifies its images and labels: see `identity.fingerprint`.
        note: what else there is to know; may be empty.

    Example:
        >>> print(Summary("digits", None, {"train": 1437, "test": 360}))
        digits is there
          train: 1,437 examples
          test: 360 examples
    """

    name: str
    folder: Path | None
    examples: dict[str, int]
    shards: dict[str, int] = field(default_factory=dict)
    size: int = 0
    origin: Origin | None = None
    fingerprint: dict[str, str] = field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        where = f" in {self.folder}" if self.folder else ""
        size = f" ({tqdm.format_sizeof(self.size, 'B')})" if self.size else ""
        lines = [f"{self.name} is there{where}{size}"]
        for split, number in self.examples.items():
            shards = self.shards.get(split)
            files = f" in {shards:,} file{'s' * (shards > 1)}" if shards else ""
            lines.append(f"  {split}: {number:,} examples{files}")
            if split in self.fingerprint:
                lines.append(f"    fingerprint {self.fingerprint[split]}")
        if self.origin is not None:
            lines.append(f"  form: {self.origin.form}")
            lines.append(f"  {_OFFICIAL[self.origin.official]}")
        return "\n".join(lines + ([f"  {self.note}"] if self.note else []))


def check_space(folder: Path, needed: int, name: str) -> None:
    """Check that the disk has room for a data set.

    Args:
        folder: where the set will be written; need not exist yet.
        needed: bytes that the set takes.
        name: of the set.

    Raises:
        DataError: if there is less free space.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise DataError(
            f"{folder} has {tqdm.format_sizeof(free, 'B')} of free space and {name} takes "
            f"{tqdm.format_sizeof(needed, 'B')}: make room, or name another folder with --data-dir."
        )
