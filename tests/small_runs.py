"""Runs of a small network that take seconds, in this process or in others; what they leave.

Started as a script, this file is one run in a process of its own: FOLDER NAME HPARAMS.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
from unittest import mock

import bopkit
from bopkit import models, records

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq

from bopkit.errors import BopkitError
from bopkit.training.loop import TIMES

HPARAMS = {"epochs": 2, "dense_units": 64, "batch_size": 20}
STEPS = 1437 // 20


def two_layers(input_shape, num_classes, *, method="bop", filters=None, dense_units=64):
    """A network in BinaryNet's place: with nine layers, most of a test's time is their tracing.

    Its activations are real: the sign of a sum that is exactly its batch's mean would hang on the
    last bit of rounding, which several workers do not share.
    """
    layers = tf.keras.layers
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    kernel = {"use_bias": False, "kernel_quantizer": lq.quantizers.NoOp(precision=1)}
    kernel["kernel_initializer"] = bopkit.RandomSign()
    if method == "latent":
        quantizer = models.SteSign()
        kernel = {"use_bias": False, "kernel_quantizer": quantizer}
        kernel["kernel_constraint"] = "weight_clip"
    return tf.keras.Sequential(
        [
            layers.Input(input_shape),
            layers.Flatten(),
            lq.layers.QuantDense(dense_units, **kernel),
            layers.BatchNormalization(synchronized=several),
            layers.ReLU(),
            lq.layers.QuantDense(num_classes, **kernel),
            layers.BatchNormalization(synchronized=several),
            layers.Softmax(),
        ]
    )


def run(folder, name="binarynet/bop", hparams=HPARAMS, **kwargs):
    kwargs = {"progress": False, "tensorboard": False, **kwargs}
    hparams = {"precision": "float32", **hparams}  # on every CPU, and the layers know no other
    with mock.patch.dict(models.NETWORKS, binarynet=two_layers):
        return bopkit.train(name, output_dir=folder, hparams=hparams, **kwargs)


def start(folder, name="binarynet/bop", hparams=HPARAMS, **env):
    """The same in a process of its own, which saves after almost every call of its steps."""
    return subprocess.Popen(
        [sys.executable, __file__, str(folder), name, json.dumps(hparams)],
        env=os.environ | {"PYTHONFAULTHANDLER": "1"} | env,  # a crash says where
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Under nohup a closing terminal is ignored, by the tests and by what they start.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def start_together(number, begin, chief=False):
    """Start this many processes as one cluster: `begin(TF_CONFIG=...)` starts one.

    They are all workers, or the first is the chief, as TensorFlow's own guide has it.
    """
    with contextlib.ExitStack() as free:
        ports = [free.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        workers = [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]
    tasks = [{"type": "worker", "index": index} for index in range(number)]
    cluster = {"worker": workers}
    if chief:
        cluster = {"chief": workers[:1], "worker": workers[1:]}
        tasks = [{"type": "chief", "index": 0}, *tasks[:-1]]
    return [begin(TF_CONFIG=json.dumps({"cluster": cluster, "task": task})) for task in tasks]


def wait_for_epochs(folder, number, process, seconds=120):
    """Until the record shows so many finished epochs; False where the run ended before."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        assert time.monotonic() < deadline, "the run is too slow"
        if (folder / "run.json").exists() and len(records.read(folder)["epochs"]) >= number:
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def stopped_at_row(number):
    """A run that ends, as by Ctrl-C, when it is about to record so many epochs."""
    write = records.write

    def stop(folder, record):
        if len(record["epochs"]) >= number:
            raise KeyboardInterrupt
        return write(folder, record)

    stopped = False
    with mock.patch.object(records, "write", stop):
        try:
            yield
        except KeyboardInterrupt:
            stopped = True
    assert stopped, "the run was not stopped"


def rows(record):
    """The epochs of a record without what a clock says."""
    found = copy.deepcopy(record["epochs"])
    for row in found:
        for time_of_it in TIMES:
            row.pop(time_of_it, None)
    return found


def checkpoints(folder):
    """The checkpoints of a run, oldest first."""
    paths = (folder / "checkpoints").glob("ckpt-*.index")
    return [str(p.with_suffix("")) for p in sorted(paths, key=lambda p: int(p.stem[5:]))]


def state(folder):
    """Every tensor of the newest checkpoint but those that count seconds and saves."""
    reader = tf.train.load_checkpoint(checkpoints(folder)[-1])
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


if __name__ == "__main__":
    try:
        run(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), progress=True, checkpoint_minutes=0)
    except BopkitError as error:
        sys.exit(f"bopkit: {error}")
