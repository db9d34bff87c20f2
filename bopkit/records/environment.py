"""Describe what a run runs on: versions, hardware, the commit. No TensorFlow here."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path


def versions() -> dict[str, str]:
    """List the versions of the packages that a run's numbers depend on.

    Returns:
        Versions by package, and Python's; "not installed" for a package that is missing.

    Example:
        >>> bopkit.records.versions()["bopkit"]
        '0.1.0'
    """
    found = {"python": platform.python_version()}
    for package in ("bopkit", "tensorflow", "tf-keras", "larq", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware() -> dict:
    """Describe the machine: CPU, cores, support for bfloat16, and memory in GiB.

    Returns:
        What a record holds under `hardware`, without the GPUs, which TensorFlow knows.

    Example:
        >>> {"machine", "cores", "processor"} <= bopkit.records.hardware().keys()
        True
    """
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
    """Name the commit that `bopkit` runs from.

    Returns:
        The commit's hash, with "-dirty" if a file was changed since; None if `bopkit` does not run
        from its own Git repository. An environment inside another project is not its own.

    Example:
        >>> commit = bopkit.records.git_commit()
        >>> commit is None or len(commit.removesuffix("-dirty")) == 40
        True
    """
    here = Path(__file__)
    if _ask_git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    describe = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return _ask_git(here.parent, *describe)


def _ask_git(folder, *words):
    """What Git says in a folder; None if it fails or says nothing."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
