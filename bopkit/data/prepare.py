"""Prepare a data set for training, and describe it."""

from __future__ import annotations

import os

from bopkit.data import readers
from bopkit.data.identity import fingerprint
from bopkit.data.summary import Summary
from bopkit.errors import ConfigError

__all__ = ["Summary", "prepare"]


def prepare(
    name: str,
    *,
    manual_dir: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    skip_damaged: bool = False,
    progress: bool = True,
) -> Summary:
    """Prepare a data set if it is not there yet.

    To resume after an interruption, call the function again. It removes what was half done and
    starts over.

    Args:
        name: one of `bopkit.data.DATASETS`.
        manual_dir: for imagenet2012, the folder with `ILSVRC2012_img_train.tar` and
            `ILSVRC2012_img_val.tar`, or with smaller archives of the same form; or the folder
            with `train/SYNSET/*.JPEG` and `val/`, in torchvision's layout or Kaggle's. If
            `data_dir` holds such folders, None describes them as they are.
        data_dir: the folder in which to find the set, or else to prepare it; None is the usual ones
            of `bopkit.data.load`, and the first of them to prepare the set.
        skip_damaged: for imagenet2012, leave out images that cannot be decoded; they are counted,
            and named in the file `left_out.txt` beside the prepared files. Otherwise the first
            damaged image is an error.
        progress: whether to print what is being done.

    Returns:
        What is there at the end.

    Raises:
        ConfigError: if the set takes no `manual_dir`.
        DataError: if there is no such set, or something is missing, damaged or too small.

    Example:
        >>> prepare("digits").examples
        {'train': 1437, 'test': 360}
    """
    readers.check_name(name)
    row = readers.DATASETS[name]
    if row.from_archives:
        return row.prepare(
            data_dir, manual_dir=manual_dir, skip_damaged=skip_damaged, progress=progress
        )
    if manual_dir is not None:
        takes = [row.name for row in readers.DATASETS.values() if row.from_archives]
        raise ConfigError(f"{name} takes no --manual-dir; only {' and '.join(takes)} takes one.")
    summary = row.prepare(data_dir) if row.prepare is not None else None
    if summary is not None:
        return summary
    # Reading the files checks them, and downloads CIFAR-10 or Fashion-MNIST if it is nowhere.
    halves = {split: row.read_checked(split, data_dir) for split in ("train", "test")}
    prints = {split: fingerprint(*half) for split, half in halves.items()}
    origin = row.originate(data_dir, prints)
    return Summary(
        name,
        origin.path if origin else None,
        {split: len(labels) for split, (_, labels) in halves.items()},
        origin=origin,
        fingerprint=prints,
    )
