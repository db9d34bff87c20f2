"""Load image classification sets as `tf.data` pipelines, in an order that the seed fixes.

The batch at (epoch, step) depends only on (seed, epoch, step). So a run that resumes at any step
continues the same sequence, and workers that share a batch see what one worker would have seen.

Attributes:
    DATASETS: a `DataSet` by its name: "digits", "fashion_mnist", "cifar10", "imagenet2012",
        "imagenette" or "image_folder". To add a set of your own, add a row.
    PREPROCESS: what `load` can do to the images, "default" or "resize_and_flip".

.. rubric:: Example

>>> digits = bopkit.data.load("digits", image_size=16, channels=3)
>>> digits.image_shape, digits.num_classes, digits.steps_per_epoch(100)
((16, 16, 3), 10, 14)
>>> for images, labels in digits.train_batches(100, seed=0, epochs=1):
...     assert images.shape == (100, 16, 16, 3) and labels.shape == (100, 10)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from bopkit._support.numbers import is_whole
from bopkit.data import readers
from bopkit.data.checks import check_examples, check_holdout
from bopkit.data.identity import fingerprint
from bopkit.data.readers import DATASETS, DataSet
from bopkit.errors import DataError, unknown

if TYPE_CHECKING:
    from bopkit.data.base import Data

__all__ = ["DATASETS", "PREPROCESS", "DataSet", "load"]

PREPROCESS = ("default", "resize_and_flip")


def load(
    name: str = "digits",
    *,
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    preprocess: str = "default",
    train_examples: int | None = None,
    validation_examples: int | None = None,
    holdout: int = 0,
) -> Data:
    """Load a data set, ready to make batches for training and validation.

    - `digits`: 8x8 grayscale, ships with scikit-learn. 1,437 training and 360 validation images,
      in a stratified split that never changes (scikit-learn, `random_state=0`).
    - `fashion_mnist`: 28x28 grayscale, 60,000 / 10,000 (Xiao et al. 2017, arXiv:1708.07747), from
      its authors' four files, gzipped or not, in `data_dir` or where torchvision puts them below
      it. Without `data_dir`, `load` looks in `$BOPKIT_DATA_DIR`, in Debian's folder and in Keras'
      cache. Keras downloads the files if they are nowhere.
    - `cifar10`: 32x32 RGB, 50,000 / 10,000 (Krizhevsky 2009), from Python's batches or the binary
      files, unpacked or in their archive, or as TFDS prepared it; in `data_dir`, or without one in
      `$BOPKIT_DATA_DIR`, TFDS's own folder or Keras' cache. TFDS downloads it if it is nowhere.
    - `imagenet2012`: photographs in 1,000 classes, 1,281,167 / 50,000, as TFDS prepared them or in
      the folders of torchvision or Kaggle, in `data_dir`, `$BOPKIT_DATA_DIR` or TFDS's own folder.
      Labels are TFDS's in every form.
    - `imagenette`: ten of ImageNet's classes, 9,469 / 3,925, as its authors' archives unpack or as
      TFDS prepared them, in the same folders. TFDS downloads 94 MB if they are nowhere.
    - `image_folder`: your own photographs, `train/CLASS/*.jpg` and `val/CLASS/*.jpg` in `data_dir`
      or `$BOPKIT_DATA_DIR`; also PNG, BMP and GIF files. The classes are sorted by name.

    Args:
        name: one of `DATASETS`.
        data_dir: the only folder to read from. `cifar10`, `fashion_mnist` and `imagenette` are
            downloaded to it if it does not hold them.
        image_size: side in pixels of the images that the network sees; None is the set's own side,
            or 224 for photographs. Images are resized after the augmentation, bilinearly, or
            bicubically if they are photographs.
        channels: 3 repeats a grayscale image three times; None keeps the set's own channels.
        preprocess: "default" scales by x / 127.5 - 1, or by `bopkit.data.photographs` for
            photographs. "resize_and_flip" adds random crops of the padded image and random flips
            in training.
        train_examples: number of training images to take, from the first on; None takes all. The
            order of the files is fixed and mixes the classes.
        validation_examples: number of validation images to take; None takes all.
        holdout: number of training images to validate on (the last of a permutation that never
            changes). Training uses the other images, and nothing reads the test set, so choose
            hyperparameters with this argument. 0 validates on the test set.

    Returns:
        The set; its `train_batches` and `validation_batches` make pipelines.

    Raises:
        DataError: if an argument is wrong, or the data is missing or damaged.

    Example:
        >>> digits = bopkit.data.load("digits", train_examples=1000, holdout=200)
        >>> digits.train_examples, digits.validation_examples, digits.image_shape
        (1000, 200, (8, 8, 1))
    """
    readers.check_name(name)
    if preprocess not in PREPROCESS:
        raise DataError(unknown("preprocess", preprocess, PREPROCESS))
    if image_size is not None and not (is_whole(image_size) and image_size >= 1):
        raise DataError(f"image_size must be a whole number of at least 1 pixel, not {image_size}.")
    if data_dir is not None and not isinstance(data_dir, str | os.PathLike):
        raise DataError(f"data_dir must name a folder, not {data_dir!r}.")
    row = DATASETS[name]
    if row.stream is not None:
        return row.stream(
            row.num_classes,
            data_dir=data_dir,
            image_size=image_size,
            channels=channels,
            preprocess=preprocess,
            train_examples=train_examples,
            validation_examples=validation_examples,
            holdout=holdout,
        )

    from bopkit.data.memory import InMemory

    train = row.read_checked("train", data_dir)
    prints = {"train": fingerprint(*train)}
    check_holdout(name, holdout, len(train[0]))
    if holdout:
        # RandomState's streams are frozen across NumPy versions: these images never change.
        order = np.random.RandomState(0).permutation(len(train[0]))
        train, validation = (
            tuple(array[part] for array in train) for part in (order[:-holdout], order[-holdout:])
        )
    else:
        validation = row.read_checked("test", data_dir)
        prints["test"] = fingerprint(*validation)
    train_examples = check_examples("train_examples", train_examples, len(train[0]))
    validation_examples = check_examples(
        "validation_examples", validation_examples, len(validation[0])
    )
    loaded = InMemory(
        name,
        tuple(array[:train_examples] for array in train),
        tuple(array[:validation_examples] for array in validation),
        image_size,
        channels,
        preprocess,
        num_classes=row.num_classes,
    )
    loaded.fingerprint = prints
    loaded.origin = row.originate(data_dir, prints)
    return loaded
