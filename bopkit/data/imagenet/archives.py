"""Check that ImageNet's archives are there, whole, and of the form that TFDS reads.

The checks read the headers of the members, not the images, which takes seconds for the full
archives on a local disk. TFDS itself notices a fault only when it comes to it, after hours.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from bopkit.data import checks
from bopkit.errors import DataError, one_line

HOW_TO_GET = (
    "register at image-net.org, download the two ILSVRC2012 archives for classification into one "
    "folder, and name it with --manual-dir"
)
# After its last member an archive is padded with zeros: up to 10,240 unless `tar -b` says more.
LONGEST_PADDING = 1 << 16


@dataclass(frozen=True)
class Archive:
    """Name one of ImageNet's archives, and the full one's size in bytes and images."""

    split: str
    name: str
    full_size: int
    full_images: int


ARCHIVES = (
    Archive("train", "ILSVRC2012_img_train.tar", 147_897_477_120, 1_281_167),
    Archive("validation", "ILSVRC2012_img_val.tar", 6_744_924_160, 50_000),
)


def find(manual_dir: str | os.PathLike | None) -> dict[Archive, Path]:
    """Find ImageNet's two archives.

    Args:
        manual_dir: the folder that must hold them.

    Returns:
        The path of each of `ARCHIVES`.

    Raises:
        DataError: if one is not there; the error says how to get them.
    """
    if manual_dir is None:
        raise DataError(f"imagenet2012 is made from its archives; {HOW_TO_GET}.")
    folder = checks.folder(manual_dir)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; {HOW_TO_GET}.")
    found = {archive: folder / archive.name for archive in ARCHIVES}
    missing = [archive.name for archive, path in found.items() if not path.is_file()]
    if missing:
        others = sorted({path.name for path in folder.glob("*.tar*")} - {a.name for a in ARCHIVES})
        hint = f" (it holds {', '.join(others[:5])}: rename what is meant)" if others else ""
        raise DataError(f"{folder} lacks {' and '.join(missing)}{hint}; {HOW_TO_GET}.")
    return found


def check(archive: Archive, path: Path) -> str:
    """Check the headers of all members of an archive.

    Neither this function nor TFDS unpacks the archive to disk, so a member whose name leads out of
    the folder (`/NAME`, `../NAME`) writes nothing there.

    Args:
        archive: which of `ARCHIVES` it must be, or a smaller one of its form.
        path: the file.

    Returns:
        Words that say what the archive holds.

    Raises:
        DataError: if the archive is cut short or damaged, or TFDS could not read or label it.
    """
    size = path.stat().st_size
    of_full = f" of the full archive's {archive.full_size:,}" if size < archive.full_size else ""
    check_member = {"train": _check_class, "validation": _check_validation_image}[archive.split]
    known, names = set(imagenet_list("labels.txt")), set()
    try:
        with tarfile.open(path, "r:") as file:
            for member in file:
                name = os.path.normpath(member.name)
                if passed_over(member):
                    continue
                if name in names or not member.isreg() or member.issparse():
                    raise DataError(
                        f"{path} holds {name!r} twice, as a link or with gaps: pack it again."
                    )
                check_member(path, file, member, name, known)
                names.add(name)
            file.fileobj.seek(file.offset)
            padding = file.fileobj.read(LONGEST_PADDING + 1)
    except (tarfile.TarError, OSError) as error:
        raise DataError(
            f"{path} ({size:,} bytes{of_full}) is not an uncompressed tar archive, or is cut short "
            f"or damaged ({one_line(error)}): get it again."
        ) from error
    # tarfile takes the first block that is no header for the end, wherever that is.
    if len(padding) < tarfile.BLOCKSIZE:
        raise DataError(f"{path} is cut short at {size:,} bytes{of_full}: get it again.")
    if any(padding) or len(padding) > LONGEST_PADDING:
        raise DataError(
            f"{path} is damaged after byte {file.offset:,} of {size:,}, as after a download that "
            "is not finished: get it again."
        )
    if not names:
        raise DataError(f"{path} holds no images.")
    full = "the size of the full one" if size == archive.full_size else "not the full ImageNet"
    return f"{len(names):,} {'classes' if archive.split == 'train' else 'images'}, {full}"


def passed_over(member: tarfile.TarInfo) -> bool:
    """Tell whether a member is not meant to be an image: a folder, or what macOS adds (._NAME)."""
    return member.isdir() or os.path.basename(os.path.normpath(member.name)).startswith(".")


def _check_class(path, file, member, name, known):
    if not name.endswith(".tar") or name[:-4] not in known:
        raise DataError(
            f"{path} holds {name!r}, but must hold an archive nNNNNNNNN.tar, in no folder, for "
            "each class of ImageNet, and nothing else."
        )
    try:
        header = file.extractfile(member).read(tarfile.BLOCKSIZE)
        tarfile.TarInfo.frombuf(header, "utf8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise DataError(
            f"{path} is damaged: its member {name} is not a tar archive with images; get it again."
        ) from error


def _check_validation_image(path, file, member, name, known):
    number = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", name)
    if number is None or not 1 <= int(number[1]) <= 50_000:
        raise DataError(
            f"{path} holds {name!r}, but must hold images with ImageNet's own names, in no "
            "folder, ILSVRC2012_val_00000001.JPEG to _00050000.JPEG: they tell the classes."
        )


def imagenet_list(name: str) -> list[str]:
    """Read one of the lists that TFDS keeps of ImageNet, without importing TFDS.

    Args:
        name: "labels.txt", the classes by number, or "validation_labels.txt", the classes of the
            validation images by number.

    Returns:
        The WordNet IDs.
    """
    package = Path(importlib.util.find_spec("tensorflow_datasets").origin).parent
    return (package / "datasets" / "imagenet2012" / name).read_text(encoding="utf8").split()
