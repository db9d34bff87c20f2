"""The book's interactive pictures, each a pure function of its sliders: values in, a figure out.

A module here holds one `Scene`: the function that draws, and the sliders that move it.
`bopkit.book.widgets` shows it three ways: with a live kernel, in a page without one, and without
JavaScript. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import importlib

from bopkit.book.pictures.scene import Scene

# In the order of the book.
NAMES = (
    "two_rules",
    "xnor",
    "staircase",
    "inertia",
    "derivation",
    "signals",
    "gamma_tau",
    "second_moment",
    "precision",
    "diagnosis",
    "batch",
    "edge",
    "votes",
    "ties",
)

__all__ = ["NAMES", "Scene", "get"]


def get(name: str) -> Scene:
    """The scene of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in NAMES:
        raise ValueError(f"there is no picture {name!r}; there are: {', '.join(NAMES)}.")
    return importlib.import_module(f"{__name__}.{name}").SCENE
