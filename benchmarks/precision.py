"""A step in mixed_bfloat16 against float32, by network and width: what `precision` chooses by."""

from __future__ import annotations

from benchmarks import steps
from benchmarks.timing import in_turn, ratio, summary

WIDTHS = (4, 8, 12, 16, 24, 32, 128)  # filters of BinaryNet's first layer; the paper's has 128
BATCHES = (16, 50, 256)
# Sides of the images that the other networks are measured with, in pixels; batches of 16.
SIDES = {"binary_alexnet": (64, 224), "xnornet": (224,), "birealnet": (64, 224)}


def run(smoke: bool) -> dict:
    """Measure where the CPU computes in bfloat16; elsewhere there is nothing to choose.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    cases = {}
    for width in (8, 16) if smoke else WIDTHS:
        for batch in (50,) if smoke or width == WIDTHS[-1] else BATCHES:
            sizes = {"filters": width, "dense_units": 8 * width, "batch_size": batch}
            cases[f"BinaryNet, {width} filters, batch {batch}"] = (steps.noise(), sizes)
    for network, sides in SIDES.items() if not smoke else ():
        for side in sides:
            images = steps.noise((side, side, 3), "default", count=256)
            name = f"{network}, {side} pixels, batch 16"
            cases[name] = (images, {"network": network, "batch_size": 16})
    times, ratios = {}, {}
    for name, (data, settings) in cases.items():
        found = {
            precision: steps.stepper(steps.make_loop(data, precision=precision, **settings))
            for precision in steps.precisions()
        }
        seconds = in_turn(found, 2 if smoke else 7)
        times |= {f"{name}, {precision}": summary(values) for precision, values in seconds.items()}
        if len(seconds) == 2:
            ratios[name] = ratio(
                f"steps per second in mixed_bfloat16 against float32: {name}",
                seconds["float32"],
                seconds["mixed_bfloat16"],
            )
    return {"times": times, "ratios": ratios}
