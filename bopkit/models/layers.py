r"""larq's binary convolution, with a backward pass that costs what the forward pass does.

On a processor, TensorFlow's own gradients of a convolution are slower than the convolution, in
bfloat16 many times slower (`python -m benchmarks gradients` measures how much). Both are
convolutions themselves, and here they are computed as such. For strides of 1, with :math:`x` the
input, :math:`w` the kernel and :math:`\delta` the gradient that comes back:

.. math::

    \frac{\partial L}{\partial x} = \delta * \operatorname{turn}(w), \qquad
    \frac{\partial L}{\partial w} = x^\top * \delta^\top

where :math:`\operatorname{turn}` rotates each window by half a turn and swaps its channels in and
out, and in the second the images of the batch stand for channels. The sums are the same, and so are
the gradients but for rounding.
"""

from __future__ import annotations

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq

try:  # No public function says whether oneDNN is on.
    from tensorflow.python.util import _pywrap_util_port

    _has_onednn = _pywrap_util_port.IsMklEnabled
except (ImportError, AttributeError):

    def _has_onednn():
        return True  # nothing is known: TensorFlow's own gradients are never wrong


# The images of a batch as channels pay for windows of this size, and for images not below this one.
_WINDOW = (3, 3)
_SMALLEST_IMAGE = 7
# Each side of the input against the output's: more, and there is too much to add around it.
_MOST_EXTRA = 1.12


def forward_is_fastest() -> bool:
    """Whether gradients are computed as forward convolutions: where TensorFlow's own are slow.

    Not on GPUs, where none of this was tried. Nor with oneDNN's convolutions, which TensorFlow
    takes on processors with AVX-512 VNNI or newer (and where `TF_ENABLE_ONEDNN_OPTS` asks for
    them): its gradient for the input takes no longer than its forward pass.
    """
    devices = {device.device_type for device in tf.config.list_logical_devices()}
    return devices <= {"CPU"} and not _has_onednn()


def conv2d(
    x: tf.Tensor, kernel: tf.Tensor, padding: str, strides: tuple[int, int] = (1, 1)
) -> tf.Tensor:
    """A convolution whose gradients are computed in the faster of two ways.

    Args:
        x: the input, (images, height, width, channels in); float32 or bfloat16.
        kernel: (window's height, its width, channels in, channels out), of the same type.
        padding: "SAME" or "VALID".
        strides: of the window, along height and width.

    Returns:
        What `tf.nn.conv2d` does.
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
    """How far a window hangs out before and after each side; the odd place of "SAME" is after."""
    return [((k - 1) // 2, k // 2) if padding == "SAME" else (0, 0) for k in kernel.shape[:2]]


def _input_gradient(x, kernel, back, padding, strides):
    # known sizes only: "VALID" with a window as large as the image would be that much more work
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
    """TensorFlow's gradient, which in bfloat16 takes ten times as long as in float32."""
    dtype = operands["out_backprop"].dtype
    operands = {name: tf.cast(value, tf.float32) for name, value in operands.items()}
    return tf.cast(gradient(**operands, **rest), dtype)


@tf.keras.utils.register_keras_serializable("bopkit")
class QuantConv2D(lq.layers.QuantConv2D):
    """larq's `QuantConv2D`, faster to train on processors.

    It takes the same arguments and saves the same weights, and its outputs are the same. Layers
    with a dilation or groups, and layers on GPUs, are larq's in all; those with a stride are, but
    for bfloat16's gradients on processors.

    Args:
        *args: as larq's `QuantConv2D`.
        **kwargs: likewise.
    """

    def convolution_op(self, inputs, kernel):
        """The convolution itself, which Keras calls between the quantizers and the bias."""
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
