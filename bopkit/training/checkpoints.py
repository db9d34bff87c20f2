"""Find a run's checkpoints, refuse damaged ones and those of another run, and keep the newest."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bopkit._support.files import open_ordinary, whole_file
from bopkit._tensorflow import tf
from bopkit.errors import RecordError, one_line
from bopkit.training.state import State

_FILE = re.compile(r"ckpt-(\d+)\.(?:index|data-\d+-of-\d+)")
_UNFINISHED = ".saving-"  # how the folder of a checkpoint begins that is not complete yet
# What TensorFlow raises of damage; and of a file system that does not answer or not permit.
_DAMAGE = (tf.errors.OpError, IndexError, RuntimeError, ValueError)
_OUT_OF_REACH = (
    OSError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnauthenticatedError,
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
# Its reader hands some of the system's errors on as words alone.
_WORDS = [os.strerror(n) for n in (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE)]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Hold one undamaged checkpoint, and how far its run is.

    Attributes:
        path: what its files' names begin with.
        epoch: how many epochs are complete.
        step: how many steps of the next epoch are done.
    """

    path: Path
    epoch: int
    step: int


class Checkpoints:
    """Find, read, write and delete the checkpoints of one run.

    Nothing here depends on the list that TensorFlow keeps beside checkpoints: it may be lost or
    damaged itself. It is written for those who use `tf.train.latest_checkpoint`.

    Args:
        folder: where they are; it need not exist.
        config: the run's configuration, which is its identity. A checkpoint holds a number that is
            made of it.
        writes: whether this process writes there. The other processes only take their part in the
            saving.
    """

    def __init__(self, folder: Path, config: Mapping[str, object], writes: bool = True):
        self.folder, self._writes = folder, writes
        self._identity = _identify(config)
        self._kept: list[int] = []

    def numbers(self) -> list[int]:
        """List the checkpoints, newest first, whether they are whole or not.

        Raises:
            RecordError: the folder cannot be read.
        """
        found = {
            n for n, paths in self._files().items() if any(p.suffix == ".index" for p in paths)
        }
        return sorted(found, reverse=True)

    def find_whole(self, note: Callable[[str], None]) -> Checkpoint | None:
        """Read the newest checkpoint that is not damaged; write nothing.

        Args:
            note: takes a line on each that is damaged.

        Returns:
            The checkpoint, or None if all are damaged.

        Raises:
            RecordError: a checkpoint is of another run, or cannot be read, in which case nobody
                knows whether it is damaged.
        """
        for number in self.numbers():
            found = self._read(number)
            if found is not None:
                self._kept = [number]
                return found
            path = self.folder / f"ckpt-{number}"
            note(f"{path} is cut short or damaged: going back to the one before it.")
        return None

    def restore(self, state: State, found: Checkpoint | None) -> None:
        """Set a state to what a checkpoint holds; `save` saves this state from now on.

        Raises:
            RecordError: the checkpoint does not fit the network or the optimizer.
        """
        identity = tf.Variable(self._identity, dtype=tf.int64, trainable=False)
        self._checkpoint = tf.train.Checkpoint(**vars(state), identity=identity)
        if found is None:
            return
        try:
            status = self._checkpoint.read(str(found.path))
            status.assert_existing_objects_matched().expect_partial()
        except (AssertionError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise RecordError(
                f"{found.path} does not fit this run's network and optimizer ({one_line(error)}): "
                "it is of another run; put this run's own back, or choose another output folder."
            ) from error

    def save(self) -> None:
        """Write a checkpoint of the state that was restored; every worker must call this.

        It gets its name when it is complete. Of the older ones the last is kept.
        """
        if not self._writes:
            # Saving reads variables that are averaged over the workers, so that all take part.
            with tempfile.TemporaryDirectory() as elsewhere:
                self._checkpoint.write(f"{elsewhere}/checkpoint")
            return
        self.folder.mkdir(exist_ok=True)
        number = max(self._files(), default=0) + 1
        # In a folder of its own: somebody else may have put links where TensorFlow would write.
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=_UNFINISHED) as fresh:
            self._checkpoint.write(f"{fresh}/ckpt-{number}")
            for path in sorted(Path(fresh).iterdir(), key=lambda p: p.suffix == ".index"):
                os.replace(path, self.folder / path.name)
        self._kept = [*self._kept[-1:], number]
        self._write_list()
        self._delete_others()

    def _write_list(self):
        names = [f"ckpt-{number}" for number in self._kept]
        lines = [f'model_checkpoint_path: "{names[-1]}"']
        lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
        with contextlib.suppress(OSError), whole_file(self.folder / "checkpoint") as file:
            file.write("".join(f"{line}\n" for line in lines).encode())

    def _delete_others(self):
        # By their exact names: a search by pattern, as TensorFlow's, takes the [ of a path for its.
        for number, paths in self._files().items():
            for path in paths if number not in self._kept else ():
                path.unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.name.startswith(_UNFINISHED):  # of a process that was killed
                shutil.rmtree(path, ignore_errors=True)

    def _files(self) -> dict[int, list[Path]]:
        """The files of all checkpoints, by number."""
        found = {}
        try:
            for name in os.listdir(self.folder):
                if match := _FILE.fullmatch(name):
                    found.setdefault(int(match[1]), []).append(self.folder / name)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _out_of_reach(self.folder, error) from error
        return found

    def _read(self, number) -> Checkpoint | None:
        """A checkpoint, if every byte of it can be read; None where it is damaged."""
        path = self.folder / f"ckpt-{number}"
        try:
            # All of it first: TensorFlow calls a file damaged that it may not open.
            for file in self._files()[number]:
                with os.fdopen(open_ordinary(file), "rb") as opened:
                    while opened.read(2**20):
                        pass
            reader = tf.train.load_checkpoint(str(path))
            for name in (names := reader.get_variable_to_shape_map()):
                reader.get_tensor(name)  # TensorFlow checks a sum over each
        except _OUT_OF_REACH as error:
            raise _out_of_reach(path, error, f", or remove {path}.* to do without it") from error
        except tf.errors.ResourceExhaustedError:
            raise
        except _DAMAGE as error:
            if any(words in str(error) for words in _WORDS):
                raise _out_of_reach(path, error) from error
            return None
        numbers = {
            key: f"{key}/.ATTRIBUTES/VARIABLE_VALUE" for key in ("epoch", "step", "identity")
        }
        there = {k: int(reader.get_tensor(n)) for k, n in numbers.items() if n in names}
        if {"epoch", "step"} - there.keys() or there.get("identity") != self._identity:
            raise RecordError(
                f"{path} is of another run (another seed, other data or another setting): put this "
                "run's own checkpoints back, or choose another output folder."
            )
        return Checkpoint(path, there["epoch"], there["step"])


def _out_of_reach(path, error, otherwise="") -> RecordError:
    reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    return RecordError(
        f"cannot read {path} ({one_line(ValueError(reason))}), so nothing was written: make it "
        f"readable and repeat the command{otherwise}."
    )


def ends_with_run(config: Mapping[str, object]) -> list[str]:
    """Name the settings that are a rate's value at the run's end, and so depend on its length.

    Args:
        config: a run's configuration.

    Example:
        >>> ends_with_run({"gamma": 1e-2, "gamma_end": 1e-4, "threshold_end": None})
        ['gamma_end']
    """
    return [key for key, value in config.items() if key.endswith("_end") and value is not None]


def _identify(config) -> int:
    """Hash a configuration to 64 bits.

    The hash leaves out what is None, so a setting which a later version adds changes nothing where
    it is not used. The hash leaves out the number of epochs too, if the run may be made longer.
    """
    used = {key: value for key, value in config.items() if value is not None}
    if not ends_with_run(config):
        used.pop("epochs", None)
    digest = hashlib.sha256(json.dumps(used, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)
