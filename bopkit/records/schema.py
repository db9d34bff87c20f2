"""Check run records: a typed model of what they may hold, and a reader that trusts no file.

A record may come from anyone: a pull request, a download, a disk that failed. So it is read as
data and nothing else, and what the tables and figures rely on is checked once, here.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import ConfigDict, Field, JsonValue

from bopkit._support.text import printable
from bopkit.errors import RecordError
from bopkit.experiments import methods
from bopkit.rules import ranges

# 500 epochs take 200 KB.
LARGEST = 64 * 2**20
# JavaScript's and many a JSON reader's largest whole number.
_LARGEST_COUNT = 2**53

_Text = Annotated[str, Field(max_length=10_000)]
_Line = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
# Training computes in float32, so that a rate or a loss may be as large as that holds.
_Number = Annotated[float, Field(ge=-ranges.LARGEST, le=ranges.LARGEST)]
_Measured = Annotated[float, Field(ge=0, le=_LARGEST_COUNT)]
_Count = Annotated[int, Field(ge=0, le=_LARGEST_COUNT)]
_Positive = Annotated[_Count, Field(ge=1)]
_Share = Annotated[float, Field(ge=0, le=1)] | None
_Kinds = {float: _Number, int: _Count, bool: bool, str: _Line}


class _Open(pydantic.BaseModel):
    """Fields of exactly their type, and further ones of the type that a subclass gives."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Config(_Open):
    """Hold what every table and figure needs, and what else may be there."""

    __pydantic_extra__: dict[str, JsonValue]
    method: Literal[tuple(methods.METHODS)]
    epochs: _Positive
    holdout: _Count
    train_examples: _Count
    validation_examples: _Count
    filters: _Count | None
    learning_rate: _Number | None
    learning_rate_end: _Number | None = None
    learning_rate_decay_rate: _Number | None = None
    learning_rate_decay_epochs: _Positive | None = None
    network: _Line = ""
    dataset: _Line = ""
    batch_size: _Positive = 1
    seed: _Count = 0
    dense_units: _Count | None = None

    @pydantic.model_validator(mode="after")
    def _has_its_rates(self):
        for rate in methods.METHODS[self.method].rates:
            if rate.name not in self.model_fields_set:
                raise ValueError(f"{rate.name} is missing, which {self.method} has")
        return self


class Row(_Open):
    """One epoch. A loss that was not finite is null."""

    __pydantic_extra__: dict[str, _Number | None]
    epoch: _Positive
    seconds: _Measured
    images_per_second: _Measured | None = None
    accuracy: _Share = None
    top_5_accuracy: _Share = None
    val_accuracy: _Share = None
    val_top_5_accuracy: _Share = None
    flip_ratio: _Share = None
    max_flip_ratio: _Share = None


class Warned(pydantic.BaseModel):
    """What was wrong with an epoch of a run that continued."""

    model_config = ConfigDict(strict=True, extra="forbid")
    epoch: _Positive
    message: _Line


class Start(_Open):
    """One start of a run: when, after what, by which code, on what machine."""

    __pydantic_extra__: dict[str, JsonValue]
    from_epoch: _Count
    git_commit: _Line | None
    versions: dict[str, _Line]
    hardware: dict[str, JsonValue]
    from_step: _Count = 0
    time: _Line = ""


class Record(_Open):
    """A run record; `error` and `warnings` are in those that have something to say.

    `git_commit`, `versions` and `hardware` are those of the start that began with the first epoch;
    `starts` has every start's, in records that are new enough.
    """

    __pydantic_extra__: dict[str, JsonValue]  # what later versions may add
    experiment: _Line
    config: pydantic.create_model(
        "Config",
        __base__=_Config,
        **{field: (_Kinds[kind] | None, None) for field, kind in methods.FIELDS.items()},
    )
    dataset: _Line
    seed: _Count
    command: _Text
    git_commit: _Line | None
    versions: dict[str, _Line]
    hardware: dict[str, JsonValue]
    status: Literal["running", "completed", "failed"]
    epochs: Annotated[list[Row], Field(max_length=1_000_000)]
    final: dict[str, _Number | None] | None
    error: _Text = ""
    warnings: Annotated[list[Warned], Field(max_length=1_000_000)] = []
    starts: Annotated[list[Start], Field(max_length=1_000_000)] = []

    @pydantic.model_validator(mode="after")
    def _agrees_with_itself(self):
        rows, config = self.epochs, self.config
        if any(row.epoch != number for number, row in enumerate(rows, 1)):
            raise ValueError("the rows of epochs are not numbered 1, 2, 3 and so on")
        if len(rows) > config.epochs:
            raise ValueError(f"it has {len(rows)} epochs, and config.epochs is {config.epochs}")
        if any(warning.epoch > len(rows) for warning in self.warnings):
            raise ValueError(f"it has {len(rows)} epochs, and a warning of a later one")
        if "seed" in config.model_fields_set and config.seed != self.seed:
            raise ValueError(f"seed is {self.seed}, and config.seed is {config.seed}")
        if self.status == "completed":
            self._is_complete()
        return self

    def _is_complete(self):
        if len(self.epochs) < self.config.epochs:
            raise ValueError(
                f"it is completed with {len(self.epochs)} of {self.config.epochs} epochs"
            )
        last = self.epochs[-1].model_dump(exclude_unset=True)
        if self.final is None or self.final.get("val_accuracy") is None:
            raise ValueError("it is completed, and final has no val_accuracy")
        for name, value in self.final.items():
            if name not in last or last[name] != value:
                raise ValueError(f"final.{name:.80} is not that of the last epoch")


def read_json(path: Path) -> object:
    """Read strict JSON: no NaN, no key twice, nothing that is not text in UTF-8.

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
        raise RecordError(
            f"{path} is not a run record: it holds an incomplete character."
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecordError):
            raise
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RecordError(f"{path} is not a run record: it is not JSON ({reason}).") from error
    return value


def check(record: object, path: Path) -> dict:
    """Return the record itself, if it is one.

    Raises:
        RecordError: something is missing, of another type or out of range, or the record
            contradicts itself.
    """
    if not isinstance(record, dict):
        raise RecordError(f"{path} is not a run record: it holds a {type(record).__name__}.")
    try:
        Record.model_validate(record)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        reason = printable(f"{place[1:]}: {message}" if place else message)
        if len(reason) > 300:
            reason = f"{reason[:200]} ... {reason[-80:]}"
        raise RecordError(f"{path} is not a run record: {reason}.") from None
    return record


def _refuse(constant):
    raise ValueError(f"{constant} is not a JSON number")


def _finite_float(text):
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large")
    return number


def _no_key_twice(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
        raise ValueError(f"the key {twice!r} occurs twice")
    return found
