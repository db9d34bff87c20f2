"""The optimizer's update alone, against larq's and against copies of as many bytes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq
import numpy as np
from larq.quantized_variable import QuantizedVariable

from benchmarks.timing import in_turn, ratio, summary
from bopkit.optimizers import Bop
from bopkit.optimizers.compiled import LARGE

WEIGHTS = 10_000_000
# An update cannot do with less than reading w, m and g and writing w and m: five arrays. A copy
# of two and a half reads and writes just as many bytes.
ARRAYS_MOVED = 5


def run(smoke: bool) -> dict:
    """Measure.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    weights = WEIGHTS // 100 if smoke else WEIGHTS
    random = np.random.default_rng(0)
    gradient = tf.constant(random.normal(size=weights).astype(np.float32))

    def updater(optimizer, gradient=gradient, steps=1):
        signs = np.sign(random.normal(size=gradient.shape)).astype(np.float32)
        variable = QuantizedVariable.from_variable(tf.Variable(signs), precision=1)

        @tf.function
        def update():
            for _ in tf.range(steps):
                optimizer.apply_gradients([(gradient, variable)])

        return update

    threads = ThreadPoolExecutor()
    source = random.normal(size=weights * ARRAYS_MOVED // 2).astype(np.float32)
    target, tensor = source.copy(), tf.constant(source)
    runs = {
        "bopkit": updater(Bop("sgd", threshold=1e-8, gamma=1e-4)),
        "larq": updater(lq.optimizers.Bop(threshold=1e-8, gamma=1e-4)),
        "copy, numpy": lambda: np.copyto(target, source),
        "copy, all cores": lambda: _copy_on_all_cores(threads, target, source),
        # tf.identity copies nothing; this op always does, into memory that is new.
        "copy, TensorFlow": lambda: _ignore(tf.raw_ops.DeepCopy(x=tensor)),
    }
    seconds = in_turn(runs, 5 if smoke else 151, warmup=3)
    ours = seconds["bopkit"]
    figures = {
        "against larq": ratio(
            "updates per second against larq's", seconds["larq"], ours, at_least=3.0
        ),
        "against copy, numpy": ratio(
            "speed against a plain copy of the same bytes",
            seconds["copy, numpy"],
            ours,
            at_least=0.6,
        ),
        "against copy, all cores": ratio(
            "speed against the same copy shared out to all cores", seconds["copy, all cores"], ours
        ),
        "ceiling": ratio(
            "upper bound from memory: speed of that copy against larq's update",
            seconds["larq"],
            seconds["copy, all cores"],
        ),
        "against copy, TensorFlow": ratio(
            "speed against TensorFlow's copy of the same bytes", seconds["copy, TensorFlow"], ours
        ),
    }
    # Whether compiling pays, by the size of the variable, and what it costs.
    rule = {"threshold": 1e-8, "gamma": 1e-4}
    for count in (LARGE // 4, LARGE, 4 * LARGE):
        part = gradient[:count]
        pair = {
            f"{name}, {count:,} weights": updater(Bop("sgd", **rule, jit_compile=kind), part, 100)
            for name, kind in (("compiled", True), ("plain", False))
        }
        seconds |= in_turn(pair, 2 if smoke else 11)
        compiled, plain = (seconds[name] for name in pair)
        what = f"updates per second of {count:,} weights, compiled against not"
        figures[f"compiled, {count:,} weights"] = ratio(what, plain, compiled)
    firsts = {
        f"first, {name}": lambda kind=kind: updater(
            Bop("sgd", **rule, jit_compile=kind), gradient[:LARGE]
        )()
        for name, kind in (("compiled", True), ("plain", False))
    }
    seconds |= in_turn(firsts, 2 if smoke else 5, warmup=1)
    return {
        "settings": {"weights": weights, "bytes_moved": 4 * ARRAYS_MOVED * weights},
        "times": {name: summary(values) for name, values in seconds.items()},
        "ratios": figures,
    }


def _copy_on_all_cores(threads, target, source):
    cores = len(os.sched_getaffinity(0))
    parts = (np.array_split(array, cores) for array in (target, source))  # views
    list(threads.map(np.copyto, *parts))


def _ignore(_):
    return None
