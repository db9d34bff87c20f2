"""Records survive bad luck and bad files; tables say what the records say."""

import copy
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bopkit import experiments, records
from bopkit.errors import RecordError


def record(seed=0, accuracies=(0.5, 0.75), **changes):
    config = vars(experiments.get("binarynet/bop")) | {"seed": seed, "holdout": 0, "epochs": 2}
    rows = [{"epoch": i + 1, "seconds": 10.0, "val_accuracy": a} for i, a in enumerate(accuracies)]
    return {
        "experiment": "binarynet/bop",
        "config": config,
        "dataset": "digits",
        "seed": seed,
        "command": "bopkit train binarynet",
        "git_commit": None,
        "versions": {},
        "hardware": {},
        "status": "completed",
        "epochs": rows,
        "final": {},
    } | changes


def test_write_and_read(tmp_path):
    path = records.write(tmp_path, record())
    assert records.read(path) == records.read(tmp_path) == record()
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


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
        ("{}", "experiment is missing"),
        (json.dumps(record(status="done")), "status must be one of"),
        (json.dumps(record(epochs={})), "epochs is missing or of another type"),
    ],
)
def test_damaged_records_are_named(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match=message) as caught:
        records.read(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_missing_records(tmp_path):
    with pytest.raises(RecordError, match="cannot read"):
        records.read(tmp_path)
    with pytest.raises(RecordError, match="there is no folder"):
        records.collect(tmp_path / "nowhere")
    assert records.collect(tmp_path) == []


def test_rows_group_seeds_and_nothing_else(tmp_path):
    runs = [record(0, (0.5, 0.70)), record(1, (0.5, 0.80))]
    other = copy.deepcopy(record(0, (0.5, 0.9)))
    other["config"]["gamma"] = 1e-4
    half = record(2, (0.6,), status="failed")
    for name, run in zip("abcd", [*runs, other, half], strict=True):
        (tmp_path / name).mkdir()
        records.write(tmp_path / name, run)
    rows = records.rows(records.collect(tmp_path))
    assert [(r["n"], r["top-1 %"], r["epochs"]) for r in rows] == [
        ("2", "75.00 ± 7.07", "2"),
        ("1", "90.00", "2"),
        ("1", "60.00", "1/2"),
    ]


def test_schedules_as_text():
    texts = {
        name: records.schedule(vars(experiments.get(name)), "gamma")
        for name in experiments.EXPERIMENTS
    }
    assert texts["binarynet/default"] == "–"
    assert texts["binarynet/bop"] == "0.001"
    assert texts["binarynet/bop_sec52"] == "0.0001, ×0.1 every 100 epochs"
    assert texts["xnornet/bop"] == "0.0001 → 1e-06"


def test_markdown_table():
    lines = records.markdown_table([record()], ["experiment", "top-1 %"]).splitlines()
    assert lines == ["| experiment | top-1 % |", "| --- | --- |", "| binarynet/bop | 75.00 |"]


def paper_run(**config):
    """A complete run of section 5.3's setting; `config` changes it."""
    settings = vars(experiments.get("birealnet/bop")) | {"holdout": 0, "seed": 0}
    images = {"train_examples": 1_281_167, "validation_examples": 50_000}
    row = {"epoch": 1, "seconds": 10.0, "val_accuracy": 0.5, "val_top_5_accuracy": 0.75}
    return record(
        experiment="birealnet/bop",
        dataset=config.get("dataset", "imagenet2012"),
        config=settings | images | config,
        epochs=[row] * config.get("epochs", 300),
    )


def test_results_table_keeps_the_paper_what_was_measured_and_what_was_not_run_apart():
    paper = {"bop": (56.6, 79.4), "latent": (56.4, 79.5)}
    laptop = paper_run(dataset="fashion_mnist", train_examples=2000, epochs=3)
    lines = records.results_table([laptop], paper, "ImageNet").splitlines()
    assert lines[0] == (
        "| method | paper, ImageNet: top-1 / top-5 % | measured here: top-1 / top-5 % "
        "| n | data | epochs | not yet run |"
    )
    assert lines[2:] == [
        "| Bop | 56.6 / 79.4 | 50.00 / 75.00 | 1 | fashion_mnist, 2,000 images | 3 "
        "| ImageNet, the paper's setting |",
        "| latent weights, Adam | 56.4 / 79.5 | – | – | – | – | ImageNet, the paper's setting |",
    ]
    whole = records.results_table([paper_run()], paper, "ImageNet").splitlines()[2]
    assert whole.endswith("| imagenet2012, 1,281,167 images | 300 | – |")
    top_1 = records.results_table([], {"bop": (91.3,)}, "CIFAR-10").splitlines()
    assert top_1[0].startswith("| method | paper, CIFAR-10: top-1 % | measured here: top-1 % |")
    assert top_1[2:] == ["| Bop | 91.3 | – | – | – | – | CIFAR-10, the paper's setting |"]


def test_a_paper_run_is_the_papers_setting_on_all_its_data():
    assert records.is_paper_run(paper_run())
    assert not records.is_paper_run(paper_run() | {"status": "failed"})
    for change in (
        {"epochs": 3},
        {"gamma": 1e-3},
        {"precision": "mixed_bfloat16"},
        {"dataset": "fashion_mnist"},
        {"train_examples": 1_271_167},
        {"validation_examples": 100},
    ):
        assert not records.is_paper_run(paper_run(**change)), change


def test_what_a_run_stands_on():
    assert set(records.versions()) == {
        "python", "bopkit", "tensorflow", "tf-keras", "larq", "numpy",
    }  # fmt: skip
    assert records.hardware()["cores"] == os.cpu_count()
