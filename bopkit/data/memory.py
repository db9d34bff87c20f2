"""Gather, augment and scale each batch as a whole, of a set that fits into memory."""

from __future__ import annotations

import math

import numpy as np

from bopkit._tensorflow import tf
from bopkit.data.base import Data
from bopkit.errors import DataError


class InMemory(Data):
    """Hold a set as uint8 arrays; shuffle, augment and scale whole batches.

    Args:
        name: of the set.
        train: uint8 images (n, height, width, channels) and integer labels (n,).
        validation: the same of the validation set.
        image_size: side in pixels of the images that the network sees; None is the arrays' own.
        channels: 3 repeats a grayscale image three times; None keeps the arrays' own.
        preprocess: "default" or "resize_and_flip", as in `load`.
        num_classes: labels lie from 0 to `num_classes` - 1.

    Raises:
        DataError: if the validation images have another shape, or `channels` cannot be had.
    """

    def __init__(
        self,
        name: str,
        train: tuple[np.ndarray, np.ndarray],
        validation: tuple[np.ndarray, np.ndarray],
        image_size: int | None,
        channels: int | None,
        preprocess: str,
        *,
        num_classes: int,
    ):
        shape = height, width, native_channels = train[0].shape[1:]
        if validation[0].shape[1:] != shape:
            raise DataError(
                f"the images of {name} must have one shape; got {shape} for training and "
                f"{validation[0].shape[1:]} for validation."
            )
        if channels not in (None, native_channels) and (native_channels, channels) != (1, 3):
            raise DataError(
                f"channels={channels} cannot be made from the {native_channels}-channel images "
                f"of {name}; give None, or 3 if the images are grayscale."
            )
        image_shape = (image_size or height, image_size or width, channels or native_channels)
        super().__init__(
            name, num_classes, image_shape, len(train[0]), len(validation[0]), preprocess
        )
        # Constants on the host: the pipelines refer to them, and copy neither them nor their bytes
        # into a graph.
        with tf.device("CPU:0"):
            self.train_images, self.train_labels = map(tf.constant, train)
            self.validation_images, self.validation_labels = map(tf.constant, validation)

    def _train(self, batch_size, steps, seed, epochs, start_step, index, count):
        def batches_of(epoch):
            order = tf.random.experimental.stateless_shuffle(
                tf.range(self.train_examples), seed=[seed, epoch], alg="philox"
            )
            rows = tf.reshape(order[: steps * batch_size], (steps, batch_size))[:, index::count]
            step = tf.range(steps, dtype=tf.int64)
            return tf.data.Dataset.from_tensor_slices((tf.fill([steps], epoch), step, rows))

        def gather(epoch, step, rows):
            images = tf.gather(self.train_images, rows)
            if self.preprocess == "resize_and_flip":
                step_seed = tf.random.experimental.stateless_fold_in([seed, epoch], step)
                random = tf.random.stateless_uniform((3, batch_size), step_seed, alg="philox")
                images = crop_and_flip(images, random[:, index::count])
            return self._scale(images), self._one_hot(tf.gather(self.train_labels, rows))

        order = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(batches_of)
        return order.skip(start_step).map(
            gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def _validation(self, batch_size, index, count):
        total = self.validation_examples

        def gather(step):
            end = tf.minimum((step + 1) * batch_size, total)
            rows = tf.range(step * batch_size, end)[index::count]
            images = tf.gather(self.validation_images, rows)
            return self._scale(images), self._one_hot(tf.gather(self.validation_labels, rows))

        return tf.data.Dataset.range(math.ceil(total / batch_size)).map(
            gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def _one_hot(self, labels: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(labels, self.num_classes)

    def _scale(self, images: tf.Tensor) -> tf.Tensor:
        """Scale uint8 (batch, ...) to float32 in [-1, 1], with the size and channels of the set."""
        images = tf.cast(images, tf.float32)
        if tuple(images.shape[1:3]) != self.image_shape[:2]:
            images = tf.image.resize(images, self.image_shape[:2], method="bilinear")
        images = images / 127.5 - 1.0
        if images.shape[-1] != self.image_shape[-1]:
            images = tf.image.grayscale_to_rgb(images)
        return images


def crop_and_flip(images: tf.Tensor, random: tf.Tensor) -> tf.Tensor:
    """Pad with black, crop back to the old size at a random place, and flip half of the images.

    The padding is an eighth of the side on every side: 4 pixels at 32x32, as in the released code.

    Args:
        images: uint8 (batch, height, width, channels).
        random: float32 (3, batch), uniform in [0, 1): the crop's row, its column, the flip.

    Returns:
        uint8 of the shape of `images`.
    """
    height, width = images.shape[1:3]
    pad_y, pad_x = height // 8, width // 8
    top = tf.cast(random[0] * (2 * pad_y + 1), tf.int32)
    left = tf.cast(random[1] * (2 * pad_x + 1), tf.int32)
    rows = top[:, None] + tf.range(height)
    # Read from right to left, the column index does the flip at no cost.
    columns = tf.where(random[2][:, None] < 0.5, tf.range(width), tf.range(width - 1, -1, -1))
    columns += left[:, None]
    padded = tf.pad(images, [[0, 0], [pad_y, pad_y], [pad_x, pad_x], [0, 0]])
    return tf.gather(tf.gather(padded, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
