"""Image classification sets as `tf.data` pipelines, in a fixed order under a seed.

    data = load("fashion_mnist", image_size=32, channels=3, preprocess="resize_and_flip")
    for images, labels in data.train_batches(100, seed=0, epochs=3): ...

The batch at (epoch, step) depends on (seed, epoch, step) alone. So a run that starts again at any
step continues the very same sequence, and workers that share a batch see what one would have seen.
"""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING

import numpy as np

from bopkit.data import readers
from bopkit.data.checks import check_examples, check_holdout, is_whole
from bopkit.data.readers import DATASETS
from bopkit.errors import DataError

if TYPE_CHECKING:
    from bopkit.data.base import Data

__all__ = ["DATASETS", "PREPROCESS", "load"]

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
    """Finds a data set and prepares its two halves for batching.

    - `digits`: 8x8 grayscale, ships with scikit-learn. 1,437 training and 360 validation images,
      split once and for all: shuffled, stratified by class (scikit-learn, `random_state=0`).
    - `fashion_mnist`: 28x28 grayscale, 60,000 / 10,000 (Xiao et al. 2017, arXiv:1708.07747).
      Looked for in `data_dir`; without it in `$BOPKIT_DATA_DIR`, in Debian's folder, and then
      downloaded by Keras.
    - `cifar10`: 32x32 RGB, 50,000 / 10,000, through TFDS, from `data_dir`, `$BOPKIT_DATA_DIR` or
      TFDS's own folder; downloaded if it is not there.
    - `imagenet2012`: the folder that TFDS prepared, in the same three places (see
      `bopkit.data.imagenet.pipeline`).

    Args:
        name: one of `DATASETS`.
        data_dir: folder to read from (or, for `cifar10`, to download to), and no other.
        image_size: side in pixels of the images that the network sees; None: as they are, and 224
            for ImageNet. Resized bilinearly (ImageNet: bicubically), after the augmentation.
        channels: 3 replicates a grayscale image; None leaves the channels alone.
        preprocess: "default" scales (x / 127.5 - 1; ImageNet: see `bopkit.data.imagenet.pipeline`);
            "resize_and_flip" adds random crops of the padded image and flips in training.
        train_examples: take only the first so many; the files' order is fixed and mixes classes.
        validation_examples: likewise.
        holdout: if above 0, validate on this many training images (the last of a permutation
            that never changes), train on the others, and leave the test set unread: for choosing
            hyperparameters.

    Returns:
        The set, of which `train_batches` and `validation_batches` make pipelines.

    Raises:
        DataError: if the data or an argument is not as it must be.
    """
    readers.check_name(name)
    if preprocess not in PREPROCESS:
        near = difflib.get_close_matches(str(preprocess), PREPROCESS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise DataError(
            f"preprocess must be one of {', '.join(PREPROCESS)}, not {preprocess!r}{hint}"
        )
    if image_size is not None and not (is_whole(image_size) and image_size >= 1):
        raise DataError(f"image_size must be a whole number of at least 1 pixel, not {image_size}.")
    if data_dir is not None and not isinstance(data_dir, str | os.PathLike):
        raise DataError(f"data_dir must name a folder, not {data_dir!r}.")
    if name == "imagenet2012":
        from bopkit.data.imagenet import pipeline

        return pipeline.load(
            data_dir, image_size, channels, preprocess, train_examples, validation_examples, holdout
        )

    from bopkit.data.memory import InMemory

    read = readers.READERS[name]
    train = read("train", data_dir)
    fingerprint = {"train": readers.fingerprint(*train)}
    check_holdout(name, holdout, len(train[0]))
    if holdout:
        # RandomState's streams are frozen across NumPy versions: the same images for ever.
        order = np.random.RandomState(0).permutation(len(train[0]))
        train, validation = (
            tuple(array[part] for array in train) for part in (order[:-holdout], order[-holdout:])
        )
    else:
        validation = read("test", data_dir)
        fingerprint["test"] = readers.fingerprint(*validation)
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
    )
    loaded.fingerprint = fingerprint
    return loaded
