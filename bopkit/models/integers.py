r"""Convolve signs with signs in 8-bit integers, which gives the same numbers sooner.

A sum of products of -1 and +1 is a whole number. float32 holds it exactly, and so do 32-bit
integers, whose factors need only 8 bits. With AVX-512 VNNI, oneDNN multiplies matrices of such
factors faster than matrices of float32, as `python -m benchmarks gradients` measures. One of the
two matrices must be unsigned, so each sign s is stored as s + 1, and a padded zero as 1:

.. math:: \sum_i s_i w_i = \sum_i (s_i + 1)\, w_i - \sum_i w_i

The convolution becomes one product of matrices. The first matrix has a row for each pixel of the
output, which holds all that the window covers there.
"""

from __future__ import annotations

import functools

import numpy as np

from bopkit._tensorflow import tf

try:  # No public function says whether XLA will compile what is traced.
    from tensorflow.python.ops import control_flow_util

    _in_xla = control_flow_util.GraphOrParentsInXlaContext
except (ImportError, AttributeError):

    def _in_xla(graph):
        return True  # unknown, so TensorFlow's own convolution is used, which XLA can compile


# With fewer channels out, making the rows takes longer than the product saves.
FEWEST_CHANNELS = 128


def is_faster(x: tf.Tensor, kernel: tf.Tensor, strides: tuple[int, int]) -> bool:
    """Decide whether a convolution of signs is faster in integers, where oneDNN is in use.

    Args:
        x: the signs, (images, height, width, channels in).
        kernel: (window's height, its width, channels in, channels out).
        strides: of the window.

    Returns:
        True for float32, strides of 1, images of known size and enough channels. False in bfloat16,
        whose products take as long, and where XLA compiles, which has no such product. False, too,
        where TensorFlow's product of integers is missing or gives other numbers.

    Example:
        >>> is_faster(tf.ones((2, 8, 8, 128)), tf.ones((3, 3, 128, 64)), (1, 1))
        False
    """
    return (
        x.dtype == tf.float32
        and tuple(strides) == (1, 1)
        and None not in x.shape[1:]
        and kernel.shape[3] >= FEWEST_CHANNELS
        and (tf.executing_eagerly() or not _in_xla(tf.compat.v1.get_default_graph()))
        and _works()
    )


@functools.cache
def _works():
    """Try a small convolution once: TensorFlow does not promise to keep this operation."""
    with tf.init_scope(), tf.device("CPU"):
        x = tf.reshape(tf.constant([-1.0, 1.0, -1.0, 1.0, 1.0, -1.0]), (1, 3, 1, 2))
        kernel = tf.reshape(tf.constant([1.0, -1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0]), (2, 1, 2, 2))
        try:
            found = _in_integers(x, kernel, [(1, 0), (0, 0)])[0, :, 0]
        except tf.errors.OpError:
            return False
        # What the window covers at each of its three places; the first begins with padding.
        rows = np.array([[0, 0, -1, 1], [-1, 1, -1, 1], [-1, 1, 1, -1]])
        return np.array_equal(found, rows @ kernel.numpy().reshape(4, 2))


def conv2d(
    x: tf.Tensor, kernel: tf.Tensor, around: list[tuple[int, int]], *, sure: bool
) -> tf.Tensor:
    """Convolve signs with signs, with strides of 1.

    Args:
        x: -1 and +1, float32, (images, height, width, channels in).
        kernel: float32, (window's height, its width, channels in, channels out).
        around: rows of zeros before and after the height, and columns before and after the width.
        sure: the kernel holds only -1 and +1. If not sure, look, and convolve a kernel that holds
            anything else in float32.

    Returns:
        Exactly what `tf.nn.conv2d` returns.

    Example:
        >>> x, kernel = tf.ones((1, 4, 4, 3)), -tf.ones((3, 3, 3, 5))
        >>> conv2d(x, kernel, [(1, 1), (1, 1)], sure=True)[0, :, :, 0].numpy()
        array([[-12., -18., -18., -12.],
               [-18., -27., -27., -18.],
               [-18., -27., -27., -18.],
               [-12., -18., -18., -12.]], dtype=float32)
    """
    if sure:
        return _in_integers(x, kernel, around)
    return tf.cond(
        tf.reduce_all(tf.abs(kernel) == 1),
        lambda: _in_integers(x, kernel, around),
        lambda: tf.nn.conv2d(x, kernel, 1, [(0, 0), *around, (0, 0)]),
    )


def _in_integers(x, kernel, around):
    window, outputs = kernel.shape[:2], kernel.shape[3]
    signs = tf.pad(tf.cast(x >= 0, tf.uint8) * 2, [(0, 0), *around, (0, 0)], constant_values=1)
    rows = tf.concat(places(signs, window), -1)
    factors = tf.cast(tf.reshape(kernel, [-1, outputs]), tf.int8)
    # Σ s w = Σ (s + 1) w - Σ w; with these ranges a unit of each factor is 1, and nothing is scaled
    found = tf.raw_ops.QuantizedMatMulWithBiasAndDequantize(
        a=tf.bitcast(tf.reshape(rows, [-1, factors.shape[0]]), tf.quint8),
        b=tf.bitcast(factors, tf.qint8),
        bias=tf.bitcast(-tf.reduce_sum(tf.cast(factors, tf.int32), 0), tf.qint32),
        min_a=0.0,
        max_a=255.0,
        min_b=-127.0,
        max_b=127.0,
        min_freezed_output=-1.0,  # read only for 8-bit outputs
        max_freezed_output=1.0,
        Toutput=tf.float32,
        input_quant_mode="SCALED",
    )
    size = [-1, *(s - k + 1 for s, k in zip(signs.shape[1:3], window, strict=True)), outputs]
    return tf.reshape(found, size)


def places(x: tf.Tensor, window: tuple[int, int]) -> list[tf.Tensor]:
    """Cut out what each place in the window sees as the window moves over the images.

    Args:
        x: padded images of known size, (images, height, width, channels).
        window: its height and width.

    Returns:
        One tensor for each place in the window, row by row; each is (images, height out, width out,
        channels).

    Example:
        >>> x = tf.reshape(tf.range(9), (1, 3, 3, 1))
        >>> [place[0, :, :, 0].numpy().tolist() for place in places(x, (2, 2))][:2]
        [[[0, 1], [3, 4]], [[1, 2], [4, 5]]]
    """
    height, width = (s - k + 1 for s, k in zip(x.shape[1:3], window, strict=True))
    return [
        x[:, top : top + height, left : left + width]
        for top in range(window[0])
        for left in range(window[1])
    ]
