"""The folder of one run: its lock, its record, where it resumes, and the model it leaves."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bopkit import records
from bopkit._support.files import only_one, whole_file
from bopkit._tensorflow import tf
from bopkit.data.identity import require_same_form
from bopkit.errors import ConfigError, RecordError
from bopkit.training.checkpoints import Checkpoints, ends_with_run
from bopkit.training.curves import Curves
from bopkit.training.faults import REMOVED
from bopkit.training.state import State

MODEL = "model.keras"


class ModelMissingError(RecordError):
    """Report the record of this very run, complete, without the model and the last checkpoint."""


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
        self._earlier: Path | None = None  # where the record goes that `record` shortens
        self._curves = Curves(path / "tensorboard", self.check)

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
            folder = cls(path, os.stat(path))
            with contextlib.closing(folder._curves):
                yield folder

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

        A run whose rates do not depend on its length may be made longer.

        Args:
            new: a record of the run before its first epoch; its `config` is the run's identity,
                and the one entry of its `starts` is this start.

        Raises:
            ConfigError: the folder holds a run with another configuration, a run that is not
                complete and began with another copy of the data, or checkpoints without their
                record.
            RecordError: the record cannot be read.
        """
        self._new, writes = new, self._held is not None
        self._checkpoints = Checkpoints(self.path / "checkpoints", new["config"], writes)
        if not (self.path / records.FILE_NAME).exists():
            if self._checkpoints.numbers():
                raise ConfigError(
                    f"{self.path} holds the checkpoints of a run whose {records.FILE_NAME} is "
                    "gone; put it back, or choose another output folder."
                )
            self.record = new
            return
        self.record = records.read(self.path)
        there, here = self.record["config"], new["config"]
        changed = [key for key in here if there.get(key) != here[key]]
        if changed == ["epochs"] and here["epochs"] > there["epochs"] and not ends_with_run(here):
            # It computes what a run of this length would have: nothing in it knew the end.
            there["epochs"] = here["epochs"]
            self.record |= {"status": "running", "final": None}
        elif changed:
            what = "; ".join(f"{key} {there.get(key)} there, {here[key]} here" for key in changed)
            longer = ""
            if changed == ["epochs"]:
                rates = " and ".join(ends_with_run(here))
                longer = (
                    f" A run whose {rates} is set changes its rates over the whole run, so that a "
                    "longer one is another run from its first step."
                    if rates
                    else " A run can be made longer, but not shorter."
                )
            raise ConfigError(
                f"{self.path} holds a run with another configuration ({what}); choose another "
                f"output folder, or remove this one.{longer}"
            )
        if self.record["status"] != "completed":
            require_same_form(self.path, self.record.get("data"), new.get("data"))

    def write(self) -> None:
        """Write the record as it is now, whole or not at all; keep an earlier, longer one beside.

        Raises:
            RecordError: it cannot be written, or the folder is no longer this run's.
        """
        if self._held:
            self.check()
            if self._earlier:
                with whole_file(self._earlier) as file:
                    file.write((self.path / records.FILE_NAME).read_bytes())
                self._earlier = None
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

    def find_checkpoint(self, note: Callable[[str], None]) -> None:
        """Decide where the run resumes, in the record too, before anything is written.

        The run resumes from the newest undamaged checkpoint. If all checkpoints are damaged, the
        run begins again.

        Args:
            note: takes a line on what was found.

        Raises:
            RecordError: a checkpoint cannot be read or is of another run, the record has epochs
                but no checkpoints or fewer epochs than the checkpoints, or a complete run has no
                checkpoint of its end.
        """
        rows, completed = self.record["epochs"], self.record["status"] == "completed"
        numbers = self._checkpoints.numbers()
        # A row is written before the checkpoint of its epoch: the first may have none yet.
        if not numbers and len(rows) > 1 and not completed:
            raise RecordError(
                f"the record in {self.path} has {len(rows)} epochs, but their checkpoints are "
                f"gone: put {self._checkpoints.folder} back, or choose another output folder, or "
                f"remove {self.path / records.FILE_NAME} to begin again."
            )
        self._found = found = self._checkpoints.find_whole(note)
        done = found.epoch if found else 0
        if done > len(rows):
            raise RecordError(
                f"the checkpoints hold {done} epochs and the record beside them only {len(rows)}, "
                "so they belong to different runs: choose another folder."
            )
        if completed:
            if done < len(rows):
                raise ModelMissingError(
                    f"{self.path / MODEL} is missing, and so is the last checkpoint, from which it "
                    "could be made: put one of them back, or train in another output folder."
                )
            return
        kept = ""
        # The newest row may lack its checkpoint in any run that stopped.
        if len(rows) - done > (1 if found else 0):
            self._earlier = next(path for path in _before(self.path) if not os.path.lexists(path))
            kept = f"; the record so far is kept as {self._earlier.name}"
        if found:
            note(f"resuming after epoch {done}, step {found.step}{kept}.")
        elif numbers or rows:
            why = "no checkpoint is whole" if numbers else "it stopped before its first checkpoint"
            note(f"{why}: beginning again with the first epoch{kept}.")
        if self.record is not self._new:
            self._start_again(found)

    def _start_again(self, found):
        """Add this start to the record, and take away what it is going to compute again."""
        old, new = self.record, self._new
        # Of a record by a version that did not keep the starts, the first is known.
        first = {key: old[key] for key in ("git_commit", "versions", "hardware")}
        starts = [*old.get("starts", [{"from_epoch": 0, **first}]), *new["starts"]]
        if found:
            starts[-1] |= {"from_epoch": found.epoch, "from_step": found.step}
            old["epochs"] = old["epochs"][: found.epoch]
            old["warnings"] = [w for w in old.get("warnings", ()) if w["epoch"] <= found.epoch]
        else:
            self.record = new  # all that it is going to hold comes from this start
        self.record["starts"] = starts

    def restore(self, state: State) -> None:
        """Set the state to the checkpoint that was found; `save` saves it from now on.

        Raises:
            RecordError: the checkpoint does not fit the network or the optimizer.
        """
        self._checkpoints.restore(state, self._found)

    def save(self) -> None:
        """Write a checkpoint of the state that was restored; every worker must call this."""
        if self._held:
            self.check()  # nothing of this run may be written where another has begun
        self._checkpoints.save()

    # What else a run leaves.

    def save_model(self, model: tf.keras.Model) -> None:
        """Leave model.keras, which gets its place when it is complete; every worker must call this.

        All workers save, because some variables are averaged over them as they are read; only the
        file of the one that writes is kept.
        """
        if self._held:
            self.check()
        # A folder of its own: somebody else may have put a link where a known name leads.
        place = self.path if self._held else None
        with tempfile.TemporaryDirectory(dir=place, prefix=".model-") as fresh:
            model.save(Path(fresh) / MODEL)
            if self._held:
                os.replace(Path(fresh) / MODEL, self.path / MODEL)

    def log_step(self, step: int, scalars: dict[str, float]) -> None:
        """Write scalars of a step within an epoch for TensorBoard; see `Curves`."""
        if self._held:
            self._curves.log_step(step, scalars)

    def log(self, row: dict) -> None:
        """Write an epoch's scalars for TensorBoard; see `Curves`."""
        if self._held:
            self._curves.log(row)


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


def _before(folder) -> Iterator[Path]:
    """Yield file names that no table reads, for a record that is no longer the run's."""
    yield folder / "run.before.json"
    for number in itertools.count(2):
        yield folder / f"run.before-{number}.json"
