"""A training step of BinaryNet: bopkit's Bop, larq's Bop, latent weights; and PyTorch's."""

from __future__ import annotations

import importlib.util

from benchmarks import steps, torch_steps
from benchmarks.timing import in_turn, ratio, summary

# Method, precision, and whether XLA compiles the whole step.
CONTESTANTS = {
    "bop float32": ("bop", "float32", False),
    "larq float32": ("larq", "float32", False),
    "latent float32": ("latent", "float32", False),
    "bop float32 compiled": ("bop", "float32", True),
    "bop mixed_bfloat16": ("bop", "mixed_bfloat16", False),
    "larq mixed_bfloat16": ("larq", "mixed_bfloat16", False),
}
WHAT = {
    "bop float32": "Bop in float32 against larq's in float32",
    "bop mixed_bfloat16": "Bop in mixed_bfloat16 against larq's in float32",
    "larq mixed_bfloat16": "larq's Bop in mixed_bfloat16 against its float32",
    "latent float32": "latent weights with Adam against larq's Bop, both float32",
}
TARGETS = {"bop float32, batch 50": 1.02, "bop mixed_bfloat16, batch 50": 1.6}
# In PyTorch: latent weights with Adam, each step as it comes or with the network compiled; and Bop.
PYTORCH = [
    f"{how} {precision}{compiled}"
    for precision in steps.precisions()
    for how, compiled in (("latent", ""), ("latent", " compiled"), ("bop", " compiled"))
]
IN_PYTORCH = {
    "latent": "latent weights in PyTorch",
    "latent compiled": "latent weights in PyTorch, compiled",
    "bop compiled": "Bop in PyTorch, compiled",
}


def run(smoke: bool) -> dict:
    """Measure at batch 50 and at 256.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    size = {"filters": 8, "dense_units": 16} if smoke else {}
    data = steps.noise()
    native = steps.precisions()
    peer = torch_steps.Peer(smoke) if importlib.util.find_spec("torch") else None
    peers = [name for name in PYTORCH if torch_steps.can_compile() or "compiled" not in name]

    def measure(names, batch, rounds, peers=()):
        runs = {}
        for name in names:
            method, precision, compiled = CONTESTANTS[name]
            hparams = {"precision": precision, "batch_size": batch, **size}
            loop = steps.make_loop(data, method=method, jit_compile=compiled, **hparams)
            runs[name] = steps.stepper(loop)
        for name in peers if peer else ():
            runs[f"PyTorch {name}"] = peer.stepper(f"{name}, batch {batch}")
        seconds = in_turn(runs, 2 if smoke else rounds)
        return {f"{name}, batch {batch}": values for name, values in seconds.items()}

    # larq's in bfloat16 only where the processor computes in it: elsewhere it takes minutes.
    plain = [
        name
        for name, (method, precision, compiled) in CONTESTANTS.items()
        if not compiled and (method != "larq" or precision in native)
    ]
    seconds = measure(plain, 50, 15, peers) | measure(plain, 256, 5, peers)
    if peer:
        peer.close()
    ratios = _ratios(seconds, native)
    # Apart from the others, whose caches it would disturb, and at one batch size: with XLA a large
    # one takes minutes.
    pair = measure(["bop float32", "bop float32 compiled"], 50, 5)
    ratios = _ratios(pair, native) | ratios
    seconds = pair | seconds
    times = {name: summary(values) for name, values in seconds.items()}
    return {"times": times, "ratios": ratios}


def _ratios(seconds, native):
    ratios = {}
    for batch in (50, 256):

        def compare(name, what, below, above, aim=None, batch=batch):
            pair = [seconds.get(f"{one}, batch {batch}") for one in (below, above)]
            if all(pair):
                what = f"steps per second, batch {batch}: {what}"
                ratios[f"{name}, batch {batch}"] = ratio(what, *pair, at_least=aim)

        for name, what in WHAT.items():
            # A target is for a processor that computes in the precision.
            reachable = CONTESTANTS[name][1] in native
            aim = TARGETS.get(f"{name}, batch {batch}") if reachable else None
            compare(name, what, "larq float32", name, aim)
        compare(
            "bop float32 compiled",
            "Bop's whole step compiled with XLA against not",
            "bop float32",
            "bop float32 compiled",
        )
        for precision in native:
            for how, said in IN_PYTORCH.items():
                method, *compiled = how.split()
                name = " ".join(["PyTorch", method, precision, *compiled])
                compare(
                    f"bop against {name}",
                    f"Bop against {said}, both in {precision}",
                    name,
                    f"bop {precision}",
                )
        compare(
            "bop against larq mixed_bfloat16",
            "Bop against larq's, both mixed_bfloat16",
            "larq mixed_bfloat16",
            "bop mixed_bfloat16",
        )
    return ratios
