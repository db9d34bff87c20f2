"""Time the gradients of BinaryNet's convolutions: TensorFlow's and `bopkit.models.layers`'."""

from __future__ import annotations

from bopkit._tensorflow import tf  # isort: skip

from benchmarks.timing import in_turn, ratio, summary
from bopkit import models
from bopkit.models import layers

BATCH = 50
HOW = {"strides": [1, 1, 1, 1], "padding": "SAME"}


def run(smoke: bool) -> dict:
    """Measure in float32; and TensorFlow's in bfloat16, of one convolution.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    size = {"filters": 8, "dense_units": 16} if smoke else {}
    model = models.binarynet((32, 32, 3), 10, **size)
    # All but the first, whose images need no gradient.
    inner = [layer for layer in model.layers if isinstance(layer, layers.QuantConv2D)][1:]
    given = [_numbers(layer) for layer in inner]
    halves = [tuple(tf.cast(tensor, tf.bfloat16) for tensor in given[-1])]
    runs = {
        "forward": _all(lambda x, w, dy: tf.nn.conv2d(x, w, 1, "SAME"), given),
        "input, TensorFlow": _all(_tensorflows_input, given),
        "input, bopkit": _all(lambda *g: layers._input_gradient(*g, "SAME", (1, 1)), given),
        "kernel, TensorFlow": _all(_tensorflows_kernel, given),
        "kernel, bopkit": _all(lambda *g: layers._kernel_gradient(*g, "SAME", (1, 1)), given),
    }
    seconds = in_turn(runs, 2 if smoke else 15)
    one = {
        "last, float32": _all(_tensorflows_input, given[-1:]),
        "last, bfloat16": _all(_tensorflows_input, halves),
    }
    seconds |= in_turn(one, 2 if smoke else 5, warmup=1)
    ratios = {
        f"{gradient}, {whose}": ratio(
            f"seconds of {whose}'s gradient for the {gradient} against the convolution's own",
            seconds[f"{gradient}, {whose}"],
            seconds["forward"],
        )
        for gradient in ("input", "kernel")
        for whose in ("TensorFlow", "bopkit")
    }
    ratios["bfloat16"] = ratio(
        "seconds of TensorFlow's for the last convolution's input, bfloat16 against float32",
        seconds["last, bfloat16"],
        seconds["last, float32"],
    )
    times = {name: summary(values) for name, values in seconds.items()}
    return {"settings": {"batch": BATCH}, "times": times, "ratios": ratios}


def _numbers(layer):
    """An input, a kernel and a gradient that comes back, of a layer's sizes."""
    shapes = (layer.input_shape, layer.kernel.shape, layer.output_shape)
    x, w, dy = (tf.random.normal([BATCH if n is None else n for n in shape]) for shape in shapes)
    return tf.sign(x), tf.sign(w), dy


def _tensorflows_input(x, w, dy):
    return tf.raw_ops.Conv2DBackpropInput(input_sizes=x.shape, filter=w, out_backprop=dy, **HOW)


def _tensorflows_kernel(x, w, dy):
    return tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=w.shape, out_backprop=dy, **HOW)


def _all(function, given):
    """A function that computes one thing for all layers, one after the other."""

    @tf.function
    def compute(given):
        results = []
        for tensors in given:
            with tf.control_dependencies(results[-1:]):
                results.append(function(*tensors))
        return results

    return lambda: _ignore(compute(given))


def _ignore(_):
    return None
