"""Whole runs on real images: what they leave, and that stopping one loses nothing."""

import copy
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

import bopkit
from bopkit import experiments, records
from bopkit.errors import ConfigError, TrainingError
from bopkit.training import devices, loop
from bopkit.training import run as training

SMALL = {"epochs": 3, "filters": 8, "dense_units": 32, "batch_size": 20}

# Run in a process of its own, to be killed: saves after almost every chunk of steps.
SCRIPT = """
import json, sys, bopkit
name, folder, hparams = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
bopkit.train(name, output_dir=folder, hparams=hparams, checkpoint_minutes=0.0005)
"""


def run(folder, name="binarynet/bop", hparams=SMALL, **kwargs):
    kwargs = {"progress": False, "tensorboard": False, **kwargs}
    return bopkit.train(name, output_dir=folder, hparams=hparams, **kwargs)


def start(folder, name):
    command = [sys.executable, "-c", SCRIPT, name, str(folder), json.dumps(SMALL)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def without_times(record):
    record = copy.deepcopy(record)
    for row in record["epochs"]:
        row.pop("seconds")
    return record


def state(folder):
    """Every tensor of the newest checkpoint but those that count seconds and saves."""
    reader = tf.train.load_checkpoint(str(folder / "checkpoints"))
    names = (n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n)
    return {n: reader.get_tensor(n) for n in names if not n.startswith(("seconds", "save_counter"))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A complete run of each method, never stopped."""
    folders = {}
    for name in ("binarynet/bop", "binarynet/bop2ndorder", "binarynet/default"):
        folders[name] = tmp_path_factory.mktemp("finished")
        run(folders[name], name, tensorboard=True)
    return folders


def test_the_record_is_complete_and_true(finished):
    record = records.read(finished["binarynet/bop"])
    assert record["status"] == "completed"
    assert [row["epoch"] for row in record["epochs"]] == [1, 2, 3]
    columns = "epoch seconds loss accuracy top_5_accuracy val_loss val_accuracy val_top_5_accuracy"
    rates = "flip_ratio max_flip_ratio gamma threshold sigma learning_rate"
    assert set(record["epochs"][0]) == {*columns.split(), *rates.split()}
    assert record["final"]["val_accuracy"] == record["epochs"][-1]["val_accuracy"] > 0.3
    assert record["config"]["steps_per_epoch"] == 1437 // 20
    assert record["config"]["image_shape"] == [16, 16, 1]
    assert record["epochs"][0]["gamma"] == pytest.approx(1e-3)
    first = record["epochs"][0]
    assert 0 < first["flip_ratio"] < first["max_flip_ratio"] < 0.75
    assert record["command"] == (
        "bopkit train binarynet --dataset digits --preprocess-fn default --hparams-set bop "
        "--hparams epochs=3,batch_size=20,filters=8,dense_units=32 --seed 0"
    )


def test_the_model_left_behind_has_the_accuracy_of_the_record(finished):
    for folder in finished.values():
        model = tf.keras.models.load_model(folder / "model.keras")
        data = bopkit.data.load("digits", image_size=16)
        right = total = 0
        for images, labels in data.validation_batches(100):
            hits = tf.argmax(model(images), axis=1) == tf.argmax(labels, axis=1)
            right, total = right + int(tf.math.count_nonzero(hits)), total + len(images)
        assert total == 360
        expected = records.read(folder)["final"]["val_accuracy"]
        assert right / total == pytest.approx(expected, abs=1e-6)


def test_tensorboard_holds_the_records_numbers(finished):
    folder = finished["binarynet/bop"]
    found = {}
    for path in (folder / "tensorboard" / "validation").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    for row in records.read(folder)["epochs"]:
        assert found["accuracy", row["epoch"]] == pytest.approx(row["val_accuracy"])


def test_a_finished_run_returns_at_once(finished, capsys, monkeypatch):
    folder = finished["binarynet/bop"]
    before = (folder / "run.json").stat().st_mtime_ns
    monkeypatch.setattr(training, "Loop", None)  # no network is built
    record = run(folder, progress=True)
    assert record["status"] == "completed"
    assert "complete: nothing to do" in capsys.readouterr().out
    assert (folder / "run.json").stat().st_mtime_ns == before


def test_another_configuration_is_refused_and_named(finished):
    folder = finished["binarynet/bop"]
    with pytest.raises(ConfigError, match=r"another configuration \(epochs 3 there, 4 here\)"):
        run(folder, hparams=SMALL | {"epochs": 4})
    with pytest.raises(ConfigError, match=r"\(seed 0 there, 1 here\)"):
        run(folder, seed=1)


@pytest.mark.slow
def test_same_seed_same_run_and_another_seed_another(finished, tmp_path):
    again = run(tmp_path / "again")
    first = records.read(finished["binarynet/bop"])
    assert without_times(again)["epochs"] == without_times(first)["epochs"]
    one, other = state(finished["binarynet/bop"]), state(tmp_path / "again")
    assert all(np.array_equal(one[name], other[name]) for name in one)
    different = run(tmp_path / "different", seed=1, hparams=SMALL | {"epochs": 1})
    assert different["epochs"][0]["loss"] != first["epochs"][0]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["binarynet/bop2ndorder", "binarynet/default"])
def test_a_killed_run_ends_as_if_it_had_not_been(name, finished, tmp_path):
    """kill -9 at random moments, then the same command: bit for bit the same end."""
    moments = random.Random(0)
    for _ in range(2):
        process = start(tmp_path, name)
        # It has started to train once there is a checkpoint; before that nothing is lost.
        deadline = time.monotonic() + 60
        while process.poll() is None and not (tmp_path / "checkpoints" / "checkpoint").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 1.5))
        process.kill()
        process.communicate()
    out, err = start(tmp_path, name).communicate(timeout=120)
    record = records.read(tmp_path)
    assert record["status"] == "completed", err
    assert "resuming" in out or "nothing to do" in out
    unbroken = records.read(finished[name])
    assert without_times(record) == without_times(unbroken) | {"git_commit": record["git_commit"]}
    one, other = state(finished[name]), state(tmp_path)
    assert one.keys() == other.keys()
    assert [n for n in one if not np.array_equal(one[n], other[n])] == []


@pytest.mark.slow
def test_a_polite_stop_is_recorded_and_resumed(finished, tmp_path):
    process = start(tmp_path, "binarynet/bop")
    deadline = time.monotonic() + 60
    while not (tmp_path / "checkpoints" / "checkpoint").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    record = records.read(tmp_path)
    assert process.returncode == 143
    assert (record["status"], record["error"]) == ("failed", "interrupted")
    resumed = run(tmp_path)
    assert resumed["status"] == "completed" and "error" not in resumed
    unbroken = records.read(finished["binarynet/bop"])
    assert without_times(resumed)["epochs"] == without_times(unbroken)["epochs"]


@pytest.mark.slow
def test_a_damaged_checkpoint_is_not_taken_for_a_good_one(finished, tmp_path):
    """The newest is cut short, as by a full disk: the one before it is used."""
    run(tmp_path / "a", hparams=SMALL)
    record = records.read(tmp_path / "a")
    records.write(tmp_path / "a", record | {"status": "running", "final": None})
    newest = max(
        (tmp_path / "a" / "checkpoints").glob("*.data-*"), key=lambda path: path.stat().st_mtime_ns
    )
    os.truncate(newest, newest.stat().st_size // 2)
    again = run(tmp_path / "a")
    expected = records.read(finished["binarynet/bop"])
    assert without_times(again)["epochs"] == without_times(expected)["epochs"]


def test_two_runs_on_one_folder(tmp_path):
    process = start(tmp_path, "binarynet/bop")
    deadline = time.monotonic() + 60
    while not (tmp_path / "run.json").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    with pytest.raises(ConfigError, match="another process is running in"):
        run(tmp_path)
    process.kill()
    process.communicate()


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, monkeypatch):
    def broken(self, iterator, count):
        self.train_metrics["loss"].update_state(float("nan"))

    monkeypatch.setattr(loop.Loop, "_train_chunk", broken)
    with pytest.raises(TrainingError, match="the loss became nan in epoch 1, step 1"):
        run(tmp_path)
    record = records.read(tmp_path)
    assert record["status"] == "failed" and "the loss became nan" in record["error"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["binarynet/bop", "binarynet/default"])
def test_a_step_compiled_as_a_whole_is_the_same_step(name, finished, tmp_path):
    before = records.read(finished[name])
    assert before["hardware"]["jit_compile"] is False  # on processors, where it is slower
    record = run(tmp_path, name, {**SMALL, "epochs": 1}, jit_compile=True)
    assert record["hardware"]["jit_compile"] is True
    first, compiled = before["epochs"][0], record["epochs"][0]
    assert compiled["loss"] == pytest.approx(first["loss"], rel=0.05)  # but for rounding
    assert compiled["flip_ratio"] == pytest.approx(first["flip_ratio"], rel=0.05)
    assert compiled["accuracy"] == pytest.approx(first["accuracy"], abs=0.05)


def test_latent_flips_are_counted(tmp_path):
    """Signs that changed, against the weights themselves, over one step."""
    experiment = experiments.override(experiments.get("binarynet/default"), SMALL)
    data = bopkit.data.load("digits", image_size=16)
    cluster = devices.find_cluster(SMALL["batch_size"])
    trainer = loop.Loop(experiment, data, 0, cluster, tmp_path)
    iterator = trainer.batches()
    flips = 0
    for _ in range(3):
        before = [v.numpy() >= 0 for v in trainer.latent]
        trainer._train_chunk(iterator, tf.constant(1, tf.int64))
        after = [v.numpy() >= 0 for v in trainer.latent]
        flips += sum((b != a).sum() for b, a in zip(before, after, strict=True))
        assert int(trainer.latent_flips) == flips
    assert flips > 0


def test_imagenet_networks_take_small_data_too(tmp_path):
    """A real run of a 224-pixel network on the embedded digits, three channels."""
    record = run(
        tmp_path,
        "birealnet/bop",
        {"epochs": 1, "batch_size": 4, "image_size": 32},
        train_examples=8,
        validation_examples=6,
    )
    assert record["config"]["image_shape"] == [32, 32, 3]
    assert record["config"]["steps_per_epoch"] == 2


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5, "0", True, None])
def test_seeds_that_are_none(seed, tmp_path):
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        run(tmp_path, seed=seed)


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot make the folder"):
        run(tmp_path / "file")


def test_command_repeats_the_run():
    changed = experiments.override(experiments.get("binarynet/bop_sec52"), {"epochs": 2})
    config = {"seed": 3, "holdout": 100}
    words = training._command(changed, config, 1000, None).split()
    assert words[:3] == ["bopkit", "train", "binarynet"]
    assert words[words.index("--hparams") + 1] == "epochs=2"
    assert words[words.index("--train-examples") + 1] == "1000"
    assert words[words.index("--holdout") + 1] == "100"
