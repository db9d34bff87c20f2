"""Records survive bad luck and bad files."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_records import record

from bopkit import experiments, records
from bopkit.errors import RecordError
from bopkit.experiments import methods


def test_write_and_read(tmp_path):
    path = records.write(tmp_path, record())
    assert records.read(path) == records.read(tmp_path) == record()
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


@settings(deadline=None)  # a disk has its moods
@given(loss=st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_makes_valid_json(loss, tmp_path_factory):
    folder = tmp_path_factory.mktemp("r")
    one = record()
    one["epochs"][0]["loss"] = loss
    path = records.write(folder, one)
    text = path.read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["epochs"][0]["loss"] in (loss, None)


def test_a_failed_write_leaves_the_old_record_and_nothing_else(tmp_path, monkeypatch):
    records.write(tmp_path, record())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match=r"cannot write .*run\.json: No space left"):
        records.write(tmp_path, record(seed=1))
    assert records.read(tmp_path)["seed"] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ('{"experiment": "x"', "not JSON"),
        ("[]", "it holds a list"),
        ("{}", "experiment: Field required"),
        (json.dumps(record(status="done")), "status: Input should be 'running', 'completed' or"),
        (json.dumps(record(epochs={})), "epochs: Input should be a valid list"),
        (json.dumps(record(epochs=[{"epoch": 1}])), r"epochs\[0\].seconds: Field required"),
        (json.dumps(record(warnings=[{"epoch": 1, "message": 2}])), r"warnings\[0\].message: Inp"),
        (json.dumps(record(config={"method": "bop"})), "config.epochs: Field required"),
    ],
)
def test_damaged_records_are_named(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match=message) as caught:
        records.read(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_record_says_what_each_rate_of_its_method_is(method, tmp_path):
    name = next(e.name for e in experiments.EXPERIMENTS.values() if e.method == method)
    one = record(config=record()["config"] | vars(experiments.get(name)))
    records.write(tmp_path, one)
    assert records.read(tmp_path) == one
    for rate in methods.METHODS[method].rates:
        config = {key: value for key, value in one["config"].items() if key != rate.name}
        records.write(tmp_path, one | {"config": config})
        with pytest.raises(RecordError, match=f"config: {rate.name} is missing, which {method}"):
            records.read(tmp_path)


def test_missing_records(tmp_path):
    with pytest.raises(RecordError, match="cannot read"):
        records.read(tmp_path)
    with pytest.raises(RecordError, match="there is no folder"):
        records.collect(tmp_path / "nowhere")
    assert records.collect(tmp_path) == []


def test_what_a_run_stands_on():
    assert set(records.versions()) == {
        "python", "bopkit", "tensorflow", "tf-keras", "larq", "numpy",
    }  # fmt: skip
    assert records.hardware()["cores"] == os.cpu_count()
