"""Image classification sets as `tf.data` pipelines, in a fixed order under a seed.

    data = load("fashion_mnist", image_size=32, channels=3, preprocess="resize_and_flip")
    for images, labels in data.train_batches(100, seed=0, epochs=3): ...

The batch at (epoch, step) depends on (seed, epoch, step) alone. So a run that starts again at any
step continues the very same sequence, and workers that share a batch see what one would have seen.
"""

from __future__ import annotations

import difflib
import os

import numpy as np
import tensorflow as tf

from bopkit import sources
from bopkit.errors import DataError

DATASETS = sources.DATASETS
PREPROCESS = ("default", "resize_and_flip")


class Data:
    """A training and a validation set of images, ready to be batched. Made by `load`.

    Attributes:
        name: one of `DATASETS`.
        num_classes: length of a one-hot label.
        image_shape: (height, width, channels) of an image as the network sees it.
        train_examples, validation_examples: how many images each of the two sets holds.
        preprocess: name of the preprocessing.
        fingerprint: by split that was read, the SHA-256 of its images and labels in full; empty
            for ImageNet.
    """

    fingerprint: dict[str, str]

    def __init__(
        self,
        name: str,
        num_classes: int,
        image_shape: tuple[int, int, int],
        train_examples: int,
        validation_examples: int,
        preprocess: str,
    ):
        self.name = name
        self.num_classes = num_classes
        self.image_shape = image_shape
        self.train_examples = train_examples
        self.validation_examples = validation_examples
        self.preprocess = preprocess
        self.fingerprint = {}

    def steps_per_epoch(self, batch_size: int) -> int:
        """Full batches in one epoch; the examples left over differ from epoch to epoch.

        Raises:
            DataError: if the training set does not fill one batch.
        """
        if not (_is_whole(batch_size) and 1 <= batch_size <= self.train_examples):
            raise DataError(
                f"batch_size must be between 1 and the {self.train_examples} training examples "
                f"of {self.name}, not {batch_size!r}."
            )
        return self.train_examples // batch_size

    def train_batches(
        self,
        batch_size: int,
        *,
        seed: int,
        epochs: int,
        start_epoch: int = 0,
        start_step: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> tf.data.Dataset:
        """Shuffled, augmented batches of all epochs, in one pipeline that is never rebuilt.

        Args:
            batch_size: size of the global batch, over all workers.
            seed: of the order and of the augmentation; nothing else influences them.
            epochs: where the sequence ends: epochs `start_epoch` to `epochs - 1` are produced.
            start_epoch: where to begin.
            start_step: where to begin in that epoch. What lies before is skipped undecoded, and
                what follows equals the uninterrupted sequence bit for bit.
            shard: (index, count): worker `index` of `count` gets every count-th example of each
                global batch, beginning with the index-th.

        Returns:
            A dataset of (images, labels): float32 (batch_size / count, height, width, channels)
            and one-hot float32 (batch_size / count, num_classes); `steps_per_epoch` an epoch.

        Raises:
            DataError: if the batch is larger than the set, or not divisible by the shard count.
        """
        index, count = _check_shard(shard, batch_size)
        steps = self.steps_per_epoch(batch_size)
        batches = self._train(
            batch_size, steps, seed, range(start_epoch, epochs), start_step, index, count
        )
        remaining = max(0, (epochs - start_epoch) * steps - start_step)
        return _finish(batches.apply(tf.data.experimental.assert_cardinality(remaining)))

    def validation_batches(
        self, batch_size: int, *, shard: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """The whole validation set in its fixed order, the last partial batch included.

        Args:
            batch_size: size of the global batch, over all workers.
            shard: as in `train_batches`. Every worker gets the same number of batches; where the
                last holds fewer examples than there are workers, some of them get an empty one.

        Returns:
            A dataset of (images, labels) as in `train_batches`, to be iterated as often as needed.

        Raises:
            DataError: if `batch_size` is below 1 or not divisible by the shard count.
        """
        index, count = _check_shard(shard, batch_size)
        return _finish(self._validation(batch_size, index, count))

    def find_damaged(self, *where: int) -> str | None:
        """Which image cannot be decoded, once TensorFlow has said that one cannot.

        Args:
            *where: batch_size, seed, epoch and step, to look at the training images from there to
                the end of the epoch; none of them, to look at the validation images.

        Returns:
            A sentence with the image's name and what to do; None where none is found.
        """
        return None  # arrays were decoded when they were read

    def _train(
        self,
        batch_size: int,
        steps: int,
        seed: int,
        epochs: range,
        start_step: int,
        index: int,
        count: int,
    ) -> tf.data.Dataset:
        raise NotImplementedError

    def _validation(self, batch_size: int, index: int, count: int) -> tf.data.Dataset:
        raise NotImplementedError


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
      `bopkit.imagenet`).

    Args:
        name: one of `DATASETS`.
        data_dir: folder to read from (or, for `cifar10`, to download to), and no other.
        image_size: side in pixels of the images that the network sees; None: as they are, and 224
            for ImageNet. Resized bilinearly (ImageNet: bicubically), after the augmentation.
        channels: 3 replicates a grayscale image; None leaves the channels alone.
        preprocess: "default" scales (x / 127.5 - 1; ImageNet: see `bopkit.imagenet`);
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
    sources.check_name(name)
    if preprocess not in PREPROCESS:
        near = difflib.get_close_matches(str(preprocess), PREPROCESS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise DataError(
            f"preprocess must be one of {', '.join(PREPROCESS)}, not {preprocess!r}{hint}"
        )
    if image_size is not None and not (_is_whole(image_size) and image_size >= 1):
        raise DataError(f"image_size must be a whole number of at least 1 pixel, not {image_size}.")
    if data_dir is not None and not isinstance(data_dir, str | os.PathLike):
        raise DataError(f"data_dir must name a folder, not {data_dir!r}.")
    if name == "imagenet2012":
        from bopkit import imagenet

        return imagenet.load(
            data_dir, image_size, channels, preprocess, train_examples, validation_examples, holdout
        )

    from bopkit.in_memory import InMemory

    read = getattr(sources, name)
    train = read("train", data_dir)
    fingerprint = {"train": sources.fingerprint(*train)}
    check_holdout(name, holdout, len(train[0]))
    if holdout:
        # RandomState's streams are frozen across NumPy versions: the same images for ever.
        order = np.random.RandomState(0).permutation(len(train[0]))
        train, validation = (
            tuple(array[part] for array in train) for part in (order[:-holdout], order[-holdout:])
        )
    else:
        validation = read("test", data_dir)
        fingerprint["test"] = sources.fingerprint(*validation)
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


def check_examples(argument: str, wanted: int | None, available: int) -> int:
    """How many examples to take: all, or as many as wanted if there are so many."""
    if wanted is None:
        return available
    if not (_is_whole(wanted) and 1 <= wanted <= available):
        raise DataError(
            f"{argument} must be between 1 and the {available} there are, not {wanted!r}."
        )
    return wanted


def check_holdout(name: str, holdout: int, available: int) -> None:
    """Refuses to hold out more training examples than leave one to train on."""
    if not (_is_whole(holdout) and 0 <= holdout < available):
        raise DataError(
            f"holdout must be at least 0 and below the {available} training examples of {name}, "
            f"not {holdout!r}."
        )


def _is_whole(value) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_shard(shard: tuple[int, int], batch_size: int) -> tuple[int, int]:
    index, count = shard
    if not 0 <= index < count:
        raise DataError(f"shard must be (index, count) with 0 <= index < count, not {shard}.")
    if not _is_whole(batch_size) or batch_size < 1 or batch_size % count:
        raise DataError(
            f"batch_size must be at least 1 and a multiple of the {count} workers that share "
            f"each batch, not {batch_size}."
        )
    return index, count


def _finish(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Prefetches; and tells a distribution strategy that the batches are a worker's own already."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)
