"""What disks, clocks and memory do to a run: nothing finished is lost, the next start goes on."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf
from small_runs import (
    assert_same_end,
    assert_true_so_far,
    checkpoints,
    run,
    stopped_at_row,
)

from bopkit import records
from bopkit._support.files import only_one
from bopkit.errors import BopkitError, ConfigError, RecordError, TrainingError
from bopkit.training import faults
from bopkit.training.checkpoints import Checkpoints
from bopkit.training.folder import RunFolder
from bopkit.training.progress import Progress


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
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
@pytest.mark.parametrize("rest", [0, 2**16])
def test_a_disk_that_is_full(small_disk, undisturbed, monkeypatch, rest):
    """While the record, a checkpoint, TensorBoard's file and the model are written, in turn."""
    disk, fill = small_disk
    folder = disk / "run"
    targets = {
        "record": (records, "write"),
        "checkpoint": (Checkpoints, "save"),
        "TensorBoard": (tf.summary, "create_file_writer"),
        "model": (tf.keras.Model, "save"),
    }
    expected = records.read(undisturbed)
    for what, (owner, name) in targets.items():
        written = getattr(owner, name)

        def full(*arguments, written=written, what=what, **kwargs):
            # The record is first written before there is anything to lose.
            if what != "record" or (len(arguments) > 1 and arguments[1]["epochs"]):
                fill(rest)
            return written(*arguments, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, full)
            with pytest.raises(RecordError) as caught:
                run(folder, tensorboard=True)
        assert "No space left" in str(caught.value) or "is full: make room" in str(caught.value)
        assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
        assert_true_so_far(folder, expected)
        assert not (folder / "model.keras").exists()
        (disk / "filler").unlink()
    run(folder, tensorboard=True)
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


def test_tensorboard_shows_an_epoch_as_soon_as_it_is_logged(tmp_path):
    """So that a run that is killed keeps what it logged."""
    row = {"accuracy": 0.5, "flip_ratio": 0.0, "val_accuracy": 0.25}
    with RunFolder.hold(tmp_path) as folder:
        for epoch in (1, 2, 3):
            folder.log(row | {"epoch": epoch})
            assert logged(tmp_path) == set(range(1, epoch + 1))
    assert len(list((tmp_path / "tensorboard" / "train").iterdir())) == 1


@pytest.mark.parametrize(
    ("owner", "moment", "minutes", "replaced"),
    [
        (Progress, "advance", 0, False),  # a checkpoint within the epoch comes next
        (Progress, "advance", 0, True),
        (Progress, "advance", 10, True),  # the record comes next
        (records, "write", 10, True),  # the checkpoint at the epoch's end comes next
        (Checkpoints, "save", 10, True),  # TensorBoard's file comes next
        (Progress, "finish", 10, True),  # the model comes next
    ],
)
def test_the_folder_is_deleted_under_the_run(
    tmp_path, monkeypatch, owner, moment, minutes, replaced
):
    """And where another run has begun in its place, that one is left alone."""
    folder = tmp_path / "run"
    action, times = getattr(owner, moment), [1]

    def and_then_deleted(*arguments, **kwargs):
        done = action(*arguments, **kwargs)
        begun = owner is not records or arguments[1]["epochs"]
        if begun and times:  # once: what is written there afterwards is to be seen
            times.clear()
            shutil.rmtree(folder)
            if replaced:
                (folder / "checkpoints").mkdir(parents=True)
                (folder / "run.json").write_text("of another run")
        return done

    monkeypatch.setattr(owner, moment, and_then_deleted)
    hparams = {"epochs": 1, "dense_units": 8, "batch_size": 20}
    with pytest.raises(RecordError, match="was removed or replaced during the run") as caught:
        run(folder, hparams=hparams, checkpoint_minutes=minutes, tensorboard=True)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    if replaced:
        assert (folder / "run.json").read_text() == "of another run"
        assert {path.name for path in folder.rglob("*")} == {"checkpoints", "run.json"}
    else:
        assert not folder.exists()


def test_a_folder_in_the_place_of_another_is_not_taken_for_it(tmp_path):
    """Though the system may give it the number of the one that is gone."""
    path = tmp_path / "run"
    with RunFolder.hold(path) as folder:
        folder.check()
        for _ in range(3):
            shutil.rmtree(path)
            path.mkdir()
            with pytest.raises(RecordError, match="was removed or replaced"):
                folder.check()


# The clock, the memory, and what surrounds a run.


def test_a_clock_set_back_by_a_year(undisturbed, tmp_path, monkeypatch):
    """With every save; what a run writes after it is written in the past."""
    now, save, years = time.time, Checkpoints.save, [0]

    def and_then_the_clock_jumps(self, *arguments, **kwargs):
        years[0] += 1
        monkeypatch.setattr(time, "time", lambda: now() - years[0] * 365 * 86400)
        return save(self, *arguments, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", and_then_the_clock_jumps)
        # Stopped after an epoch, started again in the past, where it saves all the time.
        with stopped_at_row(2):
            run(tmp_path, tensorboard=True)
        run(tmp_path, tensorboard=True, checkpoint_minutes=0)
    assert years[0] > 3
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

    monkeypatch.setattr(Progress, "advance", hungry)
    with pytest.raises(TrainingError) as caught:
        run(tmp_path)
    assert line in str(caught.value) and "smaller batch_size" in str(caught.value)
    record = records.read(tmp_path)
    assert record["status"] == "failed" and line in record["error"]


def test_an_error_of_the_code_keeps_its_traceback():
    for error in (KeyError("x"), ValueError("y"), tf.errors.InvalidArgumentError(None, None, "z")):
        assert faults.explain(error, Path("run")) is None
    assert faults.explain(tf.errors.UnavailableError(None, None, "x"), Path("run"), 1) is None


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "any words"), True),
        (OSError(errno.EDQUOT, "any words"), True),
        (OSError("write failed: errno = 28, error message = 'No space left on device'"), True),
        (tf.errors.ResourceExhaustedError(None, None, "a/b; Disk quota exceeded"), True),
        (tf.errors.ResourceExhaustedError(None, None, "the quota of GPU memory"), False),
        (OSError(errno.EIO, "a quotation mark in a name"), False),
        (OSError(errno.EACCES, "quotas/run.json"), False),
        (ValueError("a quotation mark is missing"), False),
    ],
)
def test_only_a_full_disk_is_called_full(error, full):
    explanation = faults.explain(error, Path("run"))
    assert ("the disk of run is full" in str(explanation)) == full


@pytest.mark.parametrize(
    ("folder", "said", "of_a_file"),
    [
        ("run", "run/checkpoints/ckpt-1.index; Input/output error", True),
        (".", "checkpoints/ckpt-1.index; Input/output error", True),
        ("run", "{here}/run/tensorboard/train; Input/output error", True),
        ("run", "truncated record at 12", False),
        (".", "truncated record at 12. The file is damaged", False),
        ("run", "other/run/checkpoints/x; Input/output error", False),
        ("run", "{here}/run-2/checkpoints/x; Input/output error", False),
    ],
)
def test_only_an_error_that_names_a_file_of_the_run_is_about_its_folder(
    tmp_path, monkeypatch, folder, said, of_a_file
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    error = tf.errors.DataLossError(None, None, said.format(here=tmp_path))
    explanation = faults.explain(error, Path(folder))
    assert (f"cannot write in {folder} (" in str(explanation)) == of_a_file


def test_checkpoints_whose_list_is_lost_or_that_are_damaged(undisturbed, tmp_path, capsys):
    folder = shutil.copytree(undisturbed, tmp_path / "run")

    def again():
        records.write(folder, records.read(folder) | {"status": "running", "final": None})
        run(folder, progress=True)
        assert_same_end(folder, undisturbed)
        return capsys.readouterr().out

    (folder / "checkpoints" / "checkpoint").write_text("no list")
    assert "resuming after epoch 2" in again()

    newest = Path(f"{checkpoints(folder)[-1]}.data-00000-of-00001")
    os.truncate(newest, newest.stat().st_size // 2)
    said = again()
    assert "damaged: going back to the one before it" in said and "resuming after epoch 1" in said

    for path in (folder / "checkpoints").glob("*.data-*"):
        os.truncate(path, path.stat().st_size // 2)
    assert "no checkpoint is whole: beginning again" in again()


def test_checkpoints_of_another_run_are_not_taken_for_this_ones(undisturbed, tmp_path):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    record = records.read(folder) | {"status": "running", "final": None, "epochs": []}
    records.write(folder, record)
    with pytest.raises(RecordError, match="hold 2 epochs and the record beside them only 0"):
        run(folder)
    (folder / "run.json").unlink()
    with pytest.raises(ConfigError, match=r"checkpoints of a run whose run\.json is gone"):
        run(folder)


def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, capsys):
    import fcntl

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with only_one(tmp_path / ".lock", BopkitError("busy")):
        assert "cannot be locked (No locks available)" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    with only_one(tmp_path / ".lock", BopkitError("busy")):
        assert "cannot be locked (Windows has no such locks)" in capsys.readouterr().err


def test_a_terminal_that_went_away_does_not_stop_a_run(monkeypatch):
    class Gone:
        def write(self, text):
            raise BrokenPipeError

        def isatty(self):
            return False

    show = Progress(1, 1, 1)
    monkeypatch.setattr(sys, "stdout", Gone())
    show.note("epoch 1")
    show.note("epoch 2")
