"""Choose the window of an image that the network sees, decode only this window, and normalize it.

The steps are those of the paper's released code (plumerai/rethinking-bnn-optimization, after the
preprocessing of EfficientNet). Training draws its windows with `random_window`, and validation
takes `centre_window`.

Attributes:
    CENTRE_FRACTION: side of the centre window as a share of the image's shorter side, 224/256.
    MEAN: ImageNet's mean of red, green and blue, for pixels from 0 to 255; float32 (3,).
    STANDARD_DEVIATION: ImageNet's standard deviation of the same; float32 (3,).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bopkit._tensorflow import tf
from bopkit.data.imagenet.jpegs import MOST_PIXELS, has_palette

CENTRE_FRACTION = 224 / 256
MEAN = 255 * np.array([0.485, 0.456, 0.406], np.float32)
STANDARD_DEVIATION = 255 * np.array([0.229, 0.224, 0.225], np.float32)


def random_window(size: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Choose a random window of an image; the centre if ten attempts find none that fits.

    Args:
        size: int32 (2,), height and width of the image in pixels.
        seed: integers (2,); the window depends only on them and on `size`.

    Returns:
        int32 (4,): top, left, height, width in pixels.

    Example:
        >>> window = random_window(tf.constant([300, 400]), seed=tf.constant([0, 1]))
        >>> top, left, height, width = window.numpy().tolist()
        >>> 0 <= top <= top + height <= 300 and 0 <= left <= left + width <= 400
        True
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

    Example:
        >>> centre_window(tf.constant([300, 400])).numpy()
        array([ 19,  69, 262, 262], dtype=int32)
    """
    side = tf.cast(CENTRE_FRACTION * tf.cast(tf.reduce_min(size), tf.float32), tf.int32)
    side = tf.maximum(side, 1)
    return tf.concat([(size - side + 1) // 2, [side, side]], 0)


def view(
    content: tf.Tensor,
    choose: Callable[[tf.Tensor], tf.Tensor],
    image_size: int,
    others: bool = False,
) -> tf.Tensor:
    """Decode one window of an image, and resize it bicubically.

    Args:
        content: the bytes of one file, as `tf.io.read_file` returns them; a JPEG, unless `others`
            is true.
        choose: makes a window from the size of an image. Pass `centre_window`, or a function that
            takes and returns the same, such as ``lambda size: random_window(size, seed)``.
        image_size: side in pixels of the result, which is a square whatever the window's shape.
        others: whether the file may also be a PNG, a BMP or a GIF, of which the first frame counts.
            A JPEG is decoded only within the window, but another file is decoded as a whole.

    Returns:
        float32 (image_size, image_size, 3): red, green and blue from 0 to 255. Bicubic
        interpolation can exceed both ends a little.

    Raises:
        tf.errors.InvalidArgumentError: the file is damaged or of a kind that is not allowed, a
            window does not lie within a JPEG, a PNG claims more than 100 million pixels, or a BMP
            has a palette.

    Example:
        >>> content = tf.io.encode_png(tf.fill([48, 64, 3], tf.constant(200, tf.uint8)))
        >>> image = view(content, centre_window, image_size=32, others=True)
        >>> image.shape, float(image[0, 0, 0])
        (TensorShape([32, 32, 3]), 200.0)
    """

    def of_jpeg():
        window = choose(tf.io.extract_jpeg_shape(content)[:2])
        return _resize(tf.io.decode_and_crop_jpeg(content, window, channels=3), image_size)

    def of_another():
        # Bytes 16 to 24 of a PNG are its width and height; a small file may claim any size.
        is_png = tf.strings.substr(content, 0, 4) == b"\x89PNG"
        sides = tf.cond(
            is_png, lambda: tf.strings.substr(content, 16, 8), lambda: tf.constant(bytes(8))
        )
        sides = tf.io.decode_raw(sides, tf.int32, little_endian=False)
        pixels = tf.reduce_prod(tf.cast(sides, tf.int64))
        small = (pixels >= 0) & (pixels <= MOST_PIXELS)
        checked = [
            tf.debugging.Assert(small, ["the image claims", pixels, "pixels"]),
            tf.debugging.Assert(
                tf.logical_not(has_palette(content)), ["the image is a BMP with a palette"]
            ),
        ]
        with tf.control_dependencies([op for op in checked if op is not None]):  # None in eager
            image = tf.io.decode_image(content, channels=3, expand_animations=False)
        top, left, height, width = tf.unstack(choose(tf.shape(image)[:2]))
        return _resize(image[top : top + height, left : left + width], image_size)

    return tf.cond(tf.io.is_jpeg(content), of_jpeg, of_another) if others else of_jpeg()


def _resize(image, image_size):
    # As in the released code: TensorFlow 1's bicubic, with pixel centres at whole numbers.
    return tf.raw_ops.ResizeBicubic(
        images=image[None], size=(image_size, image_size), half_pixel_centers=False
    )[0]


def normalize(image: tf.Tensor) -> tf.Tensor:
    """Compute (x - mean) / standard deviation with ImageNet's values per channel.

    Args:
        image: (height, width, 3) of any real type, red, green and blue from 0 to 255. In a traced
            function, height and width must be known.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: the image does not have three dimensions.
        tf.errors.InvalidArgumentError: the image does not have three channels.

    Example:
        >>> grey = tf.fill([2, 2, 3], 128.0)
        >>> normalize(grey)[0, 0].numpy().round(3)
        array([0.074, 0.205, 0.426], dtype=float32)
    """
    height, width, _ = image.shape
    # One image at a time, while it is in the cache, and on whole rows: a broadcast over three
    # channels is eight times slower. x/σ - μ/σ:
    rows = tf.reshape(tf.cast(image, tf.float32), (height, width * 3))
    rows = rows * np.tile(1 / STANDARD_DEVIATION, width) - np.tile(MEAN / STANDARD_DEVIATION, width)
    return tf.reshape(rows, image.shape)
