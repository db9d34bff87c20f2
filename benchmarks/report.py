"""The one file of results: read, extended by a section, written whole or not at all."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

from bopkit import records
from bopkit._support.files import whole_file


def read(path: Path) -> dict:
    """What has been measured so far: a dictionary with `sections`, empty where there is no file."""
    return json.loads(path.read_text()) if path.exists() else {"sections": {}}


def provenance() -> dict:
    """When, on what and with what a section is measured."""
    import tensorflow as tf

    flags = set()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                flags |= set(line.partition(":")[2].split())
    except OSError:
        pass
    kinds = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "git_commit": records.git_commit(),
        "versions": records.versions(),
        "hardware": records.hardware()
        | {
            "flags": [flag for flag in kinds if flag in flags],
            "usable_cores": len(os.sched_getaffinity(0)),
            "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        },
        # 0 is TensorFlow's own choice: one thread a core.
        "threads": {
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
        },
    }


def write(path: Path, name: str, section: dict) -> None:
    """Put one section in the place of an older one of its name.

    Args:
        path: the file; its folder is made where it does not exist.
        name: the section's.
        section: what to store.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = read(path)
    whole["sections"][name] = section
    text = json.dumps(whole, indent=1, allow_nan=False) + "\n"
    with whole_file(path) as file:
        file.write(text.encode())
