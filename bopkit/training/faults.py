"""What the machine does to a run, as one sentence that says what to do. It may be called again."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from bopkit._tensorflow import tf
from bopkit.errors import BopkitError, RecordError, TrainingError

REMOVED = "{} was removed or replaced during the run: nothing more is written there."
RESUME = "repeat the command to resume from the last checkpoint"
_FULL = (errno.ENOSPC, errno.EDQUOT)
# Of an operation over several machines whose other end has gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@contextlib.contextmanager
def explained(folder: Path, workers: int = 1) -> Iterator[None]:
    """Turn what the system or TensorFlow raises into bopkit's errors, where the cause is plain.

    Args:
        folder: the run's folder.
        workers: how many processes share the run.

    Raises:
        BopkitError: of the kinds that `explain` returns; anything else is raised as it was.
    """
    try:
        yield
    except Exception as error:
        explanation = explain(error, folder, workers)
        if explanation is None:
            raise
        raise explanation from error


def explain(error: Exception, folder: Path, workers: int = 1) -> BopkitError | None:
    """The sentence for an error that is not the code's fault; None for all others.

    Args:
        error: what was raised during a run.
        folder: the run's folder.
        workers: how many processes share the run.
    """
    if isinstance(error, BopkitError):
        return None
    reason = in_short(error)
    # TensorFlow says ResourceExhausted of a disk and of the memory alike, and HDF5 raises a bare
    # OSError, but both quote the system.
    if getattr(error, "errno", None) in _FULL or any(os.strerror(n) in str(error) for n in _FULL):
        return RecordError(f"the disk of {folder} is full: make room, and {RESUME}.")
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return TrainingError(
            f"there is not enough memory ({reason}): free some, and {RESUME}; or take a smaller "
            "batch_size, in another folder."
        )
    if workers > 1 and isinstance(error, _LOST):
        return TrainingError(
            f"another of this run's {workers} workers stopped or cannot be reached ({reason}): "
            f"{RESUME}, on all of them."
        )
    of_a_file = isinstance(error, tf.errors.OpError) and _names_file_in(folder, str(error))
    if isinstance(error, OSError) or of_a_file:
        if not folder.is_dir():
            return RecordError(REMOVED.format(folder))
        return RecordError(f"cannot write in {folder} ({reason}); once that is mended, {RESUME}.")
    return None


def _names_file_in(folder, text) -> bool:
    """Whether a text has a path in a run's folder. "truncated record" has none in "run"."""
    # TensorFlow quotes a path as it was given, and Path(".") / "checkpoints" has no dot.
    places = [re.escape(os.path.abspath(folder)) + r"(?![\w.-])"]
    places += [re.escape(f"{folder / part}{os.sep}") for part in ("checkpoints", "tensorboard")]
    return re.search(rf"(?<![\w./-])({'|'.join(places)})", text) is not None


def in_short(error: BaseException) -> str:
    """An error's own words in one line, without TensorFlow's names of its nodes."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    text = text.rpartition("}} ")[2].partition(" [Op:")[0].strip() or type(error).__name__
    line = text.splitlines()[0].rstrip(".;: ")
    return line if len(line) <= 200 else f"{line[:200]}..."


class Stop:
    """Remember that a run was asked to stop, until it can stop without loss.

    While a run prepares, a request ends it immediately. Once it trains, the loop answers between
    two calls of its steps, because an exception that a signal raises anywhere may fall into the
    middle of TensorFlow's own work, or into a destructor, where Python swallows it.

    Attributes:
        number: the signal that asked; None where none did.
        training: whether the loop answers.
    """

    def __init__(self):
        self.number: int | None = None
        self.training = False

    def receive(self, number: int, frame: object) -> None:
        """Take a signal, as Python's handler. A second Ctrl-C stops the run immediately."""
        impatient = self.number is not None and number == signal.SIGINT
        # Some schedulers say it twice; the second must not interrupt what the first has begun.
        at_once = impatient or (self.number is None and not self.training)
        self.number = self.number or number
        if at_once:
            self.answer()

    def answer(self) -> None:
        """End the run as its signal asks: as Ctrl-C does, or with 128 + the signal's number."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        # Where another worker was asked, this one has no signal of its own.
        raise SystemExit(128 + (self.number or signal.SIGTERM))


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """Take Ctrl-C, a scheduler's polite stop and a closing terminal as requests to stop.

    Yields:
        What remembers them. In a thread that is not the main one, Python hands out no signals.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What is ignored already stays so: that is what nohup is.
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop.receive)
    try:
        yield stop
        if (
            stop.number is not None
        ):  # it came when nothing was left to do; a sweep ends all the same
            stop.answer()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
