"""A training step of BinaryNet: bopkit's Bop, larq's Bop, latent weights with Adam."""

from __future__ import annotations

from benchmarks import steps
from benchmarks.timing import in_turn, ratio, summary

# Method, precision, and whether XLA compiles the whole step.
CONTESTANTS = {
    "bop float32": ("bop", "float32", False),
    "bop mixed_bfloat16": ("bop", "mixed_bfloat16", False),
    "larq float32": ("larq", "float32", False),
    "larq mixed_bfloat16": ("larq", "mixed_bfloat16", False),
    "latent float32": ("latent", "float32", False),
    "bop float32 compiled": ("bop", "float32", True),
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
    times, ratios = {}, {}
    for batch, rounds, aims in ((50, 15, (1.02, 1.6)), (256, 5, (None, None))):
        runs = {}
        for name, (method, precision, compiled) in CONTESTANTS.items():
            if compiled and batch > 50:
                continue  # one batch size shows it, and a large one would take minutes
            hparams = {"precision": precision, "batch_size": batch, **size}
            loop = steps.make_loop(data, method=method, jit_compile=compiled, **hparams)
            runs[name] = steps.stepper(loop)
        seconds = in_turn(runs, 2 if smoke else rounds, warmup=2)
        for name, values in seconds.items():
            times[f"{name}, batch {batch}"] = summary(values)
        larq = seconds["larq float32"]
        named = {
            "bop float32": ("Bop in float32 against larq's in float32", aims[0]),
            "bop mixed_bfloat16": ("Bop in mixed_bfloat16 against larq's in float32", aims[1]),
            "larq mixed_bfloat16": ("larq's Bop in mixed_bfloat16 against its float32", None),
            "latent float32": ("latent weights with Adam against larq's Bop, both float32", None),
        }
        for name, (what, aim) in named.items():
            ratios[f"{name}, batch {batch}"] = ratio(
                f"steps a second, batch {batch}: {what}", larq, seconds[name], at_least=aim
            )
        if compiled := seconds.get("bop float32 compiled"):
            ratios[f"bop float32 compiled, batch {batch}"] = ratio(
                f"steps a second, batch {batch}: Bop's whole step compiled with XLA against not",
                seconds["bop float32"],
                compiled,
            )
        both = [seconds[f"{who} mixed_bfloat16"] for who in ("larq", "bop")]
        ratios[f"bop against larq mixed_bfloat16, batch {batch}"] = ratio(
            f"steps a second, batch {batch}: Bop against larq's, both mixed_bfloat16", *both
        )
    return {"times": times, "ratios": ratios}
