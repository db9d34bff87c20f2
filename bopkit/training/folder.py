"""The folder of one run: its lock, its record, its checkpoints, and the model it leaves."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bopkit import records, rules
from bopkit._files import only_one
from bopkit._tensorflow import tf
from bopkit.errors import ConfigError, RecordError
from bopkit.training.faults import REMOVED
from bopkit.training.state import State


class RunFolder:
    """Read and write what belongs to one run, and refuse what belongs to another.

    `RunFolder.hold` makes one. One process of a run writes: the others keep the same record in
    memory, and leave nothing.

    Attributes:
        path: the folder.
        record: the run's record, once `open_record` has been called; see `bopkit.records`.
    """

    def __init__(self, path: Path, held: os.stat_result | None):
        self.path = path
        self._held = held  # what the folder was when it was locked; None for a reader
        self.record: dict = {}

    @classmethod
    @contextlib.contextmanager
    def hold(cls, path: str | os.PathLike, *, writes: bool = True) -> Iterator[RunFolder]:
        """Make the folder where there is none, and lock it for as long as the block runs.

        Args:
            path: the folder.
            writes: whether this process writes there; others take no lock.

        Raises:
            ConfigError: the folder cannot be made, or another process holds its lock.
        """
        path = Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {path}: {error.strerror}.") from error
        if not writes:
            yield cls(path, None)
            return
        busy = f"another process is running in {path}; wait for it, or choose another folder."
        with only_one(path / ".lock", ConfigError(busy)), _kept_open(path):
            yield cls(path, os.stat(path))

    def check(self) -> None:
        """Refuse to write where the folder was removed or another one has taken its place.

        Raises:
            RecordError: it is not the folder that was locked.
        """
        if not (self.path.is_dir() and os.path.samestat(self._held, os.stat(self.path))):
            raise RecordError(REMOVED.format(self.path))

    # The record.

    def open_record(self, new: dict) -> None:
        """Read the record of this very run, or begin a new one where there is none.

        Args:
            new: a record of the run before its first epoch; its `config` is the run's identity.

        Raises:
            ConfigError: the folder holds a run with another configuration, or checkpoints without
                their record.
            RecordError: the record cannot be read.
        """
        if not (self.path / records.FILE_NAME).exists():
            if self._find_checkpoints():
                raise ConfigError(
                    f"{self.path} holds the checkpoints of a run whose {records.FILE_NAME} is "
                    "gone; put it back, or choose another output folder."
                )
            self.record = new
            return
        self.record = records.read(self.path)
        there = self.record["config"]
        what = "; ".join(
            f"{key} {there.get(key)} there, {value} here"
            for key, value in new["config"].items()
            if there.get(key) != value
        )
        if what:
            raise ConfigError(
                f"{self.path} holds a run with another configuration ({what}); choose another "
                "output folder, or remove this one."
            )

    def write(self) -> None:
        """Write the record as it is now, whole or not at all.

        Raises:
            RecordError: it cannot be written, or the folder is no longer this run's.
        """
        if self._held:
            self.check()
            records.write(self.path, self.record)

    def add(self, row: dict, warning: str | None) -> None:
        """Add an epoch's row and what is wrong with it, if anything is; write the record."""
        self.record["epochs"].append(row)
        if warning:
            self.record["warnings"].append({"epoch": row["epoch"], "message": warning})
        self.write()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Keep the record's status true: running, then completed, or failed with the reason."""
        self.record["status"] = "running"
        self.record.pop("error", None)
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
            what = " ".join(f"{type(error).__name__}: {error}".split())
            self.record["status"] = "failed"
            self.record["error"] = "interrupted" if interrupted else what[:2000]
            with contextlib.suppress(RecordError):  # the first error is the one to show
                self.write()
            raise
        self.record["status"] = "completed"
        self.write()

    # The checkpoints.

    def restore(self, state: State, note: Callable[[str], None]) -> None:
        """Go back to the newest checkpoint that is whole, in the state and in the record.

        Args:
            state: what is restored; `save` saves it from now on.
            note: takes a line on what was found.

        Raises:
            RecordError: the checkpoints have more epochs than the record.
        """
        self._checkpoint, found = state.checkpoint(), self._find_checkpoints()
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self.path / "checkpoints"), max_to_keep=2
        )
        for path in found:
            if _is_whole(path):
                self._checkpoint.restore(path).assert_existing_objects_matched()
                note(f"resuming after epoch {int(state.epoch)}, step {int(state.step)}.")
                break
            note(f"{path} is cut short or damaged: going back to the one before it.")
        else:
            if found:
                note("no checkpoint is whole: beginning again with the first epoch.")
        done, rows = int(state.epoch), self.record["epochs"]
        if done > len(rows):
            raise RecordError(
                f"the checkpoints are {done} epochs far and the record beside them only "
                f"{len(rows)}: they are not of the same run; choose another folder."
            )
        # A row is written before the checkpoint of its epoch: a newer one is computed again.
        self.record["epochs"] = rows[:done]
        warnings = self.record.get("warnings", ())
        self.record["warnings"] = [w for w in warnings if w["epoch"] <= done]

    def save(self) -> None:
        """Write a checkpoint of the state that was restored; every worker must call this."""
        if self._held:
            self.check()  # TensorFlow would make the folder anew
            self._manager.save()
            return
        # Saving reads variables that are averaged over the workers, so that all take part.
        with tempfile.TemporaryDirectory() as elsewhere:
            self._checkpoint.write(f"{elsewhere}/checkpoint")

    def _find_checkpoints(self) -> list[str]:
        """The checkpoints, newest first.

        Not from the list that TensorFlow keeps beside them, which may be lost or damaged itself.
        """
        folder = self.path / "checkpoints"
        found = (re.fullmatch(r"ckpt-(\d+)\.index", p.name) for p in folder.glob("ckpt-*.index"))
        numbers = sorted((int(match[1]) for match in found if match), reverse=True)
        return [str(folder / f"ckpt-{number}") for number in numbers]

    # What else a run leaves.

    def save_model(self, model: tf.keras.Model) -> None:
        """Leave model.keras, which gets its name when it is complete; every worker must call this.

        All workers save, because some variables are averaged over them as they are read; only the
        file of the one that writes is kept.
        """
        with tempfile.TemporaryDirectory() as elsewhere:
            unfinished = (self.path if self._held else Path(elsewhere)) / ".model.keras"
            if self._held:
                self.check()
            model.save(unfinished)
            if self._held:
                os.replace(unfinished, self.path / "model.keras")

    def log(self, row: dict) -> None:
        """Write an epoch's scalars for TensorBoard, training and validation as two curves."""
        if not self._held:
            return
        self.check()
        train = {k: v for k, v in row.items() if not k.startswith("val_") and v is not None}
        train["log_flip_ratio"] = float(rules.log_flip_ratio(np.float64(row["flip_ratio"])))
        validation = {k[4:]: v for k, v in row.items() if k.startswith("val_")}
        for name, scalars in (("train", train), ("validation", validation)):
            writer = tf.summary.create_file_writer(str(self.path / "tensorboard" / name))
            with writer.as_default(step=row["epoch"]):
                for key, value in scalars.items():
                    if key != "epoch":
                        tf.summary.scalar(key, value)
            writer.close()


@contextlib.contextmanager
def _kept_open(path):
    """Keep a folder open: for as long as it is, the system gives its number to no other."""
    if os.name != "posix":
        yield
        return
    handle = os.open(path, getattr(os, "O_PATH", os.O_RDONLY))
    try:
        yield
    finally:
        os.close(handle)


def _is_whole(checkpoint: str) -> bool:
    """Whether every tensor of a checkpoint can be read: TensorFlow checks a sum over each.

    To be asked before anything is restored, so that no half of a bad checkpoint is.
    """
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception:  # OpError, IndexError, RuntimeError, ValueError: it depends on the damage
        return False
    return True
