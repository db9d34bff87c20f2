"""A step against what it cannot do without: its passes, their products, the processor's peak."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable

import numpy as np

from bopkit._tensorflow import tf  # isort: skip

from benchmarks import steps
from benchmarks.timing import in_turn, ratio, summary
from bopkit.models.layers import conv2d

BATCH = 50
SIDE = 2048  # of the square matrices whose product stands for the peak


def run(smoke: bool) -> dict:
    """Measure in each precision that the processor has.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    size = {"filters": 8, "dense_units": 16} if smoke else {}
    data = steps.noise()
    times, ratios, settings = {}, {}, {}
    for precision in steps.precisions():
        dtype = {"float32": tf.float32, "mixed_bfloat16": tf.bfloat16}[precision]
        loop = steps.make_loop(data, batch_size=BATCH, precision=precision, **size)
        products, flops = make_products(loop.model, BATCH, dtype)
        matrix = tf.cast(tf.random.normal((SIDE, SIDE)), dtype)
        peak = tf.function(lambda matrix=matrix: tf.matmul(matrix, matrix))
        runs = {
            "step": steps.stepper(loop),
            "forward and backward": steps.forward_backward(loop),
            "products": products,
            "peak": lambda peak=peak: _ignore(peak()),
        }
        if precision == "float32":  # NumPy has no bfloat16
            matrix = matrix.numpy()
            peak = functools.partial(np.matmul, matrix, matrix)
            runs["peak, NumPy"] = lambda peak=peak: _ignore(peak())
        seconds = in_turn(runs, 2 if smoke else 11, warmup=2)
        peaks = [seconds.pop(name) for name in list(seconds) if name.startswith("peak")]
        seconds["peak"] = min(peaks, key=statistics.median)
        settings[precision] = {"product_gflop": flops / 1e9, "peak_gflop": 2 * SIDE**3 / 1e9}
        for name, values in seconds.items():
            times[f"{name}, {precision}"] = summary(values)
        ratios[f"passes of step, {precision}"] = ratio(
            f"the forward and backward pass as a share of the step, {precision}",
            seconds["forward and backward"],
            seconds["step"],
            at_least=0.92 if precision == "float32" else None,
        )
        ratios[f"products of step, {precision}"] = ratio(
            f"convolutions and matrix products as a share of the step, {precision}",
            seconds["products"],
            seconds["step"],
        )
        ratios[f"products of peak, {precision}"] = ratio(
            f"speed of these products as a share of one large product's, {precision}",
            seconds["peak"],
            seconds["products"],
            scale=flops / (2 * SIDE**3),
        )
    return {"settings": settings, "times": times, "ratios": ratios}


def make_products(model, batch: int, dtype) -> tuple[Callable[[], None], int]:
    """A model's convolutions and products alone, forward and both ways back, on made-up numbers.

    Args:
        model: a built model with square kernels and strides of 1.
        batch: its size.
        dtype: of everything multiplied.

    Returns:
        A function that computes them, one layer after the other, and how many floating-point
        operations that is.
    """
    layers, flops = [], 0
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None:
            continue
        inputs, outputs = ((batch, *s[1:]) for s in (layer.input_shape, layer.output_shape))
        numbers = [tf.random.normal(shape) for shape in (inputs, kernel.shape, outputs)]
        if layers:  # the first layer's images are real numbers
            numbers[:2] = (tf.sign(tensor) for tensor in numbers[:2])
        given = [tf.cast(tensor, dtype) for tensor in numbers]
        # The first layer's images need no gradient.
        layers.append((getattr(layer, "padding", "").upper(), bool(layers), given))
        multiplications = kernel.shape.num_elements() * batch
        for pixels in outputs[1:-1]:
            multiplications *= pixels
        flops += 2 * multiplications * (3 if layers[-1][1] else 2)

    @tf.function
    def products(layers_given):
        results = []
        for (padding, inner, _), (x, w, dy) in zip(layers, layers_given, strict=True):
            with tf.control_dependencies(results[-1:]):
                if padding:
                    with tf.GradientTape() as tape:
                        tape.watch([x, w])
                        y = conv2d(x, w, padding, signs=inner)  # as the step has it
                    wanted = [x, w] if inner else [w]
                    results += [y, *tape.gradient(y, wanted, output_gradients=dy)]
                else:
                    results += [x @ w, tf.matmul(dy, w, transpose_b=True)]
                    results.append(tf.matmul(x, dy, transpose_a=True))
        return results

    arguments = [given for *_, given in layers]
    return lambda: _ignore(products(arguments)), flops


def _ignore(_):
    return None
