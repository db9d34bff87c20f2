"""Time the gradients of BinaryNet's convolutions: TensorFlow's and `bopkit.models.layers`'."""

from __future__ import annotations

from bopkit._tensorflow import tf  # isort: skip

from benchmarks import steps
from benchmarks.timing import in_turn, ratio, summary
from bopkit import models
from bopkit.models import layers

BATCH = 50
HOW = {"strides": [1, 1, 1, 1], "padding": "SAME"}


def run(smoke: bool) -> dict:
    """Measure in each precision that the processor has; and one convolution in both.

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
    in_bfloat16 = [tuple(tf.cast(t, tf.bfloat16) for t in tensors) for tensors in given]
    seconds = in_turn(_runs(given), 2 if smoke else 15)
    if "mixed_bfloat16" in steps.precisions():
        found = in_turn(_runs(in_bfloat16), 2 if smoke else 15)
        seconds |= {f"{name}, bfloat16": values for name, values in found.items()}
    one = {
        "last, float32": _all(_tensorflows_input, given[-1:]),
        "last, bfloat16": _all(_tensorflows_input, in_bfloat16[-1:]),
    }
    seconds |= in_turn(one, 2 if smoke else 5, warmup=1)
    ratios = {}
    for precision, said in {"": "", ", bfloat16": ", both in bfloat16"}.items():
        if f"forward{precision}" not in seconds:
            continue
        for gradient in ("input", "kernel"):
            for whose in ("TensorFlow", "bopkit"):
                name = f"{gradient}, {whose}{precision}"
                ratios[name] = ratio(
                    f"seconds of {whose}'s gradient for the {gradient} against the "
                    f"convolution's own{said}",
                    seconds[name],
                    seconds[f"forward{precision}"],
                )
        ratios[f"forward in training{precision}"] = ratio(
            f"seconds of bopkit's forward pass in training against TensorFlow's{said}",
            seconds[f"forward in training{precision}"],
            seconds[f"forward{precision}"],
        )
    ratios["bfloat16"] = ratio(
        "seconds of TensorFlow's gradient for the last convolution's input, bfloat16 against "
        "float32",
        seconds["last, bfloat16"],
        seconds["last, float32"],
    )
    times = {name: summary(values) for name, values in seconds.items()}
    return {"settings": {"batch": BATCH}, "times": times, "ratios": ratios}


def _runs(given):
    return {
        "forward": _all(lambda x, w, dy: tf.nn.conv2d(x, w, 1, "SAME"), given),
        "input, TensorFlow": _all(_tensorflows_input, given),
        "input, bopkit": _all(lambda *g: layers._input_gradient(*g, "SAME", (1, 1)), given),
        "kernel, TensorFlow": _all(_tensorflows_kernel, given),
        "kernel, bopkit": _all(lambda *g: layers._kernel_gradient(*g, "SAME", (1, 1)), given),
        "forward in training": _all(
            lambda x, w, dy: layers.conv2d(x, w, "SAME", signs=True), given
        ),
    }


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
