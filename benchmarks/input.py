"""The input pipelines: images per second against what a step consumes, and ImageNet's JPEGs."""

from __future__ import annotations

import tempfile

from benchmarks import jpegs, steps
from benchmarks.timing import in_turn, ratio, summary

# Form and preparation of the images, batch, and the network that trains on them fastest.
SETS = {
    "CIFAR-10": ((32, 32, 3), "resize_and_flip", 50, {"precision": steps.precisions()[-1]}),
    "Fashion-MNIST": ((28, 28, 1), "default", 100, {"filters": 32, "dense_units": 256}),
}


def run(smoke: bool) -> dict:
    """Measure.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    rounds = 2 if smoke else 9
    times, ratios = {}, {}
    for name, (shape, preprocess, batch, hparams) in SETS.items():
        data = steps.noise(shape, preprocess, 2000 if smoke else 50_000)
        if smoke:
            hparams = {"filters": 8, "dense_units": 16}
        # Made anew and taken to its end each time: one left half-way would work on while the step
        # is measured.
        batches = data.train_batches(batch, seed=0, epochs=1)
        many = data.steps_per_epoch(batch)

        def pipeline(batches=batches):
            for _ in batches:
                pass

        step = steps.stepper(steps.make_loop(data, batch_size=batch, **hparams))
        seconds = in_turn({"pipeline": pipeline, "step": step}, rounds)
        times[f"{name}, {many} batches of {batch}"] = summary(seconds["pipeline"])
        times[f"{name}, a step of {batch}"] = summary(seconds["step"])
        ratios[f"{name} against step"] = ratio(
            f"images per second, {name}: the pipeline against the step that it feeds",
            seconds["step"],
            seconds["pipeline"],
            scale=many,
            at_least=20,
        )
    with tempfile.TemporaryDirectory() as folder:
        settings, more_times, more_ratios = jpegs.measure(
            folder, 16 if smoke else 256, 2 if smoke else 7
        )
    return {"settings": settings, "times": times | more_times, "ratios": ratios | more_ratios}
