"""Several processes on loopback, as machines would be: one run, the same numbers."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from small_runs import checkpoints, start_together

from bopkit import records
from bopkit.errors import ConfigError
from bopkit.training import devices

TESTS = str(Path(__file__).parents[1])

# A run; then what this worker holds at its end, in a file of its own.
RUN = """
import os, sys
import numpy as np
import small_runs
from bopkit._tensorflow import tf

folder, output = sys.argv[1:]
save, kept = tf.keras.Model.save, {}

def save_and_keep(model, *arguments, **kwargs):
    kept.update({f"weights/{v.name}": v.numpy() for v in model.trainable_variables})
    return save(model, *arguments, **kwargs)

tf.keras.Model.save = save_and_keep
record = small_runs.run(folder, hparams=small_runs.HPARAMS | {"epochs": 1},
                        train_examples=80, validation_examples=25)
numbers = {key: value for key, value in record["final"].items() if value is not None}
np.savez(os.path.join(output, str(os.getpid())), **kept, **numbers)
"""

TRAIN = ["train", "binarynet", "--validation-examples", "105", "--train-examples", "200"]
TRAIN += ["--hparams", "epochs=2,filters=8,dense_units=32,batch_size=20", "--no-tensorboard"]


def run_workers(number, command, chief=False):
    """So many processes of one cluster: for each the exit code, and what it printed."""

    def begin(**env):
        return subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | {"PYTHONPATH": TESTS} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    processes = start_together(number, begin, chief) if number > 1 else [begin()]
    outputs = [process.communicate(timeout=200) for process in processes]
    return [(p.returncode, *output) for p, output in zip(processes, outputs, strict=True)]


@pytest.mark.slow
def test_two_workers_take_the_steps_that_one_process_takes(tmp_path):
    found = {}
    for number in (2, 1):
        output = tmp_path / f"held by {number}"
        output.mkdir()
        done = run_workers(number, ["-c", RUN, str(tmp_path / str(number)), str(output)])
        assert [code for code, _, _ in done] == [0] * number, done
        found[number] = [dict(np.load(path)) for path in output.iterdir()]
        found[number][0] |= averages(tmp_path / str(number))
    (one,), (first, second) = found[1], found[2]
    assert one.keys() == first.keys() > second.keys() and len(second) > 10
    for name, value in one.items():
        np.testing.assert_allclose(first[name], value, rtol=1e-3, atol=1e-7, err_msg=name)
    for name, value in second.items():
        np.testing.assert_array_equal(first[name], value, err_msg=name)


def averages(folder):
    """Bop's m in a run's last checkpoint."""
    reader = tf.train.load_checkpoint(checkpoints(folder)[-1])
    shapes = reader.get_variable_to_shape_map()
    names = [n for n, shape in shapes.items() if n.startswith("optimizer/") and len(shape) == 2]
    assert len(names) == 2  # one per kernel; all else that is real has one dimension
    return {name: reader.get_tensor(name) for name in names}


@pytest.mark.slow
def test_a_chief_and_a_worker_through_the_command_line_leave_one_record(tmp_path):
    command = ["-m", "bopkit.cli", *TRAIN, "--output-dir", str(tmp_path / "run")]
    first, second = run_workers(2, command, chief=True)
    assert first[0] == second[0] == 0, (first, second)
    record = records.read(tmp_path / "run")
    assert record["status"] == "completed"
    assert record["hardware"]["replicas"] == 2
    assert record["config"]["batch_size"] == 20 and record["config"]["steps_per_epoch"] == 10
    assert "epoch 1/2" in first[1] and "epoch" not in second[1]
    # they validated one network together, on all 105 images
    accuracy = record["final"]["val_accuracy"]
    assert f"{accuracy:.2%}" in first[1] and f"{accuracy:.2%}" in second[1]
    assert accuracy * 105 == pytest.approx(round(accuracy * 105), abs=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_batch_that_does_not_divide(monkeypatch):
    """TensorFlow's strategy is stood in for: it would wait for the three other workers."""
    task = {"type": "worker", "index": 0}
    cluster = {"worker": [f"127.0.0.1:{port}" for port in range(1, 5)]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    four = SimpleNamespace(num_replicas_in_sync=4)
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda cluster_resolver: four)
    found = devices.find_cluster(48)
    assert found.chief and found.workers == 4
    with pytest.raises(ConfigError, match="over the 4 replicas; 50 does not: use a multiple of 4"):
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
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU"] * gpus)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda names: asked.extend(names) or one)
    devices.find_cluster(batch_size)
    assert asked == [f"GPU:{i}" for i in used]
    said = capsys.readouterr().out
    if len(used) < gpus and gpus > 1:
        said_of = f"batch_size {batch_size} does not divide evenly over {gpus} GPUs"
        assert said == f"{said_of}, so training uses {len(used) or 1}.\n"
    else:
        assert said == ""


CHIEF = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


@pytest.mark.parametrize(
    ("cluster", "task", "place"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), (1, 2)),
        (CHIEF, ("chief", 0), (0, 3)),  # the chief is the first, the workers follow
        (CHIEF, ("worker", 0), (1, 3)),
        (CHIEF, ("worker", 1), (2, 3)),
        ({"worker": ["[::1]:1"]}, ("worker", 0), (0, 1)),
        ({"worker": ["a"]}, ("worker", 0), "'a' is no address, such as node1:12345"),
        ({"worker": ["a:99999"]}, ("worker", 0), "'a:99999' is no address"),
        ({"worker": ["a:1", "a:1"]}, ("worker", 0), "two tasks have one address"),
        ({"worker": {"1": "a:1"}}, ("worker", 1), "must be a list, without a gap"),
        ({"worker": ["a:1"]}, ("worker", -1), r"worker -1 is not in it; there are: worker 0\b"),
        ({"worker": ["a:1"]}, ("worker", 1), "worker 1 is not in it"),
        ({"worker": ["a:1"]}, ("chief", 0), "chief 0 is not in it"),
        ({"worker": ["a:1"], "ps": ["b:1"]}, ("ps", 0), "may have a chief and workers"),
        ({"chief": ["a:1", "b:1"]}, ("chief", 0), "more than one chief"),
        ({}, ("worker", 0), "worker 0 is not in it"),
    ],
)
def test_the_place_of_a_process_in_its_cluster(monkeypatch, cluster, task, place):
    """TensorFlow's strategy is stood in for: it would wait for the others."""
    config = {"cluster": cluster, "task": {"type": task[0], "index": task[1]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    found = SimpleNamespace(num_replicas_in_sync=1)
    monkeypatch.setattr(
        tf.distribute, "MultiWorkerMirroredStrategy", lambda cluster_resolver: found
    )
    if isinstance(place, str):
        with pytest.raises(ConfigError, match=f"^cannot join the cluster .*{place}") as caught:
            devices.find_cluster(48)
        assert "\n" not in str(caught.value)
    else:
        found = devices.find_cluster(48)
        assert (found.worker, found.workers) == place
        assert found.chief == (place[0] == 0)


@pytest.mark.parametrize("config", ["not json", "[]", "3"])
def test_a_cluster_that_is_none_is_one_line(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ConfigError, match="cannot join the cluster") as caught:
        devices.find_cluster(48)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("taken", [True, False])
def test_a_cluster_that_cannot_be_joined_is_one_line(run_python, taken):
    """A port that another process has; a task that is not told which it is."""
    code = "import sys; sys.argv = ['bopkit', 'train', 'binarynet']; from bopkit import cli\n"
    code += "cli.main()"
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = {"cluster": {"worker": [f"127.0.0.1:{server.getsockname()[1]}"]}}
        config |= {"task": {"type": "worker", "index": 0}} if taken else {}
        done = run_python(code, env={"TF_CONFIG": json.dumps(config)})
    assert done.returncode == 2
    (line,) = [t for t in done.stderr.splitlines() if t.startswith("bopkit: ")]
    assert line.startswith("bopkit: cannot join the cluster of TF_CONFIG or SLURM")
    assert "Traceback" not in done.stderr
    assert ("choose another port" in line) == taken
