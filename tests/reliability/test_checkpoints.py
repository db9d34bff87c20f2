"""Checkpoints that cannot be read, are gone or are another run's: nothing is lost in silence."""

import errno
import os
import shutil
from pathlib import Path

import pytest
import small_runs
import tensorflow as tf
from small_runs import (
    HPARAMS,
    assert_same_end,
    checkpoints,
    rows,
    run,
    stopped_at_row,
    two_layers,
)

from bopkit import records
from bopkit.errors import ConfigError, RecordError
from bopkit.training import checkpoints as checkpoints_module

QUICK = HPARAMS | {"epochs": 3, "dense_units": 8, "batch_size": 100}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A complete run of three epochs."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, hparams=QUICK)
    return folder


@pytest.fixture
def stopped(whole, tmp_path):
    """The same run as if it had stopped after its last checkpoint."""
    folder = shutil.copytree(whole, tmp_path / "run")
    records.write(folder, records.read(folder) | {"status": "running", "final": None})
    (folder / "model.keras").unlink()
    return folder


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(folder, match, **settings):
    """Start the run; it must say so in one line, and leave every file as it was."""
    before = contents(folder)
    with pytest.raises(RecordError, match=match) as caught:
        run(folder, **{"hparams": QUICK} | settings)
    assert "\n" not in str(caught.value) and "\\n" not in str(caught.value)
    assert contents(folder) == before
    return str(caught.value)


DENIED = PermissionError(errno.EACCES, "Permission denied")
STALE = OSError(errno.ESTALE, "Stale file handle")  # as NFS gives it
OF_TENSORFLOW = (tf.train, "load_checkpoint")


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (os, "listdir", DENIED),  # the folder is somebody else's
        (os, "listdir", STALE),
        (checkpoints_module, "open_ordinary", DENIED),
        (checkpoints_module, "open_ordinary", STALE),
        (*OF_TENSORFLOW, tf.errors.PermissionDeniedError(None, None, "Permission denied")),
        (*OF_TENSORFLOW, tf.errors.UnavailableError(None, None, "Stale file handle")),
        (*OF_TENSORFLOW, tf.errors.DataLossError(None, None, "Unable to open: Permission denied")),
    ],
)
def test_a_checkpoint_that_cannot_be_read_is_not_taken_for_a_damaged_one(
    stopped, monkeypatch, owner, name, error
):
    """The errors are stood in for, because root may read every file."""

    def no(*_):
        raise error

    monkeypatch.setattr(owner, name, no)
    said = refused(stopped, "cannot read .*checkpoints.*, so nothing was written: make it readable")
    assert "denied" in said or "Stale" in said


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_a_checkpoint_that_is_no_ordinary_file_is_refused(stopped, tmp_path, kind, suffix):
    """A pipe would be waited for."""
    path = Path(checkpoints(stopped)[-1] + suffix)
    os.replace(path, tmp_path / "elsewhere")
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(path)
    with pytest.raises(RecordError, match="is a link or no ordinary file: remove it"):
        run(stopped, hparams=QUICK)
    assert len(records.read(stopped)["epochs"]) == 3


@pytest.mark.parametrize("empty", [False, True])
def test_a_record_whose_checkpoints_are_gone_is_not_begun_again(stopped, empty):
    shutil.rmtree(stopped / "checkpoints")
    if empty:
        (stopped / "checkpoints").mkdir()
    said = refused(stopped, "has 3 epochs, but their checkpoints are gone")
    assert "to begin again" in said


def test_a_record_that_is_begun_again_is_kept(stopped, whole, capsys):
    """All its checkpoints are damaged: the two ways to be, and the list of them besides."""
    first, second = checkpoints(stopped)
    Path(first + ".index").write_bytes(b"")
    data = Path(second + ".data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    before = records.read(stopped)
    run(stopped, hparams=QUICK, progress=True)
    said = capsys.readouterr().out
    assert "no checkpoint is whole: beginning again with the first epoch; the record so far" in said
    assert said.count("is cut short or damaged") == 2
    assert records.read(stopped / "run.before.json") == before
    assert_same_end(stopped, whole)
    assert [p.name for p in stopped.rglob("run.json")] == ["run.json"]
    assert len(records.collect(stopped)) == 1
    # Once more: the record that is kept is not overwritten.
    for path in checkpoints(stopped):
        Path(path + ".index").write_bytes(b"")
    records.write(stopped, before)
    run(stopped, hparams=QUICK)
    assert {p.name for p in stopped.glob("run.*")} == {
        "run.json",
        "run.before.json",
        "run.before-2.json",
    }


def test_a_record_that_loses_more_than_its_newest_row_is_kept(stopped, whole, capsys):
    for path in (stopped / "checkpoints").glob("ckpt-3.*"):
        path.unlink()
    record = records.read(stopped)
    run(stopped, hparams=QUICK, progress=True)
    assert "after epoch 2, step 0." in capsys.readouterr().out  # one row is computed again
    assert_same_end(stopped, whole)
    shutil.rmtree(stopped)
    with stopped_at_row(2):
        run(stopped, hparams=QUICK)
    records.write(stopped, record)
    run(stopped, hparams=QUICK, progress=True)
    assert "after epoch 1, step 0; the record so far is kept as run." in capsys.readouterr().out
    assert len(records.read(stopped / "run.before.json")["epochs"]) == 3


def test_a_run_that_stopped_before_its_first_checkpoint_begins_again(stopped, whole, capsys):
    """Its first row is written just before."""
    shutil.rmtree(stopped / "checkpoints")
    record = records.read(stopped)
    records.write(stopped, record | {"epochs": record["epochs"][:1]})
    run(stopped, hparams=QUICK, progress=True)
    assert "it stopped before its first checkpoint: beginning again" in capsys.readouterr().out
    assert_same_end(stopped, whole)
    assert len(records.read(stopped / "run.before.json")["epochs"]) == 1


# Whose checkpoints they are.


def take_from(folder, other):
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(other / "checkpoints", folder / "checkpoints")


@pytest.mark.parametrize(
    "settings",
    [{"seed": 1}, {"hparams": QUICK | {"dense_units": 9}}, {"hparams": QUICK | {"gamma": 0.01}}],
    ids=["seed", "width", "rate"],
)
def test_checkpoints_of_another_setting_are_refused(stopped, tmp_path, settings):
    run(tmp_path / "other", **{"hparams": QUICK} | settings)
    take_from(stopped, tmp_path / "other")
    refused(stopped, r"ckpt-3 is of another run \(another seed, other data or another setting\)")


def test_checkpoints_that_do_not_fit_the_network_are_one_line(stopped, monkeypatch):
    """As where another release builds another network by the same name."""
    monkeypatch.setattr(small_runs, "two_layers", lambda *_, **__: two_layers((16, 16, 1), 11))
    with pytest.raises(RecordError, match="does not fit this run's network and opt") as caught:
        run(stopped, hparams=QUICK)
    assert "\n" not in str(caught.value)
    assert len(records.read(stopped)["epochs"]) == 3


def test_a_checkpoint_of_somebodys_own_model_is_one_line(stopped):
    for path in checkpoints(stopped):
        tf.train.Checkpoint(weights=tf.Variable(1.0)).write(path)
    refused(stopped, "is of another run")


# Their names and their list.


@pytest.mark.parametrize("name", ["a[b]", "a\\b", "a*?[!b]"])
def test_old_checkpoints_are_deleted_whatever_the_folder_is_called(name, tmp_path):
    run(tmp_path / name, hparams=QUICK, tensorboard=True)
    names = {path.name for path in (tmp_path / name / "checkpoints").iterdir()}
    data = ".data-00000-of-00001"
    assert names == {
        "checkpoint", "ckpt-2.index", f"ckpt-2{data}", "ckpt-3.index", f"ckpt-3{data}"
    }  # fmt: skip
    assert (tmp_path / name / "model.keras").exists()


def test_what_a_killed_process_left_half_saved_goes_with_the_next_save(stopped, whole):
    folder = stopped / "checkpoints"
    for path in folder.glob("ckpt-3.*"):
        path.unlink()
    (folder / ".saving-x").mkdir()
    (folder / ".saving-x" / "part").write_bytes(b"half")
    (folder / "ckpt-7.data-00000-of-00001").write_bytes(b"half")
    (folder / "mine.txt").write_text("stays")
    run(stopped, hparams=QUICK)
    assert_same_end(stopped, whole)
    left = {path.name for path in folder.iterdir() if not path.name.startswith("ckpt-")}
    assert left == {"checkpoint", "mine.txt"}


@pytest.mark.parametrize("damage", ["not UTF-8", "a folder", "a link"])
def test_the_list_that_tensorflow_keeps_does_not_matter(stopped, whole, tmp_path, damage):
    listed, mine = stopped / "checkpoints" / "checkpoint", tmp_path / "mine"
    assert tf.train.latest_checkpoint(listed.parent) == checkpoints(stopped)[-1]
    mine.write_text("mine")
    content = bytearray(listed.read_bytes())
    listed.unlink()
    if damage == "not UTF-8":
        content[0] ^= 0x80
        listed.write_bytes(content)
    elif damage == "a folder":
        listed.mkdir()
    else:
        listed.symlink_to(mine)
    for path in (stopped / "checkpoints").glob("ckpt-3.*"):
        path.unlink()
    run(stopped, hparams=QUICK)
    assert_same_end(stopped, whole)
    assert mine.read_text() == "mine"
    if damage != "a folder":
        assert tf.train.latest_checkpoint(listed.parent) == checkpoints(stopped)[-1]


# What else the folder holds.


def test_a_model_that_was_deleted_is_written_again(whole, tmp_path, capsys):
    folder = shutil.copytree(whole, tmp_path / "run")
    before = (folder / "run.json").read_bytes()
    (folder / "model.keras").unlink()
    (folder / ".model.keras").symlink_to(tmp_path / "mine")
    (tmp_path / "mine").write_text("mine")
    assert run(folder, hparams=QUICK, progress=True) == records.read(whole)
    assert "model.keras is missing: writing it from the last check" in capsys.readouterr().out
    assert (folder / "run.json").read_bytes() == before
    assert (tmp_path / "mine").read_text() == "mine"
    one, other = (tf.keras.models.load_model(f / "model.keras") for f in (folder, whole))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert (a == b).all()
    for path in (folder / "checkpoints").glob("ckpt-3.*"):
        path.unlink()
    (folder / "model.keras").unlink()
    refused(folder, "model.keras is missing, and so is the last checkpoint")


def test_the_record_tells_every_start(whole, stopped, monkeypatch):
    once = records.read(whole)
    (start,) = once["starts"]
    shared = {key: once[key] for key in ("git_commit", "versions", "hardware")}
    assert start == shared | {"time": start["time"], "from_epoch": 0, "from_step": 0}
    for path in (stopped / "checkpoints").glob("ckpt-3.*"):
        path.unlink()
    # Elsewhere, and from a record of before starts were kept.
    old = records.read(stopped)
    del old["starts"]
    records.write(stopped, old)
    monkeypatch.setattr(records, "git_commit", lambda: "another")
    monkeypatch.setattr(records, "versions", lambda: {"python": "4"})
    run(stopped, hparams=QUICK, jit_compile=True)
    record = records.read(stopped)
    assert {key: record[key] for key in shared} == shared
    first, second = record["starts"]
    assert first == shared | {"from_epoch": 0}
    assert (second["from_epoch"], second["from_step"]) == (2, 0)
    assert (second["git_commit"], second["versions"]) == ("another", {"python": "4"})
    assert second["hardware"]["jit_compile"] is True
    assert rows(record)[:2] == rows(once)[:2]
    assert run(stopped, hparams=QUICK)["starts"] == [first, second]  # complete: no start


# Where it is, and with how many threads.


def test_the_home_folder_is_put_in_the_place_of_its_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run("~/runs/one", hparams=QUICK | {"epochs": 1})
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    with pytest.raises(ConfigError, match="got the address gs://bucket/run"):
        run("gs://bucket/run")
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


@pytest.mark.parametrize("threads", ["-4", "two"])
def test_a_number_of_threads_that_is_none_is_one_line(run_python, threads):
    """TensorFlow aborts the process on a negative one."""
    code = "import sys; sys.argv = ['bopkit', 'train', 'binarynet']; from bopkit import cli\n"
    code += "cli.main()"
    done = run_python(code, env={"TF_NUM_INTRAOP_THREADS": threads})
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "TF_NUM_INTRAOP_THREADS must be a whole number of threads" in done.stderr
