"""What a step costs as the batch and the network grow."""

from __future__ import annotations

from benchmarks import steps
from benchmarks.timing import in_turn, ratio, summary
from bopkit.experiments import cost

BATCHES = (16, 50, 128, 512)
WIDTHS = (32, 64, 128, 256)


def run(smoke: bool) -> dict:
    """Measure; what ImageNet's input gains from a second core is in the section `input`.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    data = steps.noise()
    rounds = 2 if smoke else 5
    size = {"filters": 8, "dense_units": 16} if smoke else {}
    widths = (8, 16) if smoke else WIDTHS
    loops = {batch: steps.make_loop(data, batch_size=batch, **size) for batch in BATCHES}
    by_batch = in_turn({b: steps.stepper(loop) for b, loop in loops.items()}, rounds, warmup=1)
    del loops
    loops = {width: steps.make_loop(data, batch_size=50, filters=width) for width in widths}
    by_width = in_turn({w: steps.stepper(loop) for w, loop in loops.items()}, rounds)
    macs = {width: cost.count_macs(loop.model) for width, loop in loops.items()}
    times = {f"step, batch {batch}": summary(v) for batch, v in by_batch.items()}
    times |= {f"step, width {width}": summary(v) for width, v in by_width.items()}
    ratios = {
        f"batch {batch}": ratio(
            f"seconds per image, batch {batch} against batch 50",
            by_batch[batch],
            by_batch[50],
            scale=50 / batch,
        )
        for batch in BATCHES
        if batch != 50
    }
    base = widths[-2]
    ratios |= {
        f"width {width}": ratio(
            f"seconds per multiplication, width {width} against width {base}",
            by_width[width],
            by_width[base],
            scale=macs[base] / macs[width],
        )
        for width in widths
        if width != base
    }
    settings = {"batches": list(BATCHES), "widths": list(widths)}
    settings["mmacs_an_image"] = {str(w): round(m / 1e6, 1) for w, m in macs.items()}
    return {"settings": settings, "times": times, "ratios": ratios}
