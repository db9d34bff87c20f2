"""Write, read, check and group the records of runs, one JSON file per run.

Attributes:
    FILE_NAME: the name of a record's file, "run.json".
"""

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
