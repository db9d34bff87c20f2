"""Where the time of one step goes, by kind of operation: TensorFlow's profiler, read."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from bopkit._tensorflow import tf  # isort: skip

from benchmarks import steps
from benchmarks.timing import in_turn, ratio, summary

BATCH = 50
# Bop's update is compiled, and in bfloat16 the signs: the profiler cannot tell them apart.
COMPILED = "XLA"
# Kinds by what TensorFlow calls the operation, without the "_MklNative" of those from oneDNN.
KINDS = {
    # bopkit.models computes some convolutions as products: of integers, or for a gradient.
    "convolutions and matrix products": (
        *("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "FusedConv2D"),
        *("MatMul", "FusedMatMul", "QuantizedMatMulWithBiasAndDequantize"),
    ),
    "moving numbers to where the products want them": (
        *("Transpose", "ReverseV2", "StridedSlice", "Pad", "PadV2", "ConcatV2", "Pack"),
    ),
    "batch normalization": ("FusedBatchNormV3", "FusedBatchNormGradV3", "FusedBatchNormEx"),
    "pooling": ("MaxPool", "MaxPoolGrad"),
    "conversion to and from bfloat16": ("Cast",),
    "signs and their gradient": ("GreaterEqual", "LessEqual", "Abs", "SelectV2", "Neg"),
    "Bop's update; in bfloat16, with the signs": (COMPILED,),
}
SHOWN = 12


def run(smoke: bool) -> dict:
    """Profile one step in each precision, one operation at a time, so that none hides another.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    tf.config.threading.set_inter_op_parallelism_threads(1)
    size = {"filters": 8, "dense_units": 16} if smoke else {}
    data = steps.noise()
    trains = {
        precision: steps.stepper(
            steps.make_loop(data, batch_size=BATCH, precision=precision, **size)
        )
        for precision in steps.precisions()
    }
    rounds = 2 if smoke else 5
    # On a GPU an operation is a launch or more. XLA makes one program of the step at any width, and
    # of a narrow network sooner.
    narrow = steps.make_loop(data, batch_size=BATCH, jit_compile=True, filters=8, dense_units=16)
    compiled = steps.stepper(narrow)
    compiled()
    seconds = in_turn(trains, rounds)
    section = {"settings": {"batch": BATCH}, "operations": {}, "kinds": {}, "ratios": {}}
    section["times"] = {f"step, {name}": summary(values) for name, values in seconds.items()}
    section["launches"] = {"compiled with XLA": _profile(compiled)[1]}
    for precision, train in trains.items():
        found, launches = zip(*(_profile(train) for _ in range(rounds)), strict=True)
        section["launches"][precision] = max(launches)
        total = [sum(one.values()) for one in found]
        names = {name for one in found for name in one}

        def share(names, found=found, total=total):
            return summary(
                sum(one[n] for n in names) / whole for one, whole in zip(found, total, strict=True)
            )

        shares = sorted(((n, share([n])) for n in names), key=lambda p: -p[1]["median"])
        section["operations"][precision] = dict(shares[:SHOWN])
        kinds = {kind: share(set(members) & names) for kind, members in KINDS.items()}
        known = {name for members in KINDS.values() for name in members}
        kinds["everything else"] = share(names - known)
        section["kinds"][precision] = kinds
        section["ratios"][f"profiled, {precision}"] = ratio(
            f"time found in operations against the step's, {precision}",
            [whole / 1e12 for whole in total],
            seconds[precision],
        )
    return section


def _profile(train) -> tuple[Counter, int]:
    """Picoseconds of one step by operation, and how many operations ran."""
    # Where it is since TensorFlow 2.18; it is no public interface.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            train()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    found, launches = Counter(), 0
    for plane in space.planes:
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for line in plane.lines:
            # The threads that compute the step; those of the input pipeline work beside it.
            if not line.name.startswith("tf_Compute"):
                continue
            for event in line.events:
                kind = _kind(names[event.metadata_id])
                found[kind] += event.duration_ps
                launches += kind is not None
    del found[None]
    return found, launches


def _kind(name: str) -> str | None:
    """What kind of operation an event is; None for what encloses operations, and is none."""
    if name.endswith("::ExecuteAsyncOnStream"):
        return COMPILED
    # An operation is "its/place/in/the/model:Kind".
    _, colon, kind = name.rpartition(":")
    if not colon or "::" in name:
        return None
    return kind.removeprefix("_Mkl").removeprefix("Native").lstrip("_")
