"""Read single values of experiments: seeds, and hyperparameters that may be text."""

from __future__ import annotations

import types
import typing

from bopkit._support.numbers import is_whole
from bopkit.errors import ConfigError


def check_seed(seed: object) -> int:
    """Refuse a value that cannot be a seed.

    Args:
        seed: the value.

    Returns:
        The seed, as Python's own integer.

    Raises:
        ConfigError: `seed` is not a whole number from 0 to 2147483647.

    Example:
        >>> bopkit.experiments.check_seed(-1)
        Traceback (most recent call last):
        bopkit.errors.ConfigError: seed must be a whole number from 0 to 2147483647; got -1.
    """
    if not (is_whole(seed) and 0 <= seed < 2**31):
        raise ConfigError(f"seed must be a whole number from 0 to 2147483647; got {seed!r}.")
    return int(seed)


def parse_hparams(text: str) -> dict[str, str]:
    """Read hyperparameters from text of the form ``k=v,k=v``, as the command line takes them.

    Args:
        text: the pairs, with commas between them.

    Returns:
        The values by name, as text; `override` converts them.

    Raises:
        ConfigError: a part has no ``=``, or a key comes twice.

    Example:
        >>> bopkit.experiments.parse_hparams("epochs=3,gamma=1e-3")
        {'epochs': '3', 'gamma': '1e-3'}
    """
    pairs = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, equals, value = (s.strip() for s in part.partition("="))
        if not (key and equals and value):
            raise ConfigError(
                f"--hparams takes k=v,k=v, such as epochs=3,gamma=1e-3; got {part!r}."
            )
        if key in pairs:
            raise ConfigError(f"--hparams names {key} twice.")
        pairs[key] = value
    return pairs


def coerce(field: str, value: object, hint: object) -> object:
    """Convert a value to its field's type.

    Args:
        field: the field's name, for the message.
        value: a value of that type, or text that spells one; None or "none" where the field may be
            empty.
        hint: the field's type: bool, int, float, str, or one of them or None. A value of any other
            type is returned as it is.

    Returns:
        The value.

    Raises:
        ConfigError: the value is of another type.

    Example:
        >>> coerce("gamma", "1e-3", float | None), coerce("epochs", 3.0, int)
        (0.001, 3)
    """
    kinds = typing.get_args(hint) or (hint,)
    empty = value is None or (isinstance(value, str) and value == "none")
    if empty and types.NoneType in kinds:
        return None
    kind = next(kind for kind in kinds if kind is not types.NoneType)
    nouns = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if kind not in nouns:
        return value
    try:
        if kind is str:
            if not isinstance(value, str):
                raise ValueError
            return value
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if kind is int and number != int(number):
            raise ValueError
        return kind(number)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ConfigError(f"{field} must be {nouns[kind]}; got {value!r}.") from None
