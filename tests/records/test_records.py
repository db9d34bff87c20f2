"""Records survive bad luck and bad files."""

import errno
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_records import record

from bopkit import experiments, records
from bopkit.errors import RecordError
from bopkit.experiments import methods
from bopkit.records import environment


def test_write_and_read(tmp_path):
    path = records.write(tmp_path, record())
    assert records.read(path) == records.read(tmp_path) == record()
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    """In Python too, where no shell replaces it. Below a folder it is part of a name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "~x").mkdir(parents=True)
    records.write("~/run/~x", record())
    assert records.read("~/run/~x") == record() and records.collect("~/run") == [record()]
    monkeypatch.chdir(tmp_path / "run")
    assert records.collect(".") == [record()]
    for function in (records.read, records.collect):
        with pytest.raises(RecordError, match="no home folder is known for ~nosuchuser"):
            function("~nosuchuser/run")


@given(loss=st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_makes_valid_json(loss, tmp_path_factory):
    folder = tmp_path_factory.mktemp("r")
    one = record()
    one["epochs"][0]["loss"] = loss
    path = records.write(folder, one)
    text = path.read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["epochs"][0]["loss"] in (loss, None)


def test_any_text_is_written_so_that_it_can_be_read(tmp_path):
    name = "caf\udce9.jpg"  # as Python names a file of Latin-1
    records.write(tmp_path, record(error=f"{name} is damaged", hardware={name: "γ"}))
    found = records.read(tmp_path)
    assert found["error"] == r"caf\udce9.jpg is damaged"
    assert found["hardware"] == {r"caf\udce9.jpg": "γ"}


def test_a_failed_write_leaves_the_old_record_and_nothing_else(tmp_path, monkeypatch):
    records.write(tmp_path, record())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match=r"cannot write .*run\.json: No space left"):
        records.write(tmp_path, record(seed=1))
    assert records.read(tmp_path)["seed"] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


ROW = {"epoch": 1, "seconds": 1.0, "val_accuracy": 0.75}


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
        *(
            (json.dumps(record(epochs=[ROW | {key: value}, ROW | {"epoch": 2}])), message)
            for key, value, message in [
                (
                    "accuracy",
                    -3,
                    r"epochs\[0\].accuracy: Input should be greater than or equal to 0",
                ),
                ("top_5_accuracy", 1.01, "top_5_accuracy: Input should be less than or equal to 1"),
                ("val_accuracy", 75.0, "val_accuracy: Input should be less than or equal to 1"),
                ("val_top_5_accuracy", -0.1, "val_top_5_accuracy: Input should be greater"),
                ("flip_ratio", 1.5, "flip_ratio: Input should be less than or equal to 1"),
                ("max_flip_ratio", -1e-9, "max_flip_ratio: Input should be greater than or equal"),
                ("seconds", -1.0, "seconds: Input should be greater than or equal to 0"),
                ("images_per_second", -1.0, "images_per_second: Input should be greater than"),
                ("epoch", 77, "the rows of epochs are not numbered 1, 2, 3 and so on"),
                ("epoch", 2, "the rows of epochs are not numbered 1, 2, 3 and so on"),
            ]
        ),
        (json.dumps(record(accuracies=(0.1, 0.2, 0.3))), "3 epochs, and config.epochs is 2"),
        (json.dumps(record(accuracies=(0.1,))), "it is completed with 1 of 2 epochs"),
        (json.dumps(record() | {"seed": 1}), "seed is 1, and config.seed is 0"),
        (json.dumps(record(final=None)), "it is completed, and final has no val_accuracy"),
        (json.dumps(record(final={})), "it is completed, and final has no val_accuracy"),
        (json.dumps(record(final={"val_accuracy": None})), "and final has no val_accuracy"),
        (json.dumps(record(final={"val_accuracy": 0.8})), "final.val_accuracy is not that of the"),
        (json.dumps(record(final={"val_accuracy": 0.75, "x": 1})), "final.x is not that of the la"),
        (json.dumps(record(warnings=[{"epoch": 3, "message": ""}])), "a warning of a later one"),
    ],
)
def test_damaged_records_are_named(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match=message) as caught:
        records.read(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_run_that_is_not_complete_needs_no_final_row(tmp_path):
    half = record(accuracies=(0.5,), status="failed", final=None)
    del half["config"]["seed"]  # as in records that did not keep it there
    records.write(tmp_path, half)
    assert records.read(tmp_path) == half


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_record_says_what_each_rate_of_its_method_is(method, tmp_path):
    name = next(e.name for e in experiments.EXPERIMENTS.values() if e.method == method)
    one = record(config=record()["config"] | vars(experiments.get(name)) | {"epochs": 2})
    records.write(tmp_path, one)
    assert records.read(tmp_path) == one
    for rate in methods.METHODS[method].rates:
        config = {key: value for key, value in one["config"].items() if key != rate.name}
        records.write(tmp_path, one | {"config": config})
        with pytest.raises(RecordError, match=f"config: {rate.name} is missing, which {method}"):
            records.read(tmp_path)


def test_a_record_holds_an_option_that_is_text(run_python, tmp_path):
    """As a rule of one's own may have."""
    path = records.write(tmp_path, record(config=record()["config"] | {"shape": "tanh"}))
    code = """
import sys
from bopkit.experiments import methods
methods.FIELDS["shape"] = str
from bopkit import records
print(records.read(sys.argv[1])["config"]["shape"])
"""
    done = run_python(code, path)
    assert done.stdout == "tanh\n", done.stderr
    records.write(tmp_path, record(config=record()["config"] | {"shape": 3}))
    assert "config.shape: Input should be a valid string" in run_python(code, path).stderr


def test_missing_records(tmp_path):
    with pytest.raises(RecordError, match="cannot read"):
        records.read(tmp_path)
    with pytest.raises(RecordError, match="there is no folder"):
        records.collect(tmp_path / "nowhere")
    assert records.collect(tmp_path) == []


def put(folder, **changes):
    folder.mkdir(parents=True)
    records.write(folder, record(**changes))
    return folder


def test_links_are_followed_once(tmp_path):
    """No folder is counted twice, and a circle of links ends."""
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    put(runs / "z", seed=1)
    (runs / "a").symlink_to("z")  # before the folder itself, by name
    (runs / "again").symlink_to(runs)
    (runs / "z" / "up").symlink_to("..")
    put(elsewhere / "far" / "run", seed=2)
    (elsewhere / "far" / "back").symlink_to(runs)
    (runs / "b").symlink_to(elsewhere)
    (runs / "c").symlink_to(elsewhere / "far")
    put(tmp_path / "alone", seed=3)
    (runs / "d").mkdir()
    (runs / "d" / "run.json").symlink_to(tmp_path / "alone" / "run.json")
    (runs / "e").mkdir()
    os.link(runs / "z" / "run.json", runs / "e" / "run.json")
    (runs / ".#notes").symlink_to("user@host.1234")  # an editor's lock
    assert sorted(r["seed"] for r in records.collect(runs)) == [1, 2, 3]
    assert [r["seed"] for r in records.collect(runs / "b")] == [3, 1, 2]  # sorted by path


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path, monkeypatch):
    """The folder that may not be listed is stood in for, because root may list every one."""
    put(tmp_path / "good")
    put(tmp_path / "mine")
    put(tmp_path / "bad", status="done")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "run.json").symlink_to("nowhere")
    list_of = os.listdir

    def listdir(path):
        if Path(path).name == "mine":
            raise PermissionError(errno.EACCES, "Permission denied")
        return list_of(path)

    monkeypatch.setattr(os, "listdir", listdir)
    refused = []
    assert records.collect(tmp_path, refused.append) == [record()]
    said = sorted(str(error) for error in refused)
    assert len(said) == 5 and not any("\n" in line for line in said)
    for name, reason in {
        "bad/run.json": " is not a run record: status: Input should be",
        "gone": ": its link leads to nothing.",
        "loop": ": its link leads to nothing.",
        "lost/run.json": ": No such file",
        "mine": ": Permission denied.",
    }.items():
        assert any(f"{tmp_path / name}{reason}" in line for line in said), (name, said)
    with pytest.raises(RecordError, match=r"cannot read|is not a run record"):
        records.collect(tmp_path)  # a page shows all there is or nothing


@pytest.mark.parametrize("value", [1e17, 3e38])
def test_numbers_that_float32_holds_are_read_back_and_larger_ones_are_not(value, tmp_path):
    bop = experiments.override(experiments.get("binarynet/bop"), {"threshold": value})
    config = record()["config"] | {"threshold": bop.threshold, "learning_rate": value}
    run = record(config=config)
    run["epochs"][-1]["loss"] = run["final"]["loss"] = value
    records.write(tmp_path, run)
    assert records.read(tmp_path) == run
    for key, wrong in (("loss", 1e39), ("seconds", 1e17)):
        records.write(tmp_path, record(epochs=[run["epochs"][0] | {key: wrong}], status="failed"))
        with pytest.raises(RecordError, match=f"{key}: Input should be less than or equal"):
            records.read(tmp_path)


def test_a_commit_is_that_of_bopkits_own_repository(tmp_path, monkeypatch):
    """In an environment inside another project, the project's commit says nothing of bopkit."""

    def git(*words):
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@y", *words]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    installed = tmp_path / ".venv" / "environment.py"
    installed.parent.mkdir()
    installed.write_text("")
    monkeypatch.setattr(environment, "__file__", str(installed))
    git("init")
    git("commit", "--allow-empty", "-m", "of the other project")
    assert records.git_commit() is None
    git("add", ".")
    git("commit", "-m", "with the file")
    assert len(records.git_commit()) == 40


KINDS = {"string": str, "integer": int, "number": float, "object": dict, "list": list}


def documented(page, heading):
    """The type that a table of the command line's page gives each key; None stands for null."""
    table = page.partition(f"| {heading} | type | holds |\n")[2].partition("\n\n")[0]
    for row in table.splitlines()[1:]:
        keys, kinds, _ = (cell.strip() for cell in row.strip("| ").split(" | ", 2))
        for key in re.findall("`([a-z_0-9]+)`", keys):
            yield key, {KINDS[kinds.split()[0]]} | ({type(None)} if "or null" in kinds else set())


def test_the_page_of_the_command_line_gives_each_value_its_type():
    root = Path(__file__).resolve().parents[2]
    page = (root / "book/reference/cli.md").read_text(encoding="utf8")
    fields, settings, columns = (
        dict(documented(page, heading)) for heading in ("field", "key in `config`", "key in a row")
    )
    hparams = {h.name for h in experiments.hyperparameters()}
    runs = [r for r in records.collect(root / "results") if "framework" not in r["config"]]
    assert len(runs) > 100
    seen = set()
    for run in runs:
        config = {key: value for key, value in run["config"].items() if key not in hparams}
        described = [(fields, run), (settings, config), *((columns, r) for r in run["epochs"])]
        for kinds, found in described:
            wrong = {key: value for key, value in found.items() if type(value) not in kinds[key]}
            assert wrong == {}, run["command"]
            seen |= found.keys()
        assert len(config["image_shape"]) == 3
        prints = config.get("data_fingerprint", {}).values()
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in prints)
    assert seen | {"error"} == {*fields, *settings, *columns}


def test_what_a_run_stands_on():
    assert set(records.versions()) == {
        "python", "bopkit", "tensorflow", "tf-keras", "larq", "numpy",
    }  # fmt: skip
    assert records.hardware()["cores"] == os.cpu_count()
