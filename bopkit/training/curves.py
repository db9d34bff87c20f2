"""Write a run's numbers for TensorBoard: one file for each curve and each start of the run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bopkit import rules
from bopkit._tensorflow import tf


class Curves:
    """Write the curves of a run.

    What a call writes is in the file when the call returns, so a run that is killed loses nothing.

    Args:
        place: the folder of all curves.
        check: is called before anything is written; it raises where nothing may be written.
    """

    def __init__(self, place: Path, check: Callable[[], None]):
        self._place, self._check = place, check
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def log_step(self, step: int, scalars: dict[str, float]) -> None:
        """Write scalars of a step within an epoch, as a curve over all steps."""
        self._write("steps", step, {f"within_epoch/{k}": v for k, v in scalars.items()})

    def log(self, row: dict) -> None:
        """Write an epoch's scalars, training and validation as two curves."""
        row = row.copy()
        epoch = row.pop("epoch")
        train = {k: v for k, v in row.items() if not k.startswith("val_") and v is not None}
        train["log_flip_ratio"] = float(rules.log_flip_ratio(np.float64(row["flip_ratio"])))
        validation = {k[4:]: v for k, v in row.items() if k.startswith("val_")}
        self._write("train", epoch, train)
        self._write("validation", epoch, validation)

    def close(self) -> None:
        """Close the files; what could not be written has been reported before."""
        for writer in self._writers.values():
            with contextlib.suppress(tf.errors.OpError):
                writer.close()

    def _write(self, curve, step, scalars):
        self._check()
        if curve not in self._writers:  # each writer begins a file
            self._writers[curve] = tf.summary.create_file_writer(str(self._place / curve))
        with self._writers[curve].as_default(step=step):
            for key, value in scalars.items():
                tf.summary.scalar(key, value)
        self._writers[curve].flush()
