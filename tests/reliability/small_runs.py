"""A run that takes seconds, in this process or in one of its own, and what it left to compare."""

import copy
import json
import os
import signal
import subprocess
import sys
import time

import bopkit
from bopkit import records

HPARAMS = {"epochs": 4, "filters": 8, "dense_units": 32, "batch_size": 10}

# Saves after almost every chunk of steps, so that it can be stopped anywhere.
SCRIPT = """
import json, sys, bopkit
from bopkit.errors import BopkitError
try:
    bopkit.train(
        "binarynet/bop", output_dir=sys.argv[1], hparams=json.loads(sys.argv[2]),
        checkpoint_minutes=0.001,
    )
except BopkitError as error:
    sys.exit(f"bopkit: {error}")
"""


def run(folder, name="binarynet/bop", hparams=HPARAMS, **kwargs):
    kwargs = {"progress": False, "tensorboard": False, **kwargs}
    return bopkit.train(name, output_dir=folder, hparams=hparams, **kwargs)


def start(folder, hparams=HPARAMS, **env):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), json.dumps(hparams)],
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Under nohup a closing terminal is ignored, by the tests and by what they start.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def wait_for_epochs(folder, number, process, seconds=120):
    """Until the record shows so many finished epochs; False where the run ended before."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        assert time.monotonic() < deadline, "the run is too slow"
        if (folder / "run.json").exists() and len(records.read(folder)["epochs"]) >= number:
            return True
        time.sleep(0.02)
    return False


def rows(record):
    """The epochs of a record without what a clock says."""
    found = copy.deepcopy(record["epochs"])
    for row in found:
        row.pop("seconds")
    return found


def state(folder):
    """Every tensor of the newest checkpoint but those that count seconds and saves."""
    import tensorflow as tf

    from bopkit.training import checkpoints

    reader = tf.train.load_checkpoint(checkpoints.find(folder / "checkpoints")[0])
    names = (n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n)
    left_out = ("seconds", "save_counter")
    return {n: reader.get_tensor(n).tobytes() for n in names if not n.startswith(left_out)}


def assert_same_end(folder, other):
    record, expected = records.read(folder), records.read(other)
    assert record["status"] == "completed" and "error" not in record
    assert rows(record) == rows(expected)
    assert state(folder) == state(other)
    assert (folder / "model.keras").exists()


def assert_true_so_far(folder, expected):
    """A record of a run that stopped tells only what was computed, and never that it is done."""
    record = records.read(folder)
    assert record["status"] in ("running", "failed")
    assert rows(record) == rows(expected)[: len(record["epochs"])]
    return record
