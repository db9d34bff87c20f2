"""Check how much of a set is asked for. No TensorFlow here."""

from __future__ import annotations

import numpy as np

from bopkit.errors import DataError


def check_examples(argument: str, wanted: int | None, available: int) -> int:
    """How many examples to take: all, or as many as wanted if there are so many."""
    if wanted is None:
        return available
    if not (is_whole(wanted) and 1 <= wanted <= available):
        raise DataError(
            f"{argument} must be between 1 and the {available} there are, not {wanted!r}."
        )
    return wanted


def check_holdout(name: str, holdout: int, available: int) -> None:
    """Refuses to hold out more training examples than leave one to train on."""
    if not (is_whole(holdout) and 0 <= holdout < available):
        raise DataError(
            f"holdout must be at least 0 and below the {available} training examples of {name}, "
            f"not {holdout!r}."
        )


def is_whole(value) -> bool:
    """Whether a value is a whole number, which true and false are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
