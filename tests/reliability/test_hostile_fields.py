"""Foreign files with one field changed: each is used, or refused in one line.

A record, the header of a packed file and the description of a prepared set: each field in turn,
at any depth, is replaced by what does not belong there, or is left out.
"""

from __future__ import annotations

import copy
import io
import json
import os
import signal
import zipfile

import numpy as np
import pytest
import saved_runs
import small_records

from bopkit import cli, records
from bopkit.data import tfds
from bopkit.deploy import exporting, loading, packed
from bopkit.errors import BopkitError

WRONG = [None, "x\n\x1b[2J\u202e", "/etc/x", -1, 0.3, 1e300, True, [], ["x"], {}]
HPARAMS = {"filters": 8, "dense_units": 16}


def variants(value, deeper=True):
    """Every copy of a parsed JSON document with one place replaced or left out."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        for wrong in WRONG:
            changed = copy.copy(value)
            changed[key] = wrong
            yield changed
        changed = copy.copy(value)
        del changed[key]
        yield changed
        if deeper and isinstance(value[key], dict | list):
            for inner in variants(value[key]):
                changed = copy.copy(value)
                changed[key] = inner
                yield changed


def used_or_refused(call):
    """Whether a call returns; its error, if it has one, is one of ours and one line."""
    message = ""
    try:
        call()
    except BopkitError as error:
        message = str(error) or "\n"
    assert "\n" not in message, message
    return not message


def record():
    """A record that uses every field."""
    shares = {"accuracy": 0.5, "val_top_5_accuracy": 1.0, "flip_ratio": 0.1, "loss": None}
    start = {"from_epoch": 0, "git_commit": None, "versions": {}, "hardware": {}}
    one = small_records.record(versions={"numpy": "1"}, hardware={"cores": 2}, starts=[start])
    one["epochs"][0] |= shares
    return one | {"warnings": [{"epoch": 1, "message": "x"}]}


def test_a_record_is_shown_or_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bopkit", "results", str(tmp_path)])
    outcomes = []
    for changed in [record(), *variants(record())]:
        (tmp_path / "run.json").write_text(json.dumps(changed))
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr()
        code = stopped.value.code or 0
        assert (code, bool(printed.out), printed.err.count("\n")) in [(0, True, 0), (2, False, 1)]
        assert "".join(printed.out.splitlines() + printed.err.splitlines()).isprintable()
        outcomes.append(code)
    assert outcomes[0] == 0 and outcomes.count(2) > 300 and outcomes.count(0) > 100


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    saved_runs.write_run(folder, **HPARAMS)
    return folder


def test_a_run_is_loaded_and_exported_or_refused(run, monkeypatch):
    """Only what can be wrong once the record was read: the other test reads it."""
    load_run, networks = loading.load_run, []

    def load(folder):
        networks.append(load_run(folder))
        return networks[-1]

    monkeypatch.setattr(exporting, "load_run", load)
    monkeypatch.setattr(exporting, "write", lambda model, data, *_, **__: data.validation_examples)
    whole = records.read(run)
    whole["config"] |= {"dataset": "digits", "preprocess": "default", "validation_examples": 9}
    asked = ("network", "method", "precision", "image_shape", "filters", "dense_units")
    asked += ("dataset", "preprocess", "validation_examples", "holdout")
    outcomes = []
    for changed in variants({key: whole["config"][key] for key in asked}):
        kept = {key: value for key, value in whole["config"].items() if key not in asked}
        records.write(run, whole | {"config": kept | changed})
        outcomes.append(used_or_refused(lambda: exporting.export(run)))
    records.write(run, whole)
    assert used_or_refused(lambda: exporting.export(run))
    assert outcomes.count(False) > 50 and networks


def test_a_packed_file_is_loaded_or_refused(tmp_path):
    path, model = tmp_path / "model.npz", saved_runs.write_run(tmp_path, **HPARAMS)
    packed.save_packed(model, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
    header["network"], outcomes = None, []
    some = header["weights"][:3]
    changes = [*variants(header, deeper=False)]
    changes += [header | {"weights": w + header["weights"][3:]} for w in variants(some)]
    for changed in [header, *changes]:
        content = io.BytesIO()
        np.save(content, np.frombuffer(json.dumps(changed).encode(), np.uint8))
        with zipfile.ZipFile(path, "w") as archive:
            for name, member in (members | {"header.npy": content.getvalue()}).items():
                archive.writestr(name, member)
        outcomes.append(used_or_refused(lambda: packed.load_packed(path, into=model)))
    assert outcomes[0] and outcomes.count(False) > 100


def test_a_prepared_set_is_counted_or_refused(tmp_path):
    splits = [
        {"name": name, "shardLengths": lengths, "numBytes": "3"}
        for name, lengths in (("train", ["5", "1"]), ("test", ["2"]))
    ]
    info = {"name": "cifar10", "splits": splits, "version": "3.0.2"}
    for split in splits:
        number = len(split["shardLengths"])
        for shard in range(number):
            file = tmp_path / f"cifar10-{split['name']}.tfrecord-{shard:05}-of-{number:05}"
            file.write_bytes(b"")
    (tmp_path / "cifar10-test.tfrecord-00000-of-00001").write_bytes(bytes(35))
    outcomes = []
    del splits[0]["numBytes"]
    for changed in [info, *variants(info), *WRONG]:
        (tmp_path / "dataset_info.json").write_text(json.dumps(changed))
        outcomes.append(used_or_refused(lambda: str(tfds.summarize(tmp_path))))
    assert outcomes[0] and outcomes.count(False) > 50


@pytest.mark.parametrize("value", [*WRONG, {"featuresDict": None}, {"pythonClassName": 1}])
def test_the_features_of_a_prepared_set_are_read_or_refused(tmp_path, value):
    pytest.importorskip("tensorflow_datasets")
    from bopkit import data

    folder = tmp_path / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(json.dumps({"name": "cifar10", "splits": []}))
    (folder / "features.json").write_text(json.dumps(value))
    assert not used_or_refused(lambda: data.load("cifar10", data_dir=tmp_path))


@pytest.fixture
def no_waiting():
    """A test that waits for a pipe fails."""

    def stop(*_):
        raise KeyboardInterrupt("waited for a pipe")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("call", "pipe", "said"),
    [
        (tfds.summarize, "dataset_info.json", "dataset_info.json is missing, or no file"),
        (tfds.summarize, "cifar10-train.tfrecord-00000-of-00001", "has 0 of the 1 files"),
        (tfds.open_prepared, "dataset_info.json", "dataset_info.json is a device or a pipe"),
        (tfds.open_prepared, "features.json", "features.json is a device or a pipe"),
        (tfds.open_prepared, "label.labels.txt", "label.labels.txt is a device or a pipe"),
    ],
)
def test_a_pipe_in_a_prepared_set_is_not_waited_for(tmp_path, no_waiting, call, pipe, said):
    split = {"name": "train", "shardLengths": ["1"], "numBytes": "3"}
    info = {"name": "cifar10", "splits": [split]}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    (tmp_path / pipe).unlink(missing_ok=True)
    os.mkfifo(tmp_path / pipe)
    with pytest.raises(ValueError, match=said):
        call(tmp_path)
