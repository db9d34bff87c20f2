"""What a run record may hold, as a JSON schema, and a reader that trusts no file.

A record may come from anyone: a pull request, a download, a disk that failed. So it is read as
data and nothing else, and what the tables and figures rely on is checked once, here.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import fastjsonschema

from bopkit.errors import RecordError
from bopkit.experiments import METHODS
from bopkit.experiments.methods import RATES

STATUSES = ("running", "completed", "failed")

# 500 epochs take 200 KB.
LARGEST = 64 * 2**20
# JavaScript's and many a JSON reader's largest whole number.
_LARGEST_NUMBER = 2**53

_TEXT = {"type": "string", "maxLength": 10_000}
_LINE = {"type": "string", "maxLength": 1000, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*\Z"}
_NUMBER = {"type": "number", "minimum": -_LARGEST_NUMBER, "maximum": _LARGEST_NUMBER}
_COUNT = {"type": "integer", "minimum": 0, "maximum": _LARGEST_NUMBER}
_SCALAR = {"anyOf": [_TEXT, _NUMBER, {"type": ["boolean", "null"]}]}


def _nested(depth: int) -> dict:
    """Text, numbers, and lists and objects of them, so many levels deep."""
    if depth == 0:
        return _SCALAR
    inner = _nested(depth - 1)
    kinds = [{"type": "array", "items": inner}, {"type": "object", "additionalProperties": inner}]
    return {"anyOf": [*_SCALAR["anyOf"], *kinds]}


def _or_null(schema: dict) -> dict:
    return {"anyOf": [schema, {"type": "null"}]}


_SIZES = ("train_examples", "validation_examples")
_RATES = ("gamma", "threshold", "learning_rate")
_CONFIG = {
    "type": "object",
    "properties": {
        "network": _LINE,
        "method": {"enum": list(METHODS)},
        "dataset": _LINE,
        "epochs": _COUNT | {"minimum": 1},
        "batch_size": _COUNT | {"minimum": 1},
        "seed": _COUNT,
        "holdout": _COUNT,
        "train_examples": _COUNT,
        "validation_examples": _COUNT,
        "filters": _or_null(_COUNT),
        "dense_units": _or_null(_COUNT),
        "gamma_decay_epochs": _or_null(_COUNT),
        **{
            f"{rate}{key}": _or_null(_NUMBER)
            for rate in {**RATES, "learning_rate": None}
            for key in ("", "_end", "_decay_rate")
        },
    },
    # What every table and figure asks for.
    "required": ["method", "epochs", "holdout", "filters", *_SIZES, *_RATES],
    "additionalProperties": _nested(1),
}
_ROW = {
    "type": "object",
    "properties": {"epoch": _COUNT | {"minimum": 1}, "seconds": _NUMBER | {"minimum": 0}},
    "required": ["epoch", "seconds"],
    "additionalProperties": _or_null(_NUMBER),  # a loss that was not finite is null
}
_WARNING = {
    "type": "object",
    "properties": {"epoch": _COUNT | {"minimum": 1}, "message": _LINE},
    "required": ["epoch", "message"],
    "additionalProperties": False,
}
RECORD = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "experiment": _LINE,
        "config": _CONFIG,
        "dataset": _LINE,
        "seed": _COUNT,
        "command": _TEXT,
        "git_commit": _or_null(_LINE),
        "versions": {"type": "object", "additionalProperties": _LINE},
        "hardware": {"type": "object", "additionalProperties": _nested(1)},
        "status": {"enum": list(STATUSES)},
        "epochs": {"type": "array", "items": _ROW, "maxItems": 1_000_000},
        "final": _or_null({"type": "object", "additionalProperties": _or_null(_NUMBER)}),
        # Not in every record: why a failed run failed, and what was wrong with one that did not.
        "error": _TEXT,
        "warnings": {"type": "array", "items": _WARNING, "maxItems": 1_000_000},
    },
    "required": [
        "experiment", "config", "dataset", "seed", "command", "git_commit", "versions",
        "hardware", "status", "epochs", "final",
    ],
    "additionalProperties": _nested(4),  # what later versions may add
}  # fmt: skip
_validate = fastjsonschema.compile(RECORD, use_default=False)


def read_json(path: Path) -> object:
    """Reads strict JSON: no NaN, no key twice, nothing that is not text in UTF-8.

    Args:
        path: an ordinary file.

    Returns:
        What it holds.

    Raises:
        RecordError: it cannot be read, or is not such a file.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never end
            raise RecordError(f"{path} is not a run record: it is not a file.")
        if (size := path.stat().st_size) > LARGEST:
            raise RecordError(f"{path} is not a run record: {size:,} bytes is too large for one.")
        text = path.read_text(encoding="utf-8")
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_finite_float, object_pairs_hook=_no_key_twice
        )
        json.dumps(value, ensure_ascii=False).encode()  # half a character, as "\ud800" gives
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeEncodeError as error:
        raise RecordError(f"{path} is not a run record: it holds half a character.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecordError):
            raise
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RecordError(f"{path} is not a run record: it is not JSON ({reason}).") from error
    return value


def check(record: object, path: Path) -> dict:
    """The record itself, if it is one.

    Raises:
        RecordError: something is missing, of another type or out of range.
    """
    if not isinstance(record, dict):
        raise RecordError(f"{path} is not a run record: it holds a {type(record).__name__}.")
    try:
        return _validate(record)
    except fastjsonschema.JsonSchemaValueException as error:
        # data.epochs[0].seconds must be ...; what the file holds, without its control characters
        reason = repr(" ".join(error.message.removeprefix("data").lstrip(".").split()))[1:-1]
        if len(reason) > 300:
            reason = f"{reason[:200]} ... {reason[-80:]}"
        raise RecordError(f"{path} is not a run record: {reason}.") from None


def _refuse(constant):
    raise ValueError(f"{constant} is no number of JSON's")


def _finite_float(text):
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large")
    return number


def _no_key_twice(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return found
