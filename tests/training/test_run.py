"""Whole runs on real images: what they leave, and what they refuse."""

import dataclasses
import shlex

import numpy as np
import pytest
import tensorflow as tf
from small_runs import HPARAMS, assert_same_end, checkpoints, rows, run, two_layers

import bopkit
from bopkit import experiments, models, records
from bopkit.errors import ConfigError


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
    assert [row["epoch"] for row in record["epochs"]] == [1, 2]
    columns = "epoch seconds images_per_second loss accuracy top_5_accuracy"
    columns += " val_loss val_accuracy val_top_5_accuracy"
    rates = "flip_ratio max_flip_ratio gamma threshold sigma learning_rate"
    assert set(record["epochs"][0]) == {*columns.split(), *rates.split()}
    assert record["final"]["val_accuracy"] == record["epochs"][-1]["val_accuracy"] > 0.3
    assert record["config"]["steps_per_epoch"] == 1437 // 20
    assert record["config"]["image_shape"] == [16, 16, 1]
    assert record["data"] == {"form": "scikit-learn's package", "path": None, "official": True}
    assert record["config"]["binary_weights"] == 256 * 64 + 64 * 10
    assert record["epochs"][0]["gamma"] == pytest.approx(1e-3)
    first = record["epochs"][0]
    assert 0 < first["flip_ratio"] < first["max_flip_ratio"] < 0.75
    assert record["command"] == (
        "bopkit train binarynet --dataset digits --preprocess-fn default --hparams-set bop "
        "--hparams epochs=2,batch_size=20,dense_units=64,precision=float32 --seed 0"
    )


def test_the_command_in_the_record_names_everything_that_was_changed(tmp_path):
    changed = experiments.override(experiments.get("binarynet/bop_sec52"), HPARAMS)
    options = {"seed": 3, "holdout": 100, "train_examples": 200, "dataset": "digits"}
    record = run(tmp_path, changed, {"epochs": 1}, **options)
    assert record["command"] == (
        "bopkit train binarynet --dataset digits --preprocess-fn default --hparams-set bop_sec52 "
        "--hparams epochs=1,batch_size=20,dense_units=64,precision=float32 --seed 3 "
        "--train-examples 200 --holdout 100"
    )


def test_the_command_of_an_own_experiment_has_no_field_that_cannot_be_overridden(tmp_path):
    own = dataclasses.replace(experiments.get("binarynet/bop"), name="mine/bop", dataset="digits")
    record = run(tmp_path, own, HPARAMS | {"epochs": 1}, train_examples=50, jit_compile=False)
    assert record["command"].startswith("bopkit train mine --dataset digits ")
    words = shlex.split(record["command"])
    hparams = experiments.parse_hparams(words[words.index("--hparams") + 1])
    assert experiments.override(own, hparams).epochs == 1
    assert words[-1] == "--no-jit-compile"


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
    # One file for each curve, however many epochs there are.
    assert {len(list(curve.iterdir())) for curve in (folder / "tensorboard").iterdir()} == {1}
    for row in records.read(folder)["epochs"]:
        assert found["accuracy", row["epoch"]] == pytest.approx(row["val_accuracy"])


def test_a_finished_run_returns_at_once(finished, capsys, monkeypatch):
    folder = finished["binarynet/bop"]
    before = (folder / "run.json").stat().st_mtime_ns
    monkeypatch.setattr(models, "count_weights", None)  # no network is built
    record = run(folder, progress=True)
    assert record["status"] == "completed"
    assert "complete: nothing to do" in capsys.readouterr().out
    assert (folder / "run.json").stat().st_mtime_ns == before


def test_another_configuration_is_refused_and_named(finished):
    folder = finished["binarynet/bop"]
    named = r"another configuration \(batch_size 20 there, 40 here; steps"
    with pytest.raises(ConfigError, match=named):
        run(folder, hparams=HPARAMS | {"batch_size": 40})
    with pytest.raises(ConfigError, match=r"\(seed 0 there, 1 here\)"):
        run(folder, seed=1)


def test_a_run_whose_rates_do_not_know_its_end_can_be_made_longer(tmp_path, capsys):
    steps = {"gamma_decay_rate": 0.1, "gamma_decay_epochs": 2}
    for name, rates in (("constant", {}), ("in steps", steps)):
        whole, longer = tmp_path / name, tmp_path / f"{name}, made longer"
        run(whole, hparams=HPARAMS | rates | {"epochs": 4})
        first = run(longer, hparams=HPARAMS | rates | {"epochs": 2})
        run(longer, hparams=HPARAMS | rates | {"epochs": 4}, progress=True)
        assert "resuming after epoch 2, step 0" in capsys.readouterr().out
        assert_same_end(longer, whole)
        record = records.read(longer)
        assert record["config"] == records.read(whole)["config"]
        assert record["final"] != first["final"] and "epochs=4" in record["command"]
        with pytest.raises(ConfigError, match=r"epochs 4 there, 3 here.* but not shorter\."):
            run(longer, hparams=HPARAMS | rates | {"epochs": 3})


def test_a_run_whose_rates_fall_until_its_end_cannot_be_made_longer(tmp_path):
    falling = HPARAMS | {"gamma_end": 1e-5, "learning_rate_end": 1e-4}
    before = run(tmp_path, hparams=falling)
    with pytest.raises(ConfigError, match=r"whose learning_rate_end and gamma_end is set changes"):
        run(tmp_path, hparams=falling | {"epochs": 3})
    assert records.read(tmp_path) == before


@pytest.mark.parametrize("name", ["binarynet/bop", "binarynet/default"])
def test_a_step_compiled_as_a_whole_is_the_same_step(name, finished, tmp_path):
    before = records.read(finished[name])
    assert before["hardware"]["jit_compile"] is False  # on processors, where it is slower
    record = run(tmp_path, name, {**HPARAMS, "epochs": 1}, jit_compile=True)
    assert record["hardware"]["jit_compile"] is True
    first, compiled = before["epochs"][0], record["epochs"][0]
    assert compiled["loss"] == pytest.approx(first["loss"], rel=0.05)  # but for rounding
    assert compiled["flip_ratio"] == pytest.approx(first["flip_ratio"], rel=0.05)
    assert compiled["accuracy"] == pytest.approx(first["accuracy"], abs=0.05)


@pytest.mark.parametrize("name", ["binarynet/bop", "binarynet/default"])
def test_flips_are_counted_as_the_weights_show_them(name, tmp_path):
    """Epochs of one step, whose checkpoints hold the weights before it and after it."""
    record = run(tmp_path, name, HPARAMS | {"epochs": 3, "batch_size": 1437})
    before, after = (kernels(path) for path in checkpoints(tmp_path))
    changed = sum(((b >= 0) != (a >= 0)).sum() for b, a in zip(before, after, strict=True))
    row = record["epochs"][-1]
    assert changed > 0 and row["flip_ratio"] == row["max_flip_ratio"]
    assert row["flip_ratio"] == changed / record["config"]["binary_weights"]


def kernels(path):
    shapes = [v.shape for v in two_layers((16, 16, 1), 10).weights if v.shape.rank == 2]
    reader = tf.train.load_checkpoint(path)
    found = [
        reader.get_tensor(name)
        for name, shape in sorted(reader.get_variable_to_shape_map().items())
        if name.startswith("model/") and "OPTIMIZER_SLOT" not in name and len(shape) == 2
    ]
    assert sorted(np.shape(k) for k in found) == sorted(tuple(s) for s in shapes)
    return found


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


def test_a_rate_that_falls_is_recorded_where_it_stands(tmp_path):
    hparams = HPARAMS | {"gamma": 1e-2, "gamma_end": 1e-4}
    first, last = rows(run(tmp_path, hparams=hparams, train_examples=100))
    assert first["gamma"] == pytest.approx(5.05e-3) and last["gamma"] == pytest.approx(1e-4)


def test_numpys_numbers_are_numbers(tmp_path):
    one, hundred = np.array([1, 100])
    counts = {"train_examples": hundred, "validation_examples": hundred, "holdout": hundred}
    hparams = HPARAMS | {"epochs": one, "batch_size": hundred}
    record = run(tmp_path, hparams=hparams, seed=one, checkpoint_minutes=one, **counts)
    assert record["command"].endswith(
        "--seed 1 --train-examples 100 --validation-examples 100 --holdout 100"
    )
    with pytest.raises(ConfigError, match="checkpoint_minutes must be a number of at least 0"):
        run(tmp_path, checkpoint_minutes="10")


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5, "0", True, None])
def test_seeds_that_are_none(seed, tmp_path):
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        run(tmp_path, seed=seed)


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot make the folder"):
        run(tmp_path / "file")
