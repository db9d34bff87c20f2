"""Remember what the small network's runs ended at, in one process and, on request, for others."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

FOLDER = "BOPKIT_TOY_CACHE"  # names a folder that processes share; unset: nothing is written


def remember(function: Callable) -> Callable:
    """Decorate a function so that it computes each result once.

    A process keeps its results in memory. With `BOPKIT_TOY_CACHE=FOLDER` in the environment it also
    keeps them on the disk, where other processes find them: the Makefile sets this while pages are
    built and tested, because several processes would train the same networks.

    What is on the disk counts for one version of the source, because the name of its folder is a
    hash of bopkit's whole source and of the versions of NumPy and scikit-learn. joblib writes each
    result beside its place and moves it there, so two processes may compute the same one.

    Args:
        function: depends only on its arguments and on bopkit's source. Its arguments are numbers
            and text, and nobody changes what it returned.

    Returns:
        The function with the `cache_clear` and `cache_info` of `functools.lru_cache`, which
        count only what is in memory.

    Example:
        >>> @remember
        ... def final_accuracy(gamma: float) -> float:
        ...     return toy.train(toy.NumPyBop(1e-4, gamma)).accuracy[-1]
    """

    @functools.wraps(function)
    def compute(*args, **kwargs):
        folder = os.environ.get(FOLDER)
        return (_on_disk(function, folder) if folder else function)(*args, **kwargs)

    return functools.lru_cache(maxsize=4096)(compute)


@functools.cache
def _on_disk(function, folder):
    import joblib  # takes a tenth of a second

    return joblib.Memory(Path(folder) / _version(), compress=3, verbose=0).cache(function)


@functools.cache
def _version() -> str:
    """A hash of all that results depend on."""
    found = hashlib.sha256()
    for package in ("numpy", "scikit-learn"):
        found.update(f"{package} {version(package)}\n".encode())
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        found.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return found.hexdigest()[:16]
