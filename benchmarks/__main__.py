"""Measures, one section after the other: `python -m benchmarks [SECTION ...]`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from bopkit import records

SECTIONS = {
    "update": "the optimizer's update alone",
    "step": "a training step, against larq's and latent weights",
    "gradients": "the gradients of its convolutions, TensorFlow's and bopkit's",
    "floor": "a step against its passes, its products, the processor's peak",
    "input": "images from memory, and from JPEG files",
    "memory": "optimizer state and peak memory",
    "limits": "a layer on either side of the limits by which bopkit chooses how to compute it",
    "precision": "a step in bfloat16 against float32, by network and width",
    "scale": "cost as batch, width and cores grow",
    "overhead": "the smallest experiment: what is not the step",
    "profile": "where the time of one step goes",
    "pytorch": "the update and a step in PyTorch",
}
# What a section needs; without it, a run of all sections leaves the section out.
NEEDS = {
    "limits": lambda: records.hardware().get("bfloat16"),
    "precision": lambda: records.hardware().get("bfloat16"),
    "pytorch": lambda: importlib.util.find_spec("torch"),
}


def main() -> None:
    """Run the sections named, or all; each in a process of its own, and stored when it is done."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of: {', '.join(SECTIONS)}; none: all")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks.json"))
    parser.add_argument("--smoke", action="store_true", help="small and few: numbers mean nothing")
    parser.add_argument("--missing", action="store_true", help="only what the output has not yet")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; there are: {', '.join(SECTIONS)}.")
    if arguments.smoke and arguments.output == parser.get_default("output"):
        parser.error("--smoke wants an --output of its own: its numbers are none to keep.")
    if arguments.inside:
        _measure(arguments.sections[0], arguments.output, arguments.smoke)
        return
    from benchmarks import report

    names = arguments.sections or [name for name in SECTIONS if name not in NEEDS or NEEDS[name]()]
    if arguments.missing:
        there = report.read(arguments.output)["sections"]
        names = [name for name in names if name not in there]
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}: {SECTIONS[name]}", flush=True)
        # A process each: what one leaves in memory, threads and caches is not the next one's.
        command = [sys.executable, "-m", "benchmarks", "--inside", name]
        command += ["--output", str(arguments.output), *(["--smoke"] * arguments.smoke)]
        subprocess.run(command, check=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})


def _measure(name, output, smoke):
    import tensorflow as tf

    from benchmarks import report, timing

    tf.get_logger().setLevel("ERROR")  # about tracing one method for several loops, as meant here
    started = time.perf_counter()
    found = importlib.import_module(f"benchmarks.{name}").run(smoke)
    section = report.provenance() | found  # afterwards, because a section may set the threads
    section["seconds"] = round(time.perf_counter() - started, 1)
    report.write(output, name, section)
    for figure in section["ratios"].values():
        spread = f"{figure['median']:7.3f}  ({figure['low']:.3f} to {figure['high']:.3f})"
        mark = ""
        if "target" in figure:
            ((kind, bound),) = figure["target"].items()
            met = "reached" if timing.reached(figure) else "NOT reached"
            mark = f"  [{kind.replace('_', ' ')} {bound}: {met}]"
        print(f"    {spread}  {figure['what']}{mark}")
    print(f"    {section['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
