"""What disks, clocks and memory do to a run: nothing finished is lost, the next start goes on."""

import contextlib
import errno
import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf
from small_runs import HPARAMS, assert_same_end, assert_true_so_far, run

from bopkit import _files, records
from bopkit.errors import BopkitError, ConfigError, RecordError, TrainingError
from bopkit.training import faults, loop, progress
from bopkit.training import run as training

TWO = HPARAMS | {"epochs": 2}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder, hparams=TWO)
    return folder


# The disk.


@pytest.fixture
def small_disk(tmp_path, require):
    """A file system of 8 MB of its own; yields it and a function that fills it but for a rest."""
    mount = tmp_path / "disk"
    mount.mkdir()
    can = os.name == "posix" and os.geteuid() == 0 and shutil.which("mount")
    require(bool(can), "only root can mount a small disk")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount], capture_output=True, text=True
    )
    require(done.returncode == 0, f"no small disk can be mounted: {done.stderr.strip()}")

    def fill(rest):
        with open(mount / "filler", "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(mount / "filler", (mount / "filler").stat().st_size - rest)

    try:
        yield mount, fill
    finally:
        subprocess.run(["umount", mount], check=True)


# Room for nothing; for the record and TensorBoard, and not for a checkpoint.
@pytest.mark.parametrize("rest", [0, pytest.param(2**16, marks=pytest.mark.slow)])
def test_a_disk_that_is_full(small_disk, undisturbed, monkeypatch, rest):
    """While the record, a checkpoint, TensorBoard's file and the model are written, in turn."""
    disk, fill = small_disk
    folder = disk / "run"
    targets = {
        "record": (records, "write"),
        "checkpoint": (loop.Loop, "save"),
        "TensorBoard": (training, "_log"),
        "model": (training, "_save_model"),
    }
    expected = records.read(undisturbed)
    for what, (owner, name) in targets.items():
        written = getattr(owner, name)

        def full(*arguments, written=written, what=what):
            # The record is first written before there is anything to lose.
            if what != "record" or (len(arguments) > 1 and arguments[1]["epochs"]):
                fill(rest)
            return written(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, full)
            with pytest.raises(RecordError) as caught:
                run(folder, hparams=TWO, tensorboard=True)
        assert "No space left" in str(caught.value) or "is full: make room" in str(caught.value)
        assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
        assert_true_so_far(folder, expected)
        assert not (folder / "model.keras").exists()
        (disk / "filler").unlink()
    run(folder, hparams=TWO, tensorboard=True)
    assert_same_end(folder, undisturbed)
    # An epoch that is saved is not logged anew: what TensorBoard had no room for is lost to it.
    assert logged(folder) == ({1, 2} if rest else {2})


def logged(folder):
    """The epochs that TensorBoard shows."""
    steps = set()
    for path in (folder / "tensorboard" / "train").glob("events*"):
        with contextlib.suppress(tf.errors.DataLossError):
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                steps |= {event.step} if event.summary.value else set()
    return steps


@pytest.mark.parametrize(
    ("owner", "moment", "replaced"),
    [
        (loop.Loop, "validate", False),
        (loop.Loop, "validate", True),
        (loop.Loop, "_train_chunk", True),  # a checkpoint within the epoch comes next
        (loop.Loop, "save", True),
        (training, "_run", True),  # the model comes next
    ],
)
def test_the_folder_is_deleted_under_the_run(tmp_path, monkeypatch, owner, moment, replaced):
    """And where another run has begun in its place, that one is left alone."""
    folder = tmp_path / "run"
    monkeypatch.setattr(loop.Loop, "_train_chunk", lambda *_: None)
    action, times = getattr(owner, moment), [1]

    def and_then_deleted(*arguments):
        done = action(*arguments)
        if not times:  # once: what is written there afterwards is to be seen
            return done
        times.clear()
        shutil.rmtree(folder)
        if replaced:
            (folder / "checkpoints").mkdir(parents=True)
            (folder / "run.json").write_text("of another run")
        return done

    monkeypatch.setattr(owner, moment, and_then_deleted)
    with pytest.raises(RecordError, match="was removed or replaced while the run") as caught:
        run(folder, hparams=TWO, checkpoint_minutes=0, tensorboard=True)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    if replaced:
        assert (folder / "run.json").read_text() == "of another run"
        assert {path.name for path in folder.rglob("*")} == {"checkpoints", "run.json"}
    else:
        assert not folder.exists()


def test_a_folder_in_the_place_of_another_is_not_taken_for_it(tmp_path):
    """Though the system may give it the number of the one that is gone."""
    folder = tmp_path / "run"
    folder.mkdir()
    with faults.kept(folder) as check:
        check()
        for _ in range(3):
            folder.rmdir()
            folder.mkdir()
            with pytest.raises(RecordError, match="was removed or replaced"):
                check()


# The clock, the memory, and what surrounds a run.


@pytest.mark.slow
def test_a_clock_set_back_by_a_year(undisturbed, tmp_path, monkeypatch):
    """With the first save; all that a run writes is written in the past then."""
    now, save, train_epoch = time.time, loop.Loop.save, loop.Loop.train_epoch
    shifts, years_back = itertools.repeat(-365 * 86400), []

    def and_then_the_clock_jumps(self):
        save(self)
        shift = next(shifts)
        monkeypatch.setattr(time, "time", lambda: now() + shift)
        if int(self.epoch) == 1 and int(self.step) == 0:
            raise KeyboardInterrupt

    def watched(self, *arguments):
        row = train_epoch(self, *arguments)
        years_back.append(round((now() - time.time()) / (365 * 86400)))
        return row

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "save", and_then_the_clock_jumps)
        patch.setattr(loop.Loop, "train_epoch", watched)
        # Stopped after an epoch, started again in the past, where it saves all the time.
        for minutes in (10, 0):
            with contextlib.suppress(KeyboardInterrupt):
                run(tmp_path, hparams=TWO, tensorboard=True, checkpoint_minutes=minutes)
    assert years_back == [0, 1]
    assert_same_end(tmp_path, undisturbed)
    assert all(row["seconds"] >= 0 for row in records.read(tmp_path)["epochs"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "there is not enough memory"),
        (
            tf.errors.ResourceExhaustedError(
                None, None, "{{function_node x}} OOM when allocating tensor [Op:Conv2D] name: "
            ),
            "there is not enough memory (OOM when allocating tensor): free some",
        ),
    ],
)
def test_no_memory_is_one_line_that_says_what_to_do(tmp_path, monkeypatch, error, line):
    def hungry(*_):
        raise error

    monkeypatch.setattr(loop.Loop, "_train_chunk", hungry)
    with pytest.raises(TrainingError) as caught:
        run(tmp_path)
    assert line in str(caught.value) and "smaller batch_size" in str(caught.value)
    record = records.read(tmp_path)
    assert record["status"] == "failed" and line in record["error"]


def test_an_error_of_the_code_keeps_its_traceback():
    for error in (KeyError("x"), ValueError("y"), tf.errors.InvalidArgumentError(None, None, "z")):
        assert faults.explain(error, Path("run")) is None
    assert faults.explain(tf.errors.UnavailableError(None, None, "x"), Path("run"), 1) is None


def test_checkpoints_whose_list_is_lost_or_that_are_all_damaged(undisturbed, tmp_path, capsys):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    records.write(folder, records.read(folder) | {"status": "running", "final": None})
    (folder / "checkpoints" / "checkpoint").write_text("no list")
    run(folder, hparams=TWO, progress=True)
    assert "resuming after epoch 2" in capsys.readouterr().out
    assert_same_end(folder, undisturbed)

    records.write(folder, records.read(folder) | {"status": "running", "final": None})
    for path in (folder / "checkpoints").glob("*.data-*"):
        os.truncate(path, path.stat().st_size // 2)
    run(folder, hparams=TWO, progress=True)
    assert "no checkpoint is whole: beginning again" in capsys.readouterr().out
    assert_same_end(folder, undisturbed)


def test_checkpoints_of_another_run_are_not_taken_for_this_ones(undisturbed, tmp_path):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    record = records.read(folder) | {"status": "running", "final": None, "epochs": []}
    records.write(folder, record)
    with pytest.raises(RecordError, match="2 epochs far and the record beside them only 0"):
        run(folder, hparams=TWO)
    (folder / "run.json").unlink()
    with pytest.raises(ConfigError, match=r"checkpoints of a run whose run\.json is gone"):
        run(folder, hparams=TWO)


def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, capsys):
    import fcntl

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with _files.only_one(tmp_path / ".lock", BopkitError("busy")):
        assert "cannot be locked (No locks available)" in capsys.readouterr().err


def test_a_terminal_that_went_away_does_not_stop_a_run(monkeypatch):
    class Gone:
        def write(self, text):
            raise BrokenPipeError

        def isatty(self):
            return False

    show = progress.Progress(1, 1)
    monkeypatch.setattr(sys, "stdout", Gone())
    show.note("epoch 1")
    show.note("epoch 2")
