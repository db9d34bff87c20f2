"""Runs stopped from outside, in processes of their own: nothing finished is lost, all go on."""

import contextlib
import json
import random
import signal
import socket
import time

import pytest
from small_runs import (
    HPARAMS,
    assert_same_end,
    assert_true_so_far,
    rows,
    run,
    start,
    wait_for_epochs,
)

from bopkit import records
from bopkit.errors import ConfigError

SMALL = HPARAMS | {"epochs": 5, "filters": 4, "dense_units": 16, "batch_size": 50}


@pytest.fixture(scope="module")
def bereft(tmp_path_factory):
    """The folder and the chief of a run of two workers, of which the other was killed.

    TensorFlow takes minutes to notice. Other tests of this file can run meanwhile.
    """
    folder = tmp_path_factory.mktemp("bereft")
    chief, other = _start_two(folder, SMALL)
    assert wait_for_epochs(folder, 2, chief), (chief.communicate(), other.communicate())
    other.kill()
    other.communicate()
    yield folder, chief
    if chief.poll() is None:
        chief.kill()
        chief.communicate()


@pytest.mark.slow
@pytest.mark.usefixtures("bereft")
def test_signals_at_random_moments_of_every_epoch(tmp_path_factory, tmp_path):
    """Killed, asked to stop (twice), cut off from its terminal: the same end, bit by bit."""
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    long = HPARAMS | {"epochs": 8}  # the last signal finds it running, however fast the machine is
    expected = run(undisturbed, hparams=long)
    moments = random.Random(6)
    signals = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
    for epoch, number in enumerate(signals):
        process = start(tmp_path, long)
        assert wait_for_epochs(tmp_path, epoch, process), process.communicate()
        if epoch == 0:  # a second run on the same folder
            with pytest.raises(ConfigError, match="another process is running in"):
                run(tmp_path, hparams=long)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(number)
        if number == signal.SIGTERM:
            process.send_signal(number)
        _, error = process.communicate(timeout=60)
        record = assert_true_so_far(tmp_path, expected)
        assert len(record["epochs"]) >= epoch
        if number != signal.SIGKILL:
            assert process.returncode == 128 + number, error
            assert (record["status"], record["error"]) == ("failed", "interrupted")
    run(tmp_path, hparams=long)
    assert_same_end(tmp_path, undisturbed)


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
    assert before["status"] == "failed" and "start all of them again" in before["error"]
    assert len(before["epochs"]) >= 2
    both = _start_two(folder, SMALL)
    assert [process.communicate(timeout=240) and process.returncode for process in both] == [0, 0]
    after = records.read(folder)
    assert (after["status"], len(after["epochs"])) == ("completed", 5)
    # The newest row is written before its checkpoint: it may be done again, and on several workers
    # resumed numbers are equal but for rounding.
    kept = len(before["epochs"]) - 1
    assert rows(after)[:kept] == rows(before)[:kept]


def _start_two(folder, hparams):
    with contextlib.ExitStack() as open_ports:
        ports = [open_ports.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in "12"]
        addresses = [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]
    return [
        start(
            folder,
            hparams,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in (0, 1)
    ]
