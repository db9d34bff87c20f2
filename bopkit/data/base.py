"""Make batches of a global order from a set of images, shared between workers."""

from __future__ import annotations

from bopkit._support.numbers import is_whole
from bopkit._tensorflow import tf
from bopkit.data.identity import Origin
from bopkit.errors import DataError


class Data:
    """Hold a training set and a validation set of images, and make batches; `load` makes one.

    Attributes:
        name: one of `DATASETS`.
        num_classes: length of a one-hot label.
        image_shape: (height, width, channels) of an image as the network sees it.
        train_examples: number of training images.
        validation_examples: number of validation images.
        preprocess: name of the preprocessing.
        fingerprint: per split, what identifies its images. For a set in memory that is the SHA-256
            of the images and labels of each split that was read. For folders of photographs, and
            for an ImageNet that bopkit prepared, it is the SHA-256 of all file names and labels.
            Empty for photographs that others prepared.
        origin: where it was read from, in which form; None if nothing says so.

    Example:
        >>> digits = bopkit.data.load("digits")
        >>> digits.name, digits.num_classes, digits.train_examples, digits.validation_examples
        ('digits', 10, 1437, 360)
    """

    fingerprint: dict[str, str]
    origin: Origin | None

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
        self.origin = None

    def steps_per_epoch(self, batch_size: int) -> int:
        """Count the full batches per epoch; the examples left over differ from epoch to epoch.

        Args:
            batch_size: size of the global batch, over all workers.

        Returns:
            The number of training images divided by `batch_size`, rounded down.

        Raises:
            DataError: if the training set does not fill one batch.

        Example:
            >>> digits = bopkit.data.load("digits")
            >>> digits.steps_per_epoch(100)  # 37 of the 1,437 images are left over
            14
        """
        if not (is_whole(batch_size) and 1 <= batch_size <= self.train_examples):
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
        """Make the shuffled, augmented batches of all epochs, in a single pipeline.

        Args:
            batch_size: size of the global batch, over all workers.
            seed: of the order and of the augmentation, which depend on nothing else.
            epochs: where the sequence ends; the last epoch is `epochs - 1`.
            start_epoch: where to begin.
            start_step: where to begin, in steps from the start of that epoch. The batches before
                it are not decoded, and those that follow equal the uninterrupted sequence bit for
                bit.
            shard: (index, count): worker `index` of `count` gets every count-th example of each
                global batch, beginning with the index-th.

        Returns:
            A dataset of `steps_per_epoch` pairs (images, labels) per epoch. The images are float32
            (batch_size / count, height, width, channels). The labels are one-hot float32
            (batch_size / count, num_classes).

        Raises:
            DataError: if the batch is larger than the set, or not divisible by the shard count, or
                another number is out of range.

        Example:
            >>> digits = bopkit.data.load("digits")
            >>> images, labels = next(iter(digits.train_batches(100, seed=0, epochs=1)))
            >>> images.shape, labels.shape
            (TensorShape([100, 8, 8, 1]), TensorShape([100, 10]))
        """
        index, count = _check_shard(shard, batch_size)
        steps = self.steps_per_epoch(batch_size)
        if not (is_whole(seed) and -(2**63) <= seed < 2**63):
            raise DataError(f"seed must be a whole number of at most 64 bits, not {seed!r}.")
        if not (is_whole(epochs) and epochs >= 0):
            raise DataError(f"epochs must be a whole number of at least 0, not {epochs!r}.")
        whole = is_whole(start_epoch) and is_whole(start_step) and min(start_epoch, start_step) >= 0
        if not (whole and start_epoch * steps + start_step <= epochs * steps):
            raise DataError(
                f"start_epoch and start_step must lie within the {epochs} epochs of {steps} steps, "
                f"not {start_epoch!r} and {start_step!r}."
            )
        start_epoch, start_step = divmod(start_epoch * steps + start_step, steps)
        batches = self._train(
            batch_size, steps, seed, range(start_epoch, epochs), start_step, index, count
        )
        remaining = (epochs - start_epoch) * steps - start_step
        return _finish(batches.apply(tf.data.experimental.assert_cardinality(remaining)))

    def validation_batches(
        self, batch_size: int, *, shard: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """Make batches of the whole validation set, in an order that is always the same.

        Args:
            batch_size: size of the global batch, over all workers.
            shard: as in `train_batches`. Every worker gets the same number of batches. If the last
                batch holds fewer examples than there are workers, some workers get an empty one.

        Returns:
            A dataset of (images, labels) as in `train_batches`, to be iterated as often as needed;
            its last batch may hold fewer images.

        Raises:
            DataError: if `batch_size` is below 1 or not divisible by the shard count.

        Example:
            >>> digits = bopkit.data.load("digits")
            >>> [len(labels) for images, labels in digits.validation_batches(200)]
            [200, 160]
        """
        index, count = _check_shard(shard, batch_size)
        return _finish(self._validation(batch_size, index, count))

    def find_damaged(self, *where: int) -> str | None:
        """Name the image that TensorFlow could not use, once it has said that there is one.

        Args:
            *where: batch_size, seed, epoch and step, to look at the training images from that step
                to the end of the epoch; nothing, to look at the validation images.

        Returns:
            A sentence with the image's name and what to do; None if every image is in order.
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


def _check_shard(shard: tuple[int, int], batch_size: int) -> tuple[int, int]:
    index, count = shard
    if not (is_whole(index) and is_whole(count) and 0 <= index < count):
        raise DataError(f"shard must be (index, count) with 0 <= index < count, not {shard}.")
    if not is_whole(batch_size) or batch_size < 1 or batch_size % count:
        raise DataError(
            f"batch_size must be at least 1 and a multiple of the {count} workers that share "
            f"each batch, not {batch_size}."
        )
    return index, count


def _finish(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Prefetch, and tell a distribution strategy that the batches are already one worker's own."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)
