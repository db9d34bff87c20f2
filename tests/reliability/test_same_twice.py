"""The same seed twice: what must be the same on one machine, and what the seed must change.

What holds by design, tested here: a run is the same bit for bit in a new process, and in another
folder. With another number of threads or other processor instructions sums are taken in another
order, and nobody promises the last digit; what they did is on the book's page on reliability,
measured by `tests/reliability/test_same_twice.py` run as a script.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_runs import TIMES

TRAIN = """
import json, sys
from bopkit._tensorflow import load_tensorflow
load_tensorflow()
import bopkit
name, folder, seed, precision, epochs = sys.argv[1:]
bopkit.train(name, output_dir=folder, seed=int(seed), train_examples=400, validation_examples=100,
             hparams=dict(epochs=int(epochs), filters=8, dense_units=32, batch_size=20,
                          precision=precision),
             tensorboard=False, progress=False)
"""

# What is set and not measured; some are schedules' values, some are null.
SET = ("epoch", "gamma", "threshold", "sigma", "learning_rate")
# Conditions of the measurement, by what they change.
CONDITIONS = {
    "one thread": {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
    "two threads": {"TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "2"},
    "oneDNN held to AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "oneDNN held to SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "NumPy's BLAS held to Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
}


def train(folder, name="binarynet/bop", seed=0, precision="float32", epochs=2, env=None):
    """A small run in a process of its own; its record, and its weights' fingerprint."""
    command = [sys.executable, "-c", TRAIN, name, str(folder), str(seed), precision, str(epochs)]
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return comparable(json.loads((Path(folder) / "run.json").read_text())), weights(folder)


def comparable(record):
    """A record without its times: on one machine, all else must be the same."""
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in record["epochs"]]
    starts = [{k: v for k, v in start.items() if k != "time"} for start in record["starts"]]
    return record | {"epochs": rows, "starts": starts}


def weights(folder):
    import h5py

    found = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = hashlib.sha256(item[()].tobytes()).hexdigest()

    with (
        zipfile.ZipFile(Path(folder) / "model.keras") as archive,
        archive.open("model.weights.h5") as file,
        h5py.File(file, "r") as opened,
    ):
        opened.visititems(keep)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"),
    [("binarynet/bop", "float32"), ("binarynet/default", "float32"),
     ("binarynet/bop", "mixed_bfloat16")],
)  # fmt: skip
def test_two_processes_with_one_seed_agree_in_every_number_and_weight(name, precision, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(train, tmp_path / run, name, 0, precision) for run in "ab"]
        one, other = (job.result() for job in jobs)
    assert one[1] and one == other


def test_in_one_process_again_and_with_another_seed(tmp_path):
    from small_runs import run

    found = {}
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        record = run(tmp_path / folder, seed=seed)
        found[folder] = comparable(record), weights(tmp_path / folder)
    assert found["a"] == found["b"]
    assert found["a"][0]["epochs"] != found["c"][0]["epochs"]
    assert found["a"][1] != found["c"][1]
    # ... and the seed is all in which the two differ, besides what came out
    settings = [dict(found[folder][0]["config"], seed=None) for folder in "ac"]
    assert settings[0] == settings[1]


def measure(folder):
    """What other threads and other instructions do to a seed's run, as Markdown."""
    print("| run | condition | numbers of the record | weights |")
    print("| --- | --- | --- | --- |")
    for name, precision in (
        ("binarynet/bop", "float32"), ("binarynet/default", "float32"),
        ("binarynet/bop", "mixed_bfloat16"),
    ):  # fmt: skip
        where = folder / f"{name}-{precision}"
        base = train(where / "as it is", name, 0, precision, 20)
        for what, env in CONDITIONS.items():
            try:
                out = train(where / what, name, 0, precision, 20, env)
            except AssertionError as error:
                why = re.search("message: (.*?)\\.|$", str(error))[1]
                print(f"| {name}, {precision} | {what} | does not run: {why} | |", flush=True)
                continue
            pairs = [
                (a[k], b[k])
                for a, b in zip(base[0]["epochs"], out[0]["epochs"], strict=True)
                for k in a
                if k not in SET
            ]
            same = sum(a == b for a, b in pairs)
            equal = sum(base[1][k] == out[1][k] for k in base[1])
            final = 100 * out[0]["final"]["val_accuracy"]
            print(
                f"| {name}, {precision} | {what} | {same} of {len(pairs)} equal, top-1 "
                f"{final:.1f} % ({100 * base[0]['final']['val_accuracy']:.1f} %) | "
                f"{equal} of {len(base[1])} arrays equal |",
                flush=True,
            )


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch))
