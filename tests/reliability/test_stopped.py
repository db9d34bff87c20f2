"""Runs stopped from outside, in processes of their own: nothing finished is lost, all resume.

To kill one more often, at random moments of all its epochs, each time at others:

    PYTHONPATH=tests python tests/reliability/test_stopped.py 20 binarynet/bop
"""

import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from small_runs import (
    HPARAMS,
    assert_same_end,
    assert_true_so_far,
    rows,
    run,
    start,
    start_together,
    wait_for_epochs,
)

from bopkit import records
from bopkit.errors import ConfigError

# With batches this small the last signal finds it running, however fast the machine is.
LONG = HPARAMS | {"epochs": 20, "batch_size": 4}
TOGETHER = HPARAMS | {"epochs": 5, "batch_size": 50}  # two workers wait for each other in each step


@pytest.fixture(scope="module")
def bereft(tmp_path_factory):
    """The folder and the chief of a run of two workers, of which the other was killed.

    TensorFlow takes minutes to notice. Other tests of this file can run meanwhile.
    """
    folder = tmp_path_factory.mktemp("bereft")
    chief, other = _start_two(folder)
    assert wait_for_epochs(folder, 2, chief), (chief.communicate(), other.communicate())
    other.kill()
    other.communicate()
    yield folder, chief
    if chief.poll() is None:
        chief.kill()
        chief.communicate()


@pytest.mark.slow
@pytest.mark.usefixtures("bereft")
@pytest.mark.parametrize("name", ["binarynet/bop", "binarynet/bop2ndorder", "binarynet/default"])
def test_signals_at_random_moments_of_every_epoch(name, tmp_path_factory, tmp_path):
    """Killed, asked to stop (twice), cut off from its terminal: the same end, bit by bit."""
    signals = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    disturb(tmp_path, undisturbed, name, LONG, signals, random.Random(6))


def disturb(folder, undisturbed, name, hparams, signals, moments):
    """Stop a run by one signal after another, and compare its end with that of one left alone."""
    expected = run(undisturbed, name, hparams)
    known = 0
    for number in signals:
        process = start(folder, name, hparams)
        # Until it has added an epoch of its own to those that it found.
        assert wait_for_epochs(folder, known + 1, process), process.communicate()
        if known == 0:  # a second run on the same folder
            with pytest.raises(ConfigError, match="another process is running in"):
                run(folder, name, hparams)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(number)
        if number == signal.SIGTERM:
            process.send_signal(number)
        _, error = process.communicate(timeout=60)
        record = assert_true_so_far(folder, expected)
        assert len(record["epochs"]) > known
        known = len(record["epochs"])
        if number != signal.SIGKILL:
            assert process.returncode == 128 + number, error
            assert (record["status"], record["error"]) == ("failed", "interrupted")
        print(f"{signal.Signals(number).name} after {known} epochs", flush=True)
    run(folder, name, hparams)
    assert_same_end(folder, undisturbed)


@pytest.mark.slow
def test_a_worker_of_two_that_is_killed(bereft):
    """The other says so and stops, and both go on together when they are started again."""
    folder, chief = bereft
    _, error = chief.communicate(timeout=120)
    lines = [line for line in error.splitlines() if line.startswith("bopkit: ")]
    # What Python's own threads say while it ends comes after.
    assert chief.returncode == 1 and "Traceback" not in error.partition("bopkit: ")[0]
    assert "another of this run's 2 workers stopped or cannot be reached" in lines[-1]
    before = records.read(folder)
    assert before["status"] == "failed" and "repeat the command" in before["error"]
    assert len(before["epochs"]) >= 2
    both = _start_two(folder)
    assert [process.communicate(timeout=240) and process.returncode for process in both] == [0, 0]
    after = records.read(folder)
    assert (after["status"], len(after["epochs"])) == ("completed", 5)
    # The newest row is written before its checkpoint: it may be done again, and on several workers
    # resumed numbers are equal but for rounding.
    kept = len(before["epochs"]) - 1
    assert rows(after)[:kept] == rows(before)[:kept]


@pytest.mark.slow
def test_a_stop_that_one_worker_of_two_is_asked_for(tmp_path):
    """Both save the step that they share, and stop; both resume."""
    chief, other = both = _start_two(tmp_path)
    assert wait_for_epochs(tmp_path, 1, chief), (chief.communicate(), other.communicate())
    other.send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [143, 143], said
    before = records.read(tmp_path)
    assert (before["status"], before["error"]) == ("failed", "interrupted")
    both = _start_two(tmp_path)
    said = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "resuming after epoch" in said[0][0]
    after = records.read(tmp_path)
    assert (after["status"], len(after["epochs"])) == ("completed", 5)
    assert rows(after)[: len(before["epochs"])] == rows(before)


def _start_two(folder):
    return start_together(2, lambda **env: start(folder, hparams=TOGETHER, **env))


if __name__ == "__main__":
    kills, experiment = int(sys.argv[1]), sys.argv[2]
    # An epoch that a process has added may be followed by others before the kill.
    longer = LONG | {"epochs": 3 * kills}
    with tempfile.TemporaryDirectory() as place:
        disturb(
            Path(place, "killed"),
            Path(place, "undisturbed"),
            experiment,
            longer,
            [signal.SIGKILL] * kills,
            random.Random(),
        )
    print(f"killed {kills} times: every number of the record and every weight is the same")
