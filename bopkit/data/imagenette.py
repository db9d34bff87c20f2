"""Find and read Imagenette: ten of ImageNet's classes, for whoever has no ImageNet.

github.com/fastai/imagenette; 9,469 + 3,925 images in its second version, and 94 MB at 160 pixels.
"""

from __future__ import annotations

import os
from pathlib import Path

from bopkit.data import folders, tfds
from bopkit.data.identity import Origin
from bopkit.data.imagenet import pipeline
from bopkit.data.listings import Listing, find_classes
from bopkit.data.photographs import check_arguments
from bopkit.data.summary import Summary, check_space

# Label by label, as TFDS numbers them.
CLASSES = (
    "n01440764", "n02102040", "n02979186", "n03000684", "n03028079",
    "n03394916", "n03417042", "n03425413", "n03445777", "n03888257",
)  # fmt: skip
# The largest images first. As its authors' archives unpack, and as TFDS calls its configurations.
UNPACKED = ("", "imagenette2", "imagenette2-320", "imagenette2-160")
CONFIGURATIONS = ("full-size-v2", "320px-v2", "160px-v2", "full-size", "320px", "160px")
URL = "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz"
SPACE = 300_000_000  # bytes of the download, of what is unpacked from it, and of the prepared files


def load(num_classes: int, data_dir: str | os.PathLike | None = None, **arguments):
    """Open Imagenette as it unpacks or as TFDS prepared it, or have TFDS download 160 pixels of it.

    Args:
        num_classes: 10.
        data_dir: the only folder to look in (and to download to).
        **arguments: the others of `bopkit.data.load`.

    Raises:
        DataError: if the data or an argument is not as it must be, or the download fails.
    """
    check_arguments("imagenette", arguments.pop("channels"), arguments.pop("preprocess"))
    places = tfds.folders(data_dir)
    if listing := _find_unpacked(places):
        return folders.load("imagenette", listing, **arguments)
    prepared = _find(places) or _download(places)
    loaded = pipeline.open_prepared("imagenette", prepared, num_classes, **arguments)
    loaded.origin = Origin(f"{loaded.origin.form}, {prepared.parent.name}", prepared)
    return loaded


def prepare(data_dir: str | os.PathLike | None) -> Summary:
    """Say what is there of Imagenette; have TFDS download it if it is nowhere.

    Raises:
        DataError: if files are damaged, there is too little room, or the download fails.
    """
    places = tfds.folders(data_dir)
    if listing := _find_unpacked(places):
        return folders.summarize("imagenette", listing)
    return tfds.summarize(_find(places) or _download(places))


def _find_unpacked(places) -> Listing | None:
    for place in places:
        for name in UNPACKED:
            root = (place / name).absolute()
            # The three sizes have the same names and labels: only the folder tells them apart.
            size = f", {root.name}" if root.name in UNPACKED[1:] else ""
            if listing := find_classes(f"its authors' folders{size}", root, CLASSES):
                return listing
    return None


def _find(places) -> Path | None:
    names = (f"imagenette/{configuration}" for configuration in CONFIGURATIONS)
    return next(filter(None, (tfds.find_prepared(name, places) for name in names)), None)


def _download(places):
    check_space(places[0], SPACE, "imagenette")
    return tfds.download("imagenette/160px-v2", "Imagenette", URL, places)
