"""Standard streams that are closed or full: no work is lost, and no error is silent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import damage
import pytest

from bopkit import cli, records

FULL = Path("/dev/full")
TRAIN = "train binarynet --train-examples 40 --validation-examples 20 --output-dir run --hparams"
SIZE = "epochs=1,filters=8,dense_units=32,batch_size=20"

needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def shell(folder, line, buffered=True):
    """Run `bopkit` with redirections; buffered as a user's Python is, or not."""
    command = f"{sys.executable} {'' if buffered else '-u'} -m bopkit.cli {line}"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=180
    )


@pytest.mark.parametrize("buffered", [True, False])
@needs_full
def test_a_table_that_cannot_be_written_is_an_error(tmp_path, buffered):
    done = shell(tmp_path, "experiments >/dev/full", buffered)
    said = "bopkit: standard output cannot be written: No space left on device.\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("experiments >&-", 0),  # whoever closes it wants no table
        ("experiments <&- >&- 2>&-", 0),
        ("results nowhere 2>&-", 2),
        ("results nowhere 2>/dev/full", 2),
    ],
)
def test_a_closed_stream_changes_no_exit_code(tmp_path, line, code):
    done = shell(tmp_path, line)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize("words", ["experiments", "--version"])  # a table, and plain text
def test_a_reader_that_closes_the_pipe_is_told_nothing_more(words):
    """As in `bopkit experiments | head -1`."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "bopkit.cli", words]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.slow
@needs_full
def test_a_run_needs_no_stream(tmp_path):
    done = shell(tmp_path, f"{TRAIN} {SIZE} >/dev/full 2>&-")
    assert (done.returncode, done.stdout) == (0, "")
    assert records.read(tmp_path / "run")["status"] == "completed"
    # No file got the number of the closed stream, and with it what TensorFlow prints.
    assert {p.name for p in tmp_path.iterdir()} <= {"run", ".keras", ".cache"}


@needs_full
def test_what_is_done_is_said_on_standard_error_and_is_a_success(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bopkit", "data", "prepare", "digits"])
    with FULL.open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    assert not stopped.value.code
    error = capsys.readouterr().err
    assert error.startswith("bopkit: standard output cannot be written (No space left on device)")
    assert "digits is there train: 1,437" in error and error.count("\n") == 1


@needs_full
def test_a_preparation_goes_to_its_end_where_its_progress_cannot_be_printed(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    from bopkit.data import prepare

    manual = damage.write_imagenet(tmp_path / "m", damage.images({"a": damage.ODD["grey"]}))
    with FULL.open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        summary = prepare.prepare("imagenet2012", manual_dir=manual, data_dir=tmp_path)
    assert summary.examples == {"train": 1, "validation": 3}
