"""Choose the window of an image that the network sees, decode it alone, and normalize it.

As in the paper's released code (plumerai/rethinking-bnn-optimization, after the preprocessing of
EfficientNet).
"""

from __future__ import annotations

import numpy as np

from bopkit._tensorflow import tf

CENTRE_FRACTION = 224 / 256
MEAN = 255 * np.array([0.485, 0.456, 0.406], np.float32)
STANDARD_DEVIATION = 255 * np.array([0.229, 0.224, 0.225], np.float32)


def random_window(size: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Choose a random window of an image; the centre if ten attempts find none that fits.

    Args:
        size: int32 (2,), height and width of the image in pixels.
        seed: integers (2,), on which alone the window depends.

    Returns:
        int32 (4,): top, left, height, width in pixels.
    """
    begin, shape, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([size, [3]], 0),
        bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed=seed,
        # The released code's value. An attempt whose window has less than 10 % of the area fails,
        # though the range of areas begins at 8 %.
        min_object_covered=0.1,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
    )
    # The op returns the whole image when every attempt failed.
    failed = tf.reduce_all(shape[:2] == size)
    window = tf.concat([begin[:2], shape[:2]], 0)
    return tf.where(failed, centre_window(size), window)


def centre_window(size: tf.Tensor) -> tf.Tensor:
    """Choose the square in the middle whose side is 224/256 of the shorter side.

    Args:
        size: int32 (2,), height and width of the image in pixels.

    Returns:
        int32 (4,): top, left, height, width in pixels.
    """
    side = tf.cast(CENTRE_FRACTION * tf.cast(tf.reduce_min(size), tf.float32), tf.int32)
    side = tf.maximum(side, 1)
    return tf.concat([(size - side + 1) // 2, [side, side]], 0)


def decode(jpeg: tf.Tensor, window: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decode one window of an image, and resize it bicubically.

    Args:
        jpeg: the file's bytes.
        window: int32 (4,), as `random_window` and `centre_window` return it.
        image_size: side in pixels of the result.

    Returns:
        float32 (image_size, image_size, 3), from 0 to 255 up to the interpolation's overshoot.
    """
    image = tf.io.decode_and_crop_jpeg(jpeg, window, channels=3)
    # As in the released code: TensorFlow 1's bicubic, with pixel centres at whole numbers.
    return tf.raw_ops.ResizeBicubic(
        images=image[None], size=(image_size, image_size), half_pixel_centers=False
    )[0]


def normalize(image: tf.Tensor) -> tf.Tensor:
    """Compute (x - mean) / standard deviation with ImageNet's values per channel.

    Args:
        image: float32 (height, width, 3), from 0 to 255.

    Returns:
        float32 of the same shape.
    """
    height, width, _ = image.shape
    # One image at a time, while it is in the cache, and on whole rows: a broadcast over three
    # channels is eight times slower. x/σ - μ/σ:
    rows = tf.reshape(image, (height, width * 3))
    rows = rows * np.tile(1 / STANDARD_DEVIATION, width) - np.tile(MEAN / STANDARD_DEVIATION, width)
    return tf.reshape(rows, image.shape)
