"""Turn encoded photographs into batches: decode what the network sees, and normalize it.

In training the network sees a random crop (8 to 100 % of the area, aspect ratio 3/4 to 4/3), which
is resized bicubically and flipped half of the time. In validation the network sees the centre crop
of 224/256 of the shorter side. `bopkit.data.imagenet.crops` normalizes both by the mean and
standard deviation of ImageNet's channels.
"""

from __future__ import annotations

import math

from bopkit._tensorflow import tf
from bopkit.data.base import Data
from bopkit.data.imagenet import crops
from bopkit.errors import DataError

IMAGE_SIZE = 224


class Photographs(Data):
    """Decode, crop and batch photographs. A subclass says where they come from.

    A subclass has three methods. `_train_records` takes the arguments of `Data._train` and makes a
    dataset of (epoch, position in it, record) of this worker's training images.
    `_validation_records` makes a dataset of the records of all validation images.
    `_content_and_label` turns a record into the file's bytes and the one-hot label.

    Attributes:
        others: whether the images may be other files than JPEGs.
    """

    others = False

    def _train(self, batch_size, steps, seed, epochs, start_step, index, count):
        def decode(epoch, position, record):
            content, label = self._content_and_label(record)
            # Each image of each epoch has two seeds of its own: for the window and for the flip.
            number = 2 * (epoch * 2**32 + position)
            image = crops.normalize(
                crops.view(
                    content,
                    lambda size: crops.random_window(size, tf.stack([seed, number])),
                    self.image_shape[0],
                    self.others,
                )
            )
            flip = tf.random.stateless_uniform((), tf.stack([seed, number + 1]), alg="philox") < 0.5
            image = tf.cond(flip, lambda: tf.reverse(image, [1]), lambda: image)
            return image, label

        records = self._train_records(batch_size, steps, seed, epochs, start_step, index, count)
        examples = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return examples.batch(batch_size // count, drop_remainder=True)

    def _validation(self, batch_size, index, count):
        def decode(*record):  # TensorFlow unpacks a tuple
            content, label = self._content_and_label(record[0] if len(record) == 1 else record)
            image = crops.view(content, crops.centre_window, self.image_shape[0], self.others)
            return crops.normalize(image), label

        examples = (
            self._validation_records()
            .shard(count, index)
            .map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        )
        batches = examples.batch(batch_size // count)
        mine = len(range(index, self.validation_examples, count))
        steps = math.ceil(self.validation_examples / batch_size)
        if math.ceil(mine / (batch_size // count)) < steps:
            batches = batches.concatenate(
                tf.data.Dataset.from_tensors(
                    (tf.zeros((0, *self.image_shape)), tf.zeros((0, self.num_classes)))
                )
            )
        return batches.apply(tf.data.experimental.assert_cardinality(steps))

    def _records(self, *where):
        """Make a dataset of the records that `find_damaged` is asked about."""
        if not where:
            return self._validation_records()
        batch_size, seed, epoch, step = where
        steps, epochs = self.steps_per_epoch(batch_size), range(epoch, epoch + 1)
        found = self._train_records(batch_size, steps, seed, epochs, step, 0, 1)
        return found.map(lambda epoch, position, record: record)

    def _train_records(self, batch_size, steps, seed, epochs, start_step, index, count):
        raise NotImplementedError

    def _validation_records(self) -> tf.data.Dataset:
        raise NotImplementedError

    def _content_and_label(self, record) -> tuple[tf.Tensor, tf.Tensor]:
        raise NotImplementedError


def check_arguments(name: str, channels: int | None, preprocess: str) -> None:
    """Refuse what photographs are not made into.

    Raises:
        DataError: if `channels` is not 3 or None, or `preprocess` not "default".
    """
    if channels not in (None, 3):
        raise DataError(f"channels must be 3 (or None) for {name}, not {channels}.")
    if preprocess != "default":
        raise DataError(f"preprocess must be 'default' for {name}, not {preprocess!r}.")
