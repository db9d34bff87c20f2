r"""Convolve as larq does, with a backward pass that costs no more than the forward pass.

On a processor, TensorFlow's own gradients of a convolution are slower than the convolution, and in
bfloat16 many times slower (`python -m benchmarks gradients` measures how much). Both gradients are
convolutions themselves, and this module computes them as convolutions. For strides of 1, with
:math:`x` the input, :math:`w` the kernel and :math:`\delta` the gradient that comes back:

.. math::

    \frac{\partial L}{\partial x} = \delta * \operatorname{turn}(w), \qquad
    \frac{\partial L}{\partial w} = x^\top * \delta^\top

where :math:`\operatorname{turn}` rotates each window by half a turn and swaps its channels in and
out. In the second equation the images of the batch take the place of the channels. The sums are the
same as TensorFlow's, so the gradients differ only by rounding.
"""

from __future__ import annotations

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq

try:  # No public function says whether oneDNN is on.
    from tensorflow.python.util import _pywrap_util_port

    _has_onednn = _pywrap_util_port.IsMklEnabled
except (ImportError, AttributeError):

    def _has_onednn():
        return True  # unknown, so TensorFlow's own gradients are used, which are never wrong


# Taking the images of a batch as channels is faster for this window and for images of at least this
# size.
_WINDOW = (3, 3)
_SMALLEST_IMAGE = 7
# The largest ratio of a side of the input to the output's; above it, the padding costs too much.
_MOST_EXTRA = 1.12


def forward_is_fastest() -> bool:
    """Decide whether gradients are computed as forward convolutions.

    Returns:
        True on processors where TensorFlow's own gradients are slow. False on GPUs, where none of
        this was tried. False with oneDNN's convolutions too, because oneDNN's gradient for the
        input takes no longer than its forward pass. TensorFlow uses oneDNN on processors with
        AVX-512 VNNI or newer, and where `TF_ENABLE_ONEDNN_OPTS` is set to 1.
    """
    devices = {device.device_type for device in tf.config.list_logical_devices()}
    return devices <= {"CPU"} and not _has_onednn()


def conv2d(
    x: tf.Tensor, kernel: tf.Tensor, padding: str, strides: tuple[int, int] = (1, 1)
) -> tf.Tensor:
    """Convolve, and compute the gradients in the faster of two ways.

    Args:
        x: the input, (images, height, width, channels in); float32 or bfloat16.
        kernel: (window's height, its width, channels in, channels out), of the same type.
        padding: "SAME" or "VALID".
        strides: of the window, along height and width.

    Returns:
        The output of `tf.nn.conv2d`.

    Example:
        >>> images, kernel = tf.ones((1, 5, 5, 2)), tf.ones((3, 3, 2, 4))
        >>> conv2d(images, kernel, "VALID").shape
        TensorShape([1, 3, 3, 4])
    """
    if not forward_is_fastest():
        return tf.nn.conv2d(x, kernel, strides, padding)

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradients(back):
            how = (x, kernel, back, padding, strides)
            return _input_gradient(*how), _kernel_gradient(*how)

        return tf.nn.conv2d(x, kernel, strides, padding), gradients

    return convolve(x, kernel)


def _around(kernel, padding):
    """The padding before and after each side; the odd pixel of "SAME" comes after."""
    return [((k - 1) // 2, k // 2) if padding == "SAME" else (0, 0) for k in kernel.shape[:2]]


def _input_gradient(x, kernel, back, padding, strides):
    # Known sizes only: "VALID" with a window as large as the image would multiply the work.
    sizes = zip(x.shape[1:3], back.shape[1:3], strict=True)
    little = padding == "SAME" or all(a and b and a <= _MOST_EXTRA * b for a, b in sizes)
    if strides != (1, 1) or not little:
        rest = {"strides": [1, *strides, 1], "padding": padding}
        operands = {"filter": kernel, "out_backprop": back}
        return _in_float32(
            tf.raw_ops.Conv2DBackpropInput, operands, input_sizes=tf.shape(x), **rest
        )
    windows = zip(kernel.shape[:2], _around(kernel, padding), strict=True)
    rest = [(k - 1 - before, k - 1 - after) for k, (before, after) in windows]
    # ∂L/∂x = δ * turn(w)
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    return tf.nn.conv2d(back, turned, 1, [(0, 0), *rest, (0, 0)])


def _kernel_gradient(x, kernel, back, padding, strides):
    sizes = [*x.shape[1:3], *back.shape[1:3]]
    large = None not in sizes and min(sizes) >= _SMALLEST_IMAGE
    if strides != (1, 1) or tuple(kernel.shape[:2]) != _WINDOW or not large:
        rest = {"strides": [1, *strides, 1], "padding": padding}
        operands = {"input": x, "out_backprop": back}
        return _in_float32(
            tf.raw_ops.Conv2DBackpropFilter, operands, filter_sizes=kernel.shape, **rest
        )
    # ∂L/∂w = xᵀ * δᵀ, where the images are channels and δ is the kernel
    images, windows = tf.transpose(x, [3, 1, 2, 0]), tf.transpose(back, [1, 2, 0, 3])
    found = tf.nn.conv2d(images, windows, 1, [(0, 0), *_around(kernel, padding), (0, 0)])
    return tf.transpose(found, [1, 2, 0, 3])


def _in_float32(gradient, operands, **rest):
    """Compute TensorFlow's gradient in float32, because in bfloat16 it takes ten times as long."""
    dtype = operands["out_backprop"].dtype
    operands = {name: tf.cast(value, tf.float32) for name, value in operands.items()}
    return tf.cast(gradient(**operands, **rest), dtype)


@tf.keras.utils.register_keras_serializable("bopkit")
class QuantConv2D(lq.layers.QuantConv2D):
    """Convolve with quantized kernels, as larq's `QuantConv2D`, but faster to train on processors.

    The layer takes larq's arguments, saves the same weights and gives the same outputs. With a
    dilation, with groups or on a GPU it computes exactly what larq's layer does. With a stride the
    only difference is how bfloat16's gradients are computed on processors.

    Args:
        *args: as for larq's `QuantConv2D`.
        **kwargs: as for larq's `QuantConv2D`.

    Example:
        >>> layer = bopkit.QuantConv2D(
        ...     8, 3, kernel_quantizer=lq.quantizers.NoOp(precision=1),
        ...     kernel_initializer=bopkit.RandomSign(), use_bias=False,
        ... )
        >>> layer(tf.zeros((1, 28, 28, 1))).shape
        TensorShape([1, 26, 26, 8])
    """

    def convolution_op(self, inputs, kernel):
        """Convolve; Keras calls this method between the quantizers and the bias."""
        plain = (
            self.dilation_rate == (1, 1)
            and self.groups == 1
            and self.data_format == "channels_last"
            and inputs.shape.rank == 4
        )
        if not plain:
            return super().convolution_op(inputs, kernel)
        kernel = tf.convert_to_tensor(kernel)
        return conv2d(inputs, kernel, self.padding.upper(), self.strides)
