"""Draw the interactive pictures of the book, each by a pure function of its sliders' values.

A module here holds one `Scene`, which is the function that draws and the sliders that move it.
`bopkit.book.widgets` shows a scene in three ways: with a live kernel, in a page without a kernel,
and without JavaScript. Nothing here imports TensorFlow.

Attributes:
    NAMES: the names of the pictures, in the order of the book. "two_rules", "xnor", "staircase"
        and "inertia" lead to Bop. "derivation", "signals", "gamma_tau" and "second_moment" explain
        Bop and Bop2ndOrder. The pages on practice show "precision", "diagnosis", "batch", "edge",
        "votes" and "ties".
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
    """Load the scene of a name.

    Args:
        name: one of `NAMES`.

    Returns:
        The `Scene`.

    Raises:
        ValueError: there is no such picture.

    Example:
        >>> [slider.name for slider in get("gamma_tau").sliders]
        ['gamma', 'threshold', 'schedule']
    """
    if name not in NAMES:
        raise ValueError(f"there is no picture {name!r}; there are: {', '.join(NAMES)}.")
    return importlib.import_module(f"{__name__}.{name}").SCENE
