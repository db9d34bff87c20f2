"""Describe what a run runs on: versions, hardware, the commit. No TensorFlow here."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path


def versions() -> dict[str, str]:
    """The versions of what a run's numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("bopkit", "tensorflow", "tf-keras", "larq", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware() -> dict:
    """What the run runs on: processor, its cores and its bfloat16, memory in GiB."""
    found = {"machine": platform.machine(), "cores": os.cpu_count()}
    try:
        text = Path("/proc/cpuinfo").read_text()
        fields = dict(
            (part.strip() for part in line.split(":", 1))
            for line in text.splitlines()
            if ":" in line
        )
        found["processor"] = fields.get("model name", "unknown")
        flags = fields.get("flags", "").split()
        found["bfloat16"] = [f for f in ("avx512_bf16", "amx_bf16") if f in flags]
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found["memory_gib"] = round(pages / 2**30, 1)
    except (OSError, ValueError):
        found["processor"] = platform.processor() or "unknown"
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        found["cuda_visible_devices"] = os.environ["CUDA_VISIBLE_DEVICES"]
    return found


def git_commit() -> str | None:
    """The commit that `bopkit` runs from, with "-dirty" where it was changed; None elsewhere."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
