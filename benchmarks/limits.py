"""Time what `bopkit.models` chooses between on CPUs with oneDNN, on either side of its limits."""

from __future__ import annotations

from bopkit._tensorflow import tf  # isort: skip

from benchmarks import steps
from benchmarks.timing import in_turn, ratio, summary
from bopkit.models import integers, layers

SIDES = (4, 7, 8, 15, 30)  # of the maps, in pixels
CHANNELS = (128, 256, 512)  # in and out
OUTPUTS = (32, 64, 128, 256)  # channels out, of CHANNELS[0] in
BATCHES = (50, 256)
LARGEST = 2 * 30 * 128  # side times channels: twice those of BinaryNet's largest map
WINDOW = (3, 3)
AROUND = [(1, 1), (1, 1)]


def run(smoke: bool) -> dict:
    """Measure kernels' gradients in bfloat16 as products, and forward passes in integers.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    sides, batches = ((4,), (2,)) if smoke else (SIDES, BATCHES)
    channels, outputs = ((16,), (16,)) if smoke else (CHANNELS, OUTPUTS)
    times, ratios = {}, {}

    def compare(name, what, ours, theirs):
        seconds = in_turn({"ours": ours, "theirs": theirs}, 2 if smoke else 9)
        times[f"{name}, TensorFlow"] = summary(seconds["theirs"])
        ratios[name] = ratio(f"{what}: {name}", seconds["theirs"], seconds["ours"])

    for batch in batches:
        for side in sides:
            for depth in channels if "mixed_bfloat16" in steps.precisions() else ():
                if side * depth > LARGEST:
                    continue
                x, back = (_signs(batch, side, side, depth, kind=tf.bfloat16) for _ in range(2))
                given = (x, _signs(*WINDOW, depth, depth, kind=tf.bfloat16), back, "SAME", (1, 1))
                compare(
                    f"kernel, {side}x{side} pixels, {depth} channels, batch {batch}",
                    "speed of the gradient as products against oneDNN's, in bfloat16",
                    _run(layers._kernel_products, *given),
                    _run(layers._tensorflows_kernel, *given),
                )
            for depth in outputs:
                x = _signs(batch, side, side, channels[0])
                kernel = _signs(*WINDOW, channels[0], depth)
                compare(
                    f"forward, {side}x{side} pixels, {depth} channels out, batch {batch}",
                    "speed of the forward pass in integers against oneDNN's in float32",
                    _run(lambda x, k: integers.conv2d(x, k, AROUND, sure=False), x, kernel),
                    _run(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), x, kernel),
                )
    return {"times": times, "ratios": ratios}


def _signs(*shape, kind=tf.float32):
    return tf.cast(tf.sign(tf.random.normal(shape)), kind)


def _run(function, *given):
    tensors = [value for value in given if isinstance(value, tf.Tensor)]
    rest = given[len(tensors) :]
    compiled = tf.function(lambda *tensors: function(*tensors, *rest))

    def run():
        compiled(*tensors)

    return run
