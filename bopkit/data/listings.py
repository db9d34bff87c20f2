"""List the images of a set that lies in folders, one for each class. No TensorFlow here."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bopkit._support.text import note, printable
from bopkit.data.identity import fingerprint_names
from bopkit.data.imagenet.archives import imagenet_list
from bopkit.errors import DataError, did_you_mean

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif")  # what TensorFlow decodes, in any case
_OF_WINDOWS = ("thumbs.db", "desktop.ini")  # which it hides


@dataclass(frozen=True)
class Listing:
    """List the files of a set that lies in folders.

    Attributes:
        form: what to call the form.
        root: the folder.
        classes: the classes' names; a label is a place in this list.
        train, validation: (path below the root, label) of each image, sorted.
    """

    form: str
    root: Path
    classes: tuple[str, ...]
    train: list[tuple[str, int]]
    validation: list[tuple[str, int]]

    def fingerprint(self) -> dict[str, str]:
        """Identify the images only by names and labels, because their bytes may be 150 GB."""
        halves = {"train_files": self.train, "validation_files": self.validation}
        return {half: fingerprint_names(files) for half, files in halves.items()}


def find_own(place: Path) -> Listing:
    """List a set of one's own: `train/CLASS/*` and `val/CLASS/*`, or only `CLASS/*`.

    Args:
        place: the folder.

    Raises:
        DataError: if there is no such folder, a class has no image, or `val` has another class.
    """
    if not place.is_dir():
        raise DataError(f"there is no folder {place}; name one with train/CLASS/*.jpg in it.")
    halves = [place / name for name in ("val", "validation", "test") if (place / name).is_dir()]
    train = place / "train" if (place / "train").is_dir() else place
    if train is place and halves:
        raise DataError(f"{place} has {halves[0].name}, but no train: name the training set train.")
    classes = tuple(_subfolders(train))
    if len(classes) < 2:
        raise DataError(
            f"{train} must hold a folder of images for each of at least 2 classes; it holds "
            f"{len(classes)} folders."
        )
    return Listing(
        "folders, one for each class",
        place,
        classes,
        _images(place, train, classes),
        _images(place, halves[0], classes, may_lack=True) if halves else [],
    )


def find_classes(form: str, root: Path, classes: tuple[str, ...]) -> Listing | None:
    """List a set whose classes are known, in `train/CLASS/*` and `val/CLASS/*`.

    Args:
        form: what to call the form.
        root: the folder.
        classes: the names of all classes, by label.

    Returns:
        The listing; None if the folder does not hold the folders of these classes.

    Raises:
        DataError: a class has no image.
    """
    train, val = root / "train", root / "val"
    if not (train.is_dir() and val.is_dir() and set(_subfolders(train)) == set(classes)):
        return None
    return Listing(form, root, classes, _images(root, train, classes), _images(root, val, classes))


def find_imagenet(places: Iterable[Path]) -> Listing | None:
    """Find ImageNet as folders, in the first place that has it: torchvision's form or Kaggle's.

    Torchvision's is `train/SYNSET/*.JPEG` and `val/SYNSET/*.JPEG`. Kaggle's has both below
    `ILSVRC/Data/CLS-LOC`, and all validation images in one folder: their classes are in
    `LOC_val_solution.csv`, or follow from ImageNet's own numbers in their names.

    Raises:
        DataError: if a folder is not one of ImageNet's classes, has no image, or an image has no
            class.
    """
    classes = tuple(imagenet_list("labels.txt"))
    for place in places:
        for root in (place, place / "imagenet2012", place / "ILSVRC" / "Data" / "CLS-LOC"):
            train, val = root / "train", root / "val"
            if not (train.is_dir() and val.is_dir() and _subfolders(train)):
                continue
            if _subfolders(val):
                form, validation = "torchvision's folders", _images(root, val, classes, some=True)
            else:
                form, validation = "Kaggle's folders", _flat(root, val, place, classes)
            return Listing(
                form, root, classes, _images(root, train, classes, some=True), validation
            )
    return None


def _subfolders(folder):
    return sorted(e.name for e in os.scandir(folder) if e.is_dir() and e.name[0] != ".")


def _files(folder):
    """List the images of a folder, and what else it holds; follow links, and skip hidden files."""
    images, others = [], []
    for entry in os.scandir(folder):
        if entry.name[0] == "." or entry.name.lower() in _OF_WINDOWS:
            continue
        image = entry.name.lower().endswith(ENDINGS) and not entry.is_dir()
        (images if image else others).append(entry.name)
    return sorted(images), sorted(others)


def _images(root, half, classes, *, some=False, may_lack=False):
    """(Path below the root, label) of each image of one half of a set."""
    labels, found = {name: label for label, name in enumerate(classes)}, []
    ignored = [half / file for file in _files(half)[0]]
    for name in _subfolders(half):
        if name not in labels:
            near = did_you_mean(name, labels)
            raise DataError(
                f"{half / name} is not one of ImageNet's classes; {near}for other sets there is "
                "image_folder."
                if some
                else f"{half / name} is a class that the training set lacks; {near}each class "
                "needs a folder of this name in train."
            )
        names, others = _files(half / name)
        ignored += [half / name / other for other in others]
        if not names and not may_lack:
            raise DataError(
                f"{half / name} holds no image (one of {', '.join(ENDINGS)}): remove the folder, "
                "or fill it."
            )
        below = (half / name).relative_to(root)
        found += [(str(below / file), labels[name]) for file in names]
    if ignored:
        more = f", as are {len(ignored) - 1:,} more" if ignored[1:] else ""
        images = f"the images are the files {', '.join(ENDINGS)} in {half / 'CLASS'}"
        note(printable(f"{ignored[0]} is ignored{more}: {images}."))
    return found


def _flat(root, val, place, classes):
    """(Path below the root, label) of each validation image where all lie in one folder."""
    labels = {name: label for label, name in enumerate(classes)}
    solutions = [
        path
        for folder in (root, *root.parents)
        if folder == place or place in folder.parents
        for path in (folder / "LOC_val_solution.csv",)
        if path.is_file()
    ]
    of = {}
    if solutions:
        with solutions[0].open(newline="", encoding="utf8", errors="replace") as file:
            try:
                rows = [row for row in csv.reader(file) if len(row) == 2]
            except csv.Error as error:
                raise DataError(f"{solutions[0]} is not Kaggle's list ({error}).") from error
        of = {image: text.split(" ")[0] for image, text in rows}
    official = imagenet_list("validation_labels.txt")
    found = []
    for name in _files(val)[0]:
        synset = of.get(name.rpartition(".")[0])
        number = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", name)
        if synset is None and number and 1 <= int(number[1]) <= len(official):
            synset = official[int(number[1]) - 1]
        if synset not in labels:
            raise DataError(
                f"{val / name} has no class: it is not in LOC_val_solution.csv, and its name is "
                "not one of ImageNet's, such as ILSVRC2012_val_00000001.JPEG."
            )
        found.append((str((val / name).relative_to(root)), labels[synset]))
    if not found:
        raise DataError(f"{val} holds neither folders nor images: fill it, or remove it.")
    return found
