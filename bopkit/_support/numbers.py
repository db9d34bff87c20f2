"""Tell whole numbers from anything else; NumPy's count, and truth values do not."""

from __future__ import annotations

import numbers

from bopkit.errors import ConfigError


def is_whole(value: object) -> bool:
    """Tell whether a value is a whole number, Python's or NumPy's.

    Example:
        >>> is_whole(3), is_whole(3.0), is_whole(True)
        (True, False, False)
    """
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_whole(name: str, value: object, least: int) -> int:
    """Refuse a value that is not a whole number or is too small.

    Args:
        name: what the message calls the value.
        value: the value.
        least: the smallest that is allowed.

    Returns:
        The value as Python's own integer, which JSON can hold.

    Raises:
        ConfigError: the value is out of range, or is not a whole number.

    Example:
        >>> check_whole("jobs", 2, least=1)
        2
    """
    if not (is_whole(value) and value >= least):
        raise ConfigError(f"{name} must be a whole number of at least {least}; got {value!r}.")
    return int(value)
