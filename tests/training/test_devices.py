"""Several processes on loopback, as machines would be: one run, the same numbers."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bopkit import records
from bopkit.errors import ConfigError
from bopkit.training import devices

# Steps of a run, as `bopkit.train` would take them; then what every worker holds. The activations
# are real: the sign of a sum that is exactly its batch's mean hangs on the last bit of rounding.
STEPS = """
import sys
import larq as lq
import numpy as np
import tensorflow as tf
from bopkit import data, experiments, models
from bopkit.training import devices, loop

tf.get_logger().setLevel("ERROR")

def network(experiment, data):
    layers, binary = tf.keras.layers, models._binary_kernel("bop")
    hidden = [lq.layers.QuantDense(32, **binary), models._batch_norm(), layers.ReLU()]
    last = [lq.layers.QuantDense(10, **binary), models._batch_norm(), layers.Softmax()]
    return tf.keras.Sequential([layers.Input(data.image_shape), layers.Flatten(), *hidden, *last])

loop.build_model = network
folder, output = sys.argv[1:]
small = {"filters": 8, "dense_units": 32, "batch_size": 20, "epochs": 1}
experiment = experiments.override(experiments.get("binarynet/bop"), small)
cluster = devices.find_cluster(experiment.batch_size)
digits = data.load("digits", image_size=16, train_examples=80, validation_examples=25)
tf.keras.utils.set_random_seed(0)
run = loop.Loop(experiment, digits, 0, cluster, folder)
run._train_chunk(run.batches(), tf.constant(4, tf.int64))
arrays = {f"weights/{v.name}": v.numpy() for v in run.model.trainable_variables}
arrays |= {f"m/{i}": m.numpy() for i, (m,) in enumerate(run.optimizer._averages)}
arrays["loss"] = run.train_metrics["loss"].result().numpy()
arrays["validated"] = run.validate()["accuracy"]
np.savez(output, **arrays)
"""

TRAIN = ["train", "binarynet", "--validation-examples", "105", "--train-examples", "200"]
TRAIN += ["--hparams", "epochs=2,filters=8,dense_units=32,batch_size=20", "--no-tensorboard"]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def run_workers(*commands):
    """One process a command, joined by TF_CONFIG; what each printed."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(len(commands))]
    processes = []
    for index, command in enumerate(commands):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": workers}, "task": task})
        processes.append(
            subprocess.Popen(
                [sys.executable, *map(str, command)],
                env=os.environ | {"TF_CONFIG": config},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=200) for process in processes]
    return [
        (process.returncode, *output) for process, output in zip(processes, outputs, strict=True)
    ]


@pytest.mark.slow
def test_two_workers_take_the_steps_that_one_process_takes(tmp_path):
    paths = [tmp_path / f"worker{i}.npz" for i in range(2)]
    done = run_workers(*(["-c", STEPS, tmp_path / "two", path] for path in paths))
    assert [code for code, _, _ in done] == [0, 0], done
    alone = tmp_path / "alone.npz"
    command = [sys.executable, "-c", STEPS, str(tmp_path / "one"), str(alone)]
    single = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert single.returncode == 0, single.stderr
    chief, other, one = (dict(np.load(path)) for path in (*paths, alone))
    assert chief.keys() == other.keys() == one.keys()
    for name in chief:
        np.testing.assert_array_equal(chief[name], other[name], err_msg=name)
        np.testing.assert_allclose(chief[name], one[name], rtol=1e-3, atol=1e-7, err_msg=name)


@pytest.mark.slow
def test_two_workers_through_the_command_line_leave_one_record(tmp_path):
    command = ["-m", "bopkit.cli", *TRAIN, "--output-dir", tmp_path / "run"]
    first, second = run_workers(command, command)
    assert first[0] == second[0] == 0, (first, second)
    record = records.read(tmp_path / "run")
    assert record["status"] == "completed"
    assert record["hardware"]["replicas"] == 2
    assert record["config"]["batch_size"] == 20 and record["config"]["steps_per_epoch"] == 10
    assert "epoch 1/2" in first[1] and "epoch" not in second[1]
    # they validated one network together, on all 105 images
    accuracy = f"{record['final']['val_accuracy']:.2%}"
    assert accuracy in first[1] and accuracy in second[1]
    assert (record["final"]["val_accuracy"] * 105) % 1 == pytest.approx(0, abs=1e-3) or (
        record["final"]["val_accuracy"] * 105
    ) % 1 == pytest.approx(1, abs=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_batch_that_does_not_divide(monkeypatch):
    two = tf.distribute.MirroredStrategy(["CPU:0"])
    monkeypatch.setattr(devices, "_find", lambda batch_size: devices.Cluster(two, 0, 1))
    assert devices.find_cluster(7).chief
    monkeypatch.setattr(type(two), "num_replicas_in_sync", 4)
    with pytest.raises(ConfigError, match="over the 4 replicas; 50 does not: take a multiple of 4"):
        devices.find_cluster(50)


@pytest.mark.parametrize(
    ("gpus", "batch_size", "used"),
    [(0, 50, []), (1, 50, []), (2, 50, [0, 1]), (8, 50, [0, 1, 2, 3, 4]), (8, 256, range(8)),
     (4, 7, [])],
)  # fmt: skip
def test_as_many_gpus_as_the_batch_divides_over(monkeypatch, capsys, gpus, batch_size, used):
    """No GPU at hand: TensorFlow's list and strategy are stood in for."""
    asked = []
    one = tf.distribute.get_strategy()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU"] * gpus)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda names: asked.extend(names) or one)
    devices.find_cluster(batch_size)
    assert asked == [f"GPU:{i}" for i in used]
    said = capsys.readouterr().out
    if len(used) < gpus and gpus > 1:
        text = f"batch_size {batch_size} does not divide over {gpus} GPUs: {len(used) or 1} used.\n"
        assert said == text
    else:
        assert said == ""


@pytest.mark.parametrize(
    "config", ['{"cluster": {}}', "not json", '{"cluster": {"worker": ["127.0.0.1:1"]}}']
)
def test_a_cluster_that_cannot_be_joined_is_one_line(config, run_python):
    code = "import sys; sys.argv = ['bopkit', 'train', 'binarynet']; from bopkit import cli\n"
    code += "cli.main()"
    done = run_python(code, env={"TF_CONFIG": config})
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("bopkit: cannot join the cluster of TF_CONFIG or SLURM")
