"""A run's network as a file that predicts the same, in a real process and on real images."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import bopkit
from bopkit import cli, models
from bopkit.data import DATASETS, DataSet
from bopkit.deploy import exporting, tflite
from bopkit.errors import ConfigError, DataError, RecordError, SetupError

HPARAMS = {"epochs": 3, "filters": 32, "dense_units": 64, "batch_size": 50, "precision": "float32"}


def train(tmp_path_factory, method):
    """A BinaryNet trained on the digits."""
    folder = tmp_path_factory.mktemp("run")
    bopkit.train(
        f"binarynet/{method}",
        output_dir=folder,
        hparams=HPARAMS,
        tensorboard=False,
        progress=False,
    )
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory, "bop")


@pytest.fixture(scope="module", params=["bop", "bop2ndorder", "default"])
def any_run(request, tmp_path_factory):
    """By each method."""
    if request.param == "bop":
        return request.getfixturevalue("run")
    return train(tmp_path_factory, request.param)


@pytest.fixture(scope="module")
def converter(require):
    try:
        import larq_compute_engine
    except ImportError:
        require(False, "larq-compute-engine is not installed: pip install -r requirements.txt")
    return larq_compute_engine


@pytest.mark.slow
def test_packed_predicts_the_same_everywhere(any_run):
    run = any_run
    report = exporting.export(run)
    assert report.path == run / "model.npz" and report.path.stat().st_size == report.bytes
    assert (report.different, report.largest_difference) == ((), 0.0)
    assert report.images == 360 and report.accuracy == report.keras_accuracy > 0.5
    assert report.bytes < report.binary_float_bytes / 15  # the layers' names weigh most here
    assert not list(run.glob(".*model.npz"))


def to_the_nearest_edge(run):
    """How near each validation image comes to another sign of any unit, in standard deviations."""
    network = bopkit.load_run(run)
    norms = [
        layer.output
        for layer in network.layers[:-2]
        if isinstance(layer, tf.keras.layers.BatchNormalization)
    ]
    digits = bopkit.data.load("digits", image_size=16)
    images, _ = next(iter(digits.validation_batches(360)))
    units = tf.keras.Model(network.input, norms)(images, training=False)
    return np.min([np.abs(layer).reshape(360, -1).min(axis=1) for layer in map(np.array, units)], 0)


@pytest.mark.slow
def test_tflite_predicts_the_same_but_for_ties(any_run, converter):
    run = any_run
    # The digits have few grey values: a tie of a unit of the first layer is one in many images.
    report = exporting.export(run, format="tflite", min_agreement=0.9)
    assert report.path == run / "model.tflite"
    (first,) = report.not_binary
    assert first.startswith("quant_conv2d")
    # What is smaller than a float32 copy of any one of the larger layers holds none of them.
    assert report.bytes < report.binary_float_bytes / 10
    nearest = to_the_nearest_edge(run)
    assert all(nearest[image] < 1e-6 for image in report.different)


def test_the_engine_runs_where_a_system_tells_no_affinity(converter, monkeypatch):
    """As macOS, whose Python has no `os.sched_getaffinity`."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.Input((4,)), layers.Dense(3)])
    predict = exporting.interpreter(converter.convert_keras_model(model))
    images = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(predict(images), model(images), atol=1e-5)


def test_too_little_agreement_writes_nothing(run, converter, monkeypatch):
    before = sorted(path.name for path in run.iterdir())
    monkeypatch.setattr(
        exporting, "interpreter", lambda content: lambda images: np.eye(10)[[0] * len(images)]
    )
    with pytest.raises(DataError, match=r"into another class than Keras .* not written"):
        exporting.export(run, format="tflite", output=run / "other.tflite")
    assert sorted(path.name for path in run.iterdir()) == before


def test_packed_must_agree_on_all_images(run, monkeypatch, tmp_path):
    """Whatever `min_agreement` says, because the format changes no number."""
    monkeypatch.setattr(exporting.packed, "load_packed", lambda path, into: into)  # other weights
    with pytest.raises(DataError, match=r"agree, 100\.00% asked\): not written"):
        exporting.export(run, output=tmp_path / "model.npz", min_agreement=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_line_writes_and_says_what(run):
    command = [sys.executable, "-m", "bopkit.cli", "export", str(run), "--format", "packed"]
    done = subprocess.run(
        [*command, "--output", str(run / "mine.npz")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "100.00% of 360 validation images get the same class as from Keras" in done.stdout
    trained = bopkit.load_run(run)
    twin = models.binarynet((16, 16, 1), 10, filters=32, dense_units=64)
    bopkit.load_packed(run / "mine.npz", into=twin)
    pictures = np.random.default_rng(0).uniform(-1, 1, (9, 16, 16, 1)).astype(np.float32)
    np.testing.assert_array_equal(
        trained.predict(pictures, verbose=0), twin.predict(pictures, verbose=0)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "onnx"], "format must be one of: packed, tflite; got 'onnx'."),
        (["--min-agreement", "2"], "Input should be less than or equal to 1"),
        (["--recalibrate", "-1"], "Input should be greater than or equal to 0"),
        (["--output", "/nowhere/at/all.npz"], "cannot write /nowhere/at/all.npz: name a file in"),
    ],
)
def test_wrong_use_is_one_line(run, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, "argv", ["bopkit", "export", str(run), *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "Model.keras",
        ".lock",
        "checkpoints",
        "checkpoints/new.npz",
        "tensorboard/x.npz",
        "run.before-2.json",
    ],
)
def test_what_is_part_of_a_run_is_not_overwritten(run, tmp_path, name):
    """Of this run or of another, by whatever path."""
    other = tmp_path / "other"
    for folder in (other, other / "checkpoints", other / "tensorboard"):
        folder.mkdir()
    (other / "run.json").write_bytes((run / "run.json").read_bytes())
    (tmp_path / "link").symlink_to(other)
    for output in (other / name, tmp_path / "link" / name):
        with pytest.raises(
            ConfigError, match=r"cannot write .*(it is part of a run|name a file in)"
        ):
            exporting.export(run, output=output)
    assert (other / "run.json").read_bytes() == (run / "run.json").read_bytes()
    assert len(list(other.rglob("*"))) == 3


def test_an_output_that_is_no_ordinary_file_stays(run, tmp_path):
    pipe = tmp_path / "model.npz"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match=r"cannot write .*: it is a device or a pipe"):
        exporting.export(run, output=pipe)
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", [".model.tflite.unfinished", "model.tflite"])
def test_a_link_in_the_runs_folder_is_not_written_through(run, converter, monkeypatch, name):
    network = exporting.predictor(bopkit.load_run(run))
    monkeypatch.setattr(exporting, "interpreter", lambda content: network)
    mine, link = run / "mine.txt", run / name
    mine.write_text("mine")
    link.symlink_to(mine)
    report = exporting.export(run, format="tflite")
    assert report.bytes == report.path.stat().st_size and not report.path.is_symlink()
    assert mine.read_text() == "mine"
    for path in {mine, link, report.path}:
        path.unlink()


@pytest.mark.parametrize("split", ["train", "test"])
def test_images_that_are_not_the_runs_are_refused(run, monkeypatch, split):
    """As another copy of the set under the same name would be."""

    row = DATASETS["digits"]

    def read(half, data_dir):
        images, labels = row.read(half, data_dir)
        return (255 - images if half == split else images), labels

    monkeypatch.setitem(DATASETS, "digits", dataclasses.replace(row, read=read))
    before = sorted(run.iterdir())
    with pytest.raises(DataError, match=rf"the {split} images of digits .*--data-dir\.$") as error:
        exporting.export(run)
    assert "\n" not in str(error.value) and sorted(run.iterdir()) == before


def test_a_network_on_images_that_are_not_square(monkeypatch, tmp_path):
    """As a row of one's own may have."""

    def read(split, data_dir):
        labels = np.arange(40) % 2
        return np.repeat(255 * labels.astype(np.uint8), 16 * 24).reshape(-1, 16, 24, 1), labels

    monkeypatch.setitem(DATASETS, "wide", DataSet("wide", num_classes=2, read=read))
    small = HPARAMS | {"epochs": 1, "filters": 4, "dense_units": 8, "batch_size": 20}
    bopkit.train(
        "binarynet/bop", output_dir=tmp_path, dataset="wide", hparams=small,
        tensorboard=False, progress=False,
    )  # fmt: skip
    report = exporting.export(tmp_path)
    assert (report.images, report.different) == (40, ())


@pytest.mark.parametrize("format", exporting.FORMATS)
def test_a_recalibrated_network_is_exported_and_the_run_keeps_its_own(
    run, converter, tmp_path, format
):
    kept = (run / "model.keras").read_bytes()
    plain = exporting.export(run, output=tmp_path / "plain.npz")
    assert (plain.recalibrated, plain.lagging_accuracy) == (0, None)
    # 29 batches of 50 are an epoch of the digits, so 40 go on into the next.
    output = tmp_path / "model"
    report = exporting.export(run, format=format, output=output, recalibrate=40, min_agreement=0.9)
    assert (run / "model.keras").read_bytes() == kept
    assert (report.recalibrated, report.lagging_accuracy) == (40, plain.keras_accuracy)
    digits = bopkit.data.load("digits", image_size=16)
    network = bopkit.load_run(run)
    batches = digits.train_batches(50, seed=0, epochs=2).take(40)
    assert models.recalibrate(network, batches) == 40
    images, labels = next(iter(digits.validation_batches(360)))
    answers = network.predict(images, verbose=0)
    expected = np.mean(answers.argmax(axis=1) == labels.numpy().argmax(axis=1))
    assert report.keras_accuracy == pytest.approx(expected) and expected > 0.5
    said = "over 40 training batches; with the averages that training left, top-1 was "
    assert said + f"{plain.keras_accuracy:.2%}." in str(report)
    if format == "packed":
        twin = bopkit.load_packed(output, into=tf.keras.models.clone_model(network))
        np.testing.assert_array_equal(twin.predict(images, verbose=0), answers)


@pytest.mark.parametrize("field", ["batch_size", "seed"])
def test_a_record_without_the_batches_is_exported_but_not_recalibrated(run, tmp_path, field):
    record = bopkit.records.read(run)
    kept = {key: value for key, value in record["config"].items() if key != field}
    bopkit.records.write(tmp_path, record | {"config": kept})
    (tmp_path / "model.keras").write_bytes((run / "model.keras").read_bytes())
    with pytest.raises(DataError, match=rf"does not say config\.{field}, .*put it into run\.json"):
        exporting.export(tmp_path, recalibrate=1)
    assert not list(tmp_path.glob("*.npz"))
    assert exporting.export(tmp_path).different == ()


def test_no_images_to_compare_on_are_refused(run, tmp_path):
    with pytest.raises(DataError, match=r"validation_examples must be between 1 and .*, not 0"):
        exporting.export(run, output=tmp_path / "model.npz", validation_examples=0)


@pytest.mark.parametrize("format", exporting.FORMATS)
def test_a_file_that_cannot_be_written_is_one_line(run, converter, monkeypatch, tmp_path, format):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError) as error:
        exporting.export(run, format=format, output=tmp_path / "model")
    assert str(error.value) == f"cannot write {tmp_path / 'model'}: No space left on device."
    assert not list(tmp_path.iterdir())


def test_a_file_of_a_run_is_not_the_run(run):
    with pytest.raises(ConfigError, match=r"run\.json is not a folder: name the folder that holds"):
        exporting.export(run / "run.json")
    with pytest.raises(ConfigError, match=r"run\.json is not a folder: name the folder that holds"):
        bopkit.load_run(run / "run.json")


def test_a_tilde_is_the_home_folder(run, monkeypatch):
    """In Python too, where no shell replaces it."""
    monkeypatch.setenv("HOME", str(run.parent))
    monkeypatch.chdir(run)
    report = exporting.export(f"~/{run.name}", output=f"~/{run.name}/model.npz")
    assert report.path == run / "model.npz"
    network = bopkit.load_run(f"~/{run.name}")
    assert bopkit.load_packed(f"~/{run.name}/model.npz", into=network) is network
    size = bopkit.save_packed(network, f"~/{run.name}/again.npz")
    assert size == (run / "again.npz").stat().st_size
    report.path.unlink()
    for function in (exporting.export, bopkit.load_run):
        with pytest.raises(RecordError, match="no home folder is known for ~nosuchuser"):
            function("~nosuchuser/run")


def test_a_run_that_is_not_complete_is_refused(run, tmp_path):
    record = bopkit.records.read(run)
    bopkit.records.write(tmp_path, record | {"status": "running"})
    with pytest.raises(DataError, match=r"is not complete \(running\): give its command again"):
        exporting.export(tmp_path)
    bopkit.records.write(tmp_path, record)
    with pytest.raises(DataError, match=r"cannot read .*model\.keras"):
        exporting.export(tmp_path)


def test_without_the_converter_it_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "larq_compute_engine", None)
    with pytest.raises(SetupError, match=r"pip install 'larq-compute-engine>=0\.16,<0\.17'"):
        exporting.export(run, format="tflite")
    for wrong in (float("nan"), True, "0.9"):
        with pytest.raises(ConfigError, match="min_agreement must be a number from 0 to 1"):
            exporting.export(run, min_agreement=wrong)
    for wrong in (-1, 1.5, True, "50"):
        with pytest.raises(ConfigError, match="recalibrate must be a whole number of at least 0"):
            exporting.export(run, recalibrate=wrong)


@pytest.mark.parametrize("method", models.METHODS)
def test_dense_layers_as_convolutions_are_the_same_network(method):
    tf.keras.utils.set_random_seed(0)
    model = models.binarynet((12, 14, 3), 10, method=method, filters=8, dense_units=16)
    twin, wide = tflite.as_convolutions(model)
    images = np.random.default_rng(0).uniform(-1, 1, (20, 12, 14, 3)).astype(np.float32)
    np.testing.assert_allclose(
        model.predict(images, verbose=0), twin.predict(images, verbose=0), atol=1e-5
    )
    assert wide == (model.layers[0].name,)  # the first layer's inputs are pixels
    assert not any(isinstance(layer, models.networks.lq.layers.QuantDense) for layer in twin.layers)


def test_frozen_layers_are_rewritten_and_reported_too():
    tf.keras.utils.set_random_seed(0)
    model = models.binarynet((12, 14, 3), 10, filters=8, dense_units=16)
    model.trainable = False
    twin, wide = tflite.as_convolutions(model)
    assert wide == (model.layers[0].name,)
    assert not any(isinstance(layer, models.networks.lq.layers.QuantDense) for layer in twin.layers)
    kernels = [v for layer in twin.layers for v in layer.weights if "kernel" in v.name]
    assert len(kernels) == 9 and all((abs(v.numpy()) == 1).all() for v in kernels)


def test_shortcuts_stay():
    tf.keras.utils.set_random_seed(0)
    model = models.birealnet((32, 32, 3), 10)
    twin, wide = tflite.as_convolutions(model)
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(
        model.predict(images, verbose=0), twin.predict(images, verbose=0), atol=1e-5
    )
    assert wide == ()


def test_mixed_precision_is_exported_in_float32(converter, tmp_path):
    tf.keras.utils.set_random_seed(0)
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    for layer in model.layers:  # otherwise half of the signs are of zeros, which rounding decides
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.beta.assign(tf.random.normal(layer.beta.shape, seed=0))
    twin = tflite.in_float32(model)
    assert {layer.compute_dtype for layer in twin.layers} == {"float32"}
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    data = bopkit.data.load("digits", image_size=16)
    lite = exporting.write(model, data, "tflite", tmp_path / "model.tflite", min_agreement=0)
    assert "get the same class as from Keras in float32; top-1" in str(lite)
    assert lite.largest_difference < 1e-4  # in bfloat16 it is above 0.9
    one_bit = exporting.write(model, data, "packed", tmp_path / "model.npz")
    assert "get the same class as from Keras; top-1" in str(one_bit)
    full = exporting.write(twin, data, "tflite", tmp_path / "model.tflite", min_agreement=0)
    assert "get the same class as from Keras; top-1" in str(full)
    assert full.keras_accuracy == lite.keras_accuracy
