"""A run that is asked to stop answers where nothing is lost, and resumes from there."""

import os
import signal
from unittest import mock

import pytest
from small_runs import HPARAMS, STEPS, assert_same_end, run, state

from bopkit import records
from bopkit.training.folder import RunFolder
from bopkit.training.progress import Progress
from bopkit.training.state import State


@pytest.fixture(autouse=True)
def nothing_is_ignored():
    """Of a job in the background a shell has Ctrl-C ignored, nohup the closing terminal."""
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    return folder


def asked(number, where, name, when=lambda *call: True):
    """Ask this process to stop, by a signal, at the first such call of a method."""
    method, left = getattr(where, name), [number]

    def call(*arguments, **options):
        if left and when(*arguments):
            os.kill(os.getpid(), left.pop())
        return method(*arguments, **options)

    return mock.patch.object(where, name, call)


def saved_step(folder):
    return int.from_bytes(state(folder)["step/.ATTRIBUTES/VARIABLE_VALUE"], "little")


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize("at", [1, STEPS])
def test_it_saves_the_step_it_stands_at(undisturbed, tmp_path, number, code, at):
    done = []

    def after(progress, steps, *losses):
        done.append(steps)
        return sum(done) >= at

    with asked(getattr(signal, number), Progress, "advance", after), pytest.raises(SystemExit) as e:
        run(tmp_path)
    assert e.value.code == code
    record = records.read(tmp_path)
    assert (record["status"], record["error"], record["epochs"]) == ("failed", "interrupted", [])
    assert saved_step(tmp_path) == sum(done)
    run(tmp_path)
    assert_same_end(tmp_path, undisturbed)


def test_ctrl_c_is_answered_alike(undisturbed, tmp_path):
    with asked(signal.SIGINT, Progress, "advance"), pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert records.read(tmp_path)["error"] == "interrupted"
    run(tmp_path)
    assert_same_end(tmp_path, undisturbed)


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    def twice(number, frame):
        first(number, frame)
        signal.signal(signal.SIGINT, first)
        os.kill(os.getpid(), number)

    def advance(progress, *shown):
        nonlocal first
        first = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, twice)
        os.kill(os.getpid(), signal.SIGINT)

    first = None
    with mock.patch.object(Progress, "advance", advance), pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert not list((tmp_path / "checkpoints").glob("*.index"))  # not even a checkpoint


def test_while_it_prepares_it_stops_at_once(undisturbed, tmp_path):
    with (
        asked(signal.SIGTERM, RunFolder, "restore"),
        mock.patch.object(State, "flips", side_effect=AssertionError("it trained")),
        pytest.raises(SystemExit),
    ):
        run(tmp_path)
    run(tmp_path)
    assert_same_end(tmp_path, undisturbed)


def test_the_validation_is_not_waited_for(undisturbed, tmp_path):
    with asked(signal.SIGTERM, State, "require_finite"), pytest.raises(SystemExit):
        run(tmp_path)
    assert records.read(tmp_path)["epochs"] == []
    assert saved_step(tmp_path) == STEPS
    run(tmp_path)
    assert_same_end(tmp_path, undisturbed)


def test_asked_when_all_is_done_it_completes_and_ends(undisturbed, tmp_path):
    """A sweep in the same process must not begin its next run."""
    with asked(signal.SIGTERM, RunFolder, "save_model"), pytest.raises(SystemExit) as stop:
        run(tmp_path, hparams=HPARAMS)
    assert stop.value.code == 143
    assert_same_end(tmp_path, undisturbed)


def test_the_handlers_are_put_back(tmp_path):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    run(tmp_path)
    assert [signal.getsignal(number) for number in numbers] == before
