r"""Convolve as larq does, in the ways that are fastest on the CPU.

`python -m benchmarks gradients` measures them. On a CPU without oneDNN's convolutions, TensorFlow's
own gradients of a convolution are slower than the convolution, and in bfloat16 many times slower.
Both gradients are convolutions themselves, and this module computes them as convolutions. For
strides of 1, with :math:`x` the input, :math:`w` the kernel and :math:`\delta` the gradient that
comes back:

.. math::

    \frac{\partial L}{\partial x} = \delta * \operatorname{turn}(w), \qquad
    \frac{\partial L}{\partial w} = x^\top * \delta^\top

where :math:`\operatorname{turn}` rotates each window by half a turn and swaps its channels in and
out. In the second equation the images of the batch take the place of the channels. The sums are the
same as TensorFlow's, so the gradients differ only by rounding.

CPUs with AVX-512 VNNI run oneDNN's convolutions, which have faster gradients. There two other
parts are slow. The forward pass in float32 is computed in integers (`bopkit.models.integers`). The
kernel's gradient in bfloat16, for small images and many channels, is computed as a product of
matrices for each place :math:`p` in the window:

.. math::

    \frac{\partial L}{\partial w_p} = x_p^\top \delta
"""

from __future__ import annotations

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq

from bopkit.models import integers

try:  # No public function says whether oneDNN is on.
    from tensorflow.python.util import _pywrap_util_port

    _has_onednn = _pywrap_util_port.IsMklEnabled
except (ImportError, AttributeError):

    def _has_onednn():
        return True  # unknown, so TensorFlow's own gradients are used, which are never wrong


# Quantizers whose outputs are -1 and +1.
_SIGNS = (lq.quantizers.SteSign, lq.quantizers.ApproxSign, lq.quantizers.SwishSign)
# Taking the images of a batch as channels is faster for this window and for images of at least this
# size.
_WINDOW = (3, 3)
_SMALLEST_IMAGE = 7
# The largest ratio of a side of the input to the output's; above it, the padding costs too much.
_MOST_EXTRA = 1.12
# With oneDNN in bfloat16, products are the faster gradient for the kernel up to this many pixels of
# the output, and from this many channels in and out.
MOST_PIXELS = 64
FEWEST_CHANNELS = 256


def forward_is_fastest() -> bool:
    """Decide whether gradients are computed as forward convolutions.

    Returns:
        True on CPUs where TensorFlow's own gradients are slow. False on GPUs, where none of
        this was tried. False with oneDNN's convolutions too, because oneDNN's gradient for the
        input takes no longer than its forward pass. TensorFlow uses oneDNN on CPUs with
        AVX-512 VNNI or newer, and where `TF_ENABLE_ONEDNN_OPTS` is set to 1.
    """
    return _on_processors() and not _has_onednn()


def _on_processors():
    return {device.device_type for device in tf.config.list_logical_devices()} <= {"CPU"}


def conv2d(
    x: tf.Tensor,
    kernel: tf.Tensor,
    padding: str,
    strides: tuple[int, int] = (1, 1),
    *,
    signs: bool = False,
    sure: bool = False,
) -> tf.Tensor:
    """Convolve, and compute the output and the gradients in the fastest way known.

    Args:
        x: the input, (images, height, width, channels in); float32 or bfloat16.
        kernel: (window's height, its width, channels in, channels out), of the same type.
        padding: "SAME" or "VALID".
        strides: of the window, along height and width.
        signs: the input holds only -1 and +1, and the kernel is meant to.
        sure: the kernel holds only -1 and +1.

    Returns:
        The output of `tf.nn.conv2d`.

    Example:
        >>> images, kernel = tf.ones((1, 5, 5, 2)), tf.ones((3, 3, 2, 4))
        >>> conv2d(images, kernel, "VALID").shape
        TensorShape([1, 3, 3, 4])
    """
    as_forward = forward_is_fastest()
    onednn = _on_processors() and not as_forward
    in_integers = onednn and signs and integers.is_faster(x, kernel, strides)
    if not (as_forward or in_integers or (onednn and x.dtype == tf.bfloat16)):
        return tf.nn.conv2d(x, kernel, strides, padding)

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradients(back):
            how = (x, kernel, back, padding, strides)
            return _input_gradient(*how), _kernel_gradient(*how)

        if in_integers:
            return integers.conv2d(x, kernel, _around(kernel, padding), sure=sure), gradients
        return tf.nn.conv2d(x, kernel, strides, padding), gradients

    return convolve(x, kernel)


def _around(kernel, padding):
    """The padding before and after each side; the odd pixel of "SAME" comes after."""
    return [((k - 1) // 2, k // 2) if padding == "SAME" else (0, 0) for k in kernel.shape[:2]]


def _input_gradient(x, kernel, back, padding, strides):
    if not forward_is_fastest():
        return _tensorflows_input(x, kernel, back, padding, strides)
    # Known sizes only: "VALID" with a window as large as the image would multiply the work.
    sizes = zip(x.shape[1:3], back.shape[1:3], strict=True)
    little = padding == "SAME" or all(a and b and a <= _MOST_EXTRA * b for a, b in sizes)
    if strides != (1, 1) or not little:
        return _in_float32(_tensorflows_input, x, kernel, back, padding, strides)
    windows = zip(kernel.shape[:2], _around(kernel, padding), strict=True)
    rest = [(k - 1 - before, k - 1 - after) for k, (before, after) in windows]
    # ∂L/∂x = δ * turn(w)
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    return tf.nn.conv2d(back, turned, 1, [(0, 0), *rest, (0, 0)])


def _kernel_gradient(x, kernel, back, padding, strides):
    if not forward_is_fastest():
        by_products = _products_are_faster(x, kernel, back, strides)
        compute = _kernel_products if by_products else _tensorflows_kernel
        return compute(x, kernel, back, padding, strides)
    sizes = [*x.shape[1:3], *back.shape[1:3]]
    large = None not in sizes and min(sizes) >= _SMALLEST_IMAGE
    if strides != (1, 1) or tuple(kernel.shape[:2]) != _WINDOW or not large:
        return _in_float32(_tensorflows_kernel, x, kernel, back, padding, strides)
    # ∂L/∂w = xᵀ * δᵀ, where the images are channels and δ is the kernel
    images, windows = tf.transpose(x, [3, 1, 2, 0]), tf.transpose(back, [1, 2, 0, 3])
    found = tf.nn.conv2d(images, windows, 1, [(0, 0), *_around(kernel, padding), (0, 0)])
    return tf.transpose(found, [1, 2, 0, 3])


def _products_are_faster(x, kernel, back, strides):
    sides = back.shape[1:3]
    return (
        x.dtype == tf.bfloat16
        and strides == (1, 1)
        and None not in (*x.shape[1:3], *sides)
        and sides[0] * sides[1] <= MOST_PIXELS
        and min(kernel.shape[2:]) >= FEWEST_CHANNELS
    )


def _kernel_products(x, kernel, back, padding, strides):
    inputs, outputs = kernel.shape[2:]
    padded = tf.pad(x, [(0, 0), *_around(kernel, padding), (0, 0)])
    back = tf.reshape(back, [-1, outputs])
    # ∂L/∂w_p = x_pᵀ δ
    found = [
        tf.matmul(tf.reshape(place, [-1, inputs]), back, transpose_a=True)
        for place in integers.places(padded, kernel.shape[:2])
    ]
    return tf.reshape(tf.stack(found), kernel.shape)


def _tensorflows_input(x, kernel, back, padding, strides):
    return tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(x),
        filter=kernel,
        out_backprop=back,
        strides=[1, *strides, 1],
        padding=padding,
    )


def _tensorflows_kernel(x, kernel, back, padding, strides):
    return tf.raw_ops.Conv2DBackpropFilter(
        input=x,
        filter_sizes=kernel.shape,
        out_backprop=back,
        strides=[1, *strides, 1],
        padding=padding,
    )


def _in_float32(gradient, x, kernel, back, *how):
    """Compute TensorFlow's gradient in float32, because in bfloat16 it takes ten times as long."""
    given = (tf.cast(tensor, tf.float32) for tensor in (x, kernel, back))
    return tf.cast(gradient(*given, *how), back.dtype)


@tf.keras.utils.register_keras_serializable("bopkit")
class QuantConv2D(lq.layers.QuantConv2D):
    """Convolve with quantized kernels, as larq's `QuantConv2D`, but faster to train on CPUs.

    The layer takes larq's arguments, saves the same weights and gives the same outputs. With a
    dilation, with groups or on a GPU it computes exactly what larq's layer does. With a stride the
    only difference is how bfloat16's gradients are computed on CPUs. In training, a layer with
    strides of 1 whose input and kernel are signs convolves in integers if that is faster. The
    outputs are the same to the last bit.

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

    def call(self, inputs, training=None):
        """Quantize and convolve; in training, in integers where that is faster."""
        # Otherwise never in integers: what is saved or exported is to run on every machine.
        self._training = isinstance(training, bool | int) and bool(training)
        return super().call(inputs)

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
        sure = isinstance(self.kernel_quantizer, _SIGNS)
        binary = sure or getattr(self.kernel_quantizer, "precision", None) == 1
        # larq has put its `pad_values` around the input by now.
        padded = tf.is_tensor(self.pad_values) or self.pad_values not in (-1, 0, 1)
        signs = self._training and isinstance(self.input_quantizer, _SIGNS) and binary
        signs = signs and not padded
        padding = self.padding.upper()
        return conv2d(inputs, kernel, padding, self.strides, signs=signs, sure=sure)
