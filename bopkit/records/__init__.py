"""One run is one JSON record: written, read, checked, grouped, shown. No TensorFlow here."""

from bopkit.records.environment import git_commit, hardware, versions
from bopkit.records.record import FILE_NAME, collect, final, group_by_seed, read, write

__all__ = [
    "FILE_NAME",
    "collect",
    "final",
    "git_commit",
    "group_by_seed",
    "hardware",
    "read",
    "versions",
    "write",
]
