"""Memory: what an optimizer keeps for each binary weight, and the most that a step takes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

from benchmarks.timing import ratio, summary

BATCH = 50


def run(smoke: bool) -> dict:
    """Measure, each time in a process of its own: memory once taken is never given back.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    found = {"bop": [], "latent": []}
    for _ in range(1 if smoke else 5):
        for method, rounds in found.items():
            command = [sys.executable, "-m", "benchmarks.memory", method, str(int(smoke))]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rounds.append(json.loads(done.stdout.splitlines()[-1]))
    column = {
        (method, key): [row[key] for row in rows]
        for method, rows in found.items()
        for key in rows[0]
    }
    amounts = {f"{key}, {method}": summary(values) for (method, key), values in column.items()}
    names = {
        "state_bytes": "optimizer state for each binary weight, in bytes",
        "peak_mib": "the most memory that a process with one step takes",
        "step_mib": "the same, less what it took before the network was built",
    }
    ratios = {
        key: ratio(f"{what}: Bop against latent weights with Adam", *_pair(column, key))
        for key, what in names.items()
    }
    return {"settings": {"batch": BATCH}, "amounts": amounts, "ratios": ratios}


def _pair(column, key):
    return column["bop", key], column["latent", key]


def _peak_mib():
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _measure(method: str, smoke: bool) -> dict:
    from benchmarks import steps

    size = {"filters": 8, "dense_units": 16} if smoke else {}
    data = steps.noise()
    before = _peak_mib()
    loop = steps.make_loop(data, method=method, batch_size=BATCH, **size)
    train = steps.stepper(loop)
    for _ in range(3):
        train()
    binary = {v.shape for v in loop.model.trainable_variables if getattr(v, "precision", 0) == 1}
    # Slots have their variable's shape, which no other variable of these networks has.
    state = sum(
        v.shape.num_elements() * v.dtype.size for v in loop.optimizer.variables if v.shape in binary
    )
    peak = _peak_mib()
    return {
        "state_bytes": state / loop.binary_weights,
        "peak_mib": peak,
        "step_mib": peak - before,
    }


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], sys.argv[2] == "1")))
