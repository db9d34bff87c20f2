"""Find the precision in which a run began, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from bopkit import records
from bopkit.errors import RecordError
from bopkit.experiments.experiment import PRECISIONS


def begun_in(folder: Path) -> str | None:
    """Read in which precision the run in a folder began.

    Args:
        folder: a run's folder.

    Returns:
        "float32" or "mixed_bfloat16"; None if there is no run, or its record cannot be read or
        names another precision. Opening the record then says what is wrong with it.
    """
    try:
        found = records.read(folder)["config"].get("precision")
    except RecordError:
        return None
    return found if found in PRECISIONS else None
