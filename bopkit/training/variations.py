"""List the runs of a sweep, which changes one hyperparameter at a time.

Attributes:
    SECTION_51: the values of section 5.1's two sweeps, which `vary` takes: "gamma" is 1e-2, 1e-3
        and 1e-4, and "threshold" is 0, 1e-6 and 1e-5. Start from "binarynet/bop", so that the other
        rate keeps the paper's value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bopkit import experiments
from bopkit.errors import ConfigError
from bopkit.experiments import Experiment

# Section 5.1: γ at τ = 1e-6, and τ at γ = 1e-3, which are the settings of binarynet/bop.
SECTION_51 = {"gamma": (1e-2, 1e-3, 1e-4), "threshold": (0.0, 1e-6, 1e-5)}


def vary(
    experiment: Experiment, lines: Mapping[str, Iterable[object]], seeds: Iterable[int] = (0,)
) -> dict[str, tuple[Experiment, int]]:
    """List the runs of a sweep that changes one hyperparameter at a time.

    Args:
        experiment: the settings to start from.
        lines: for each hyperparameter, the values that it takes while the others keep theirs.
        seeds: the seeds; `sweep.sweep` trains every setting once with each.

    Returns:
        An experiment and its seed, by a name that says what was varied. A setting that occurs for
        several hyperparameters is listed once.

    Raises:
        ConfigError: as `bopkit.experiments.override`.

    Example:
        >>> base = bopkit.experiments.get("binarynet/bop")
        >>> runs = vary(base, {"gamma": [1e-2, 1e-3]}, seeds=range(2))
        >>> list(runs)
        ['gamma-0.01_seed0', 'gamma-0.01_seed1', 'gamma-0.001_seed0', 'gamma-0.001_seed1']
    """
    settings, seeds = {}, list(seeds)
    for field, values in lines.items():
        if isinstance(values, str):  # papermill's -p hands a list over as it was typed
            values = _split(values)
        if not isinstance(values, list | tuple | set | range) or not values:
            raise ConfigError(
                f"the values of {field} must be a list, such as [0.01, 0.001]; got "
                f"{lines[field]!r}."
            )
        for value in values:
            changed = experiments.override(experiment, {field: value})
            settings["_".join(f"{key}-{_text(getattr(changed, key))}" for key in lines)] = changed
    return {f"{name}_seed{s}": (e, s) for name, e in settings.items() for s in seeds}


def fixed_value(records: Iterable[Mapping], vary: str, fixed: str) -> object:
    """Find where a sweep of one hyperparameter holds another one fixed.

    Runs of several sweeps may be mixed, and a sweep may be unfinished. So it is the value at which
    the varied hyperparameter takes the most values, and among equals the most frequent one.

    Args:
        records: run records; at least one.
        vary: the hyperparameter that is varied, such as "gamma".
        fixed: the one that stays, such as "threshold".

    Returns:
        A value of `fixed`.

    Example:
        >>> pairs = [(1e-2, 1e-6), (1e-2, 1e-6), (1e-3, 1e-6), (1e-3, 0.0)]
        >>> records = [{"config": {"gamma": g, "threshold": t}} for g, t in pairs]
        >>> fixed_value(records, "threshold", "gamma")
        0.001
    """
    found: dict[object, list[object]] = {}
    for record in records:
        found.setdefault(record["config"][fixed], []).append(record["config"][vary])
    return max(found, key=lambda value: (len(set(found[value])), len(found[value])))


def _text(value):
    """A value as a part of a folder's name: short, and different for different values."""
    if not isinstance(value, int | float):
        return str(value).lower()
    if value == 0:
        return "0"  # -0.0 too
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _split(text: str) -> list[str]:
    """A list that was typed, with brackets or without, as its parts."""
    return [part.strip() for part in text.strip("[]() ").split(",") if part.strip()]


def parse_lines(texts: Iterable[str] | None) -> dict[str, list[str]]:
    """Read texts of the form ``K=V,V,V``, one per ``--vary`` on the command line.

    Raises:
        ConfigError: a text has no ``=`` or no value, or a key comes twice.
    """
    lines = {}
    for text in texts or ():
        key, _, values = text.partition("=")
        key = key.strip()
        if key in lines:
            raise ConfigError(
                f"--vary names {key} twice; name it once, with all its values, as K=V,V,V."
            )
        lines[key] = _split(values)
        if not (key and lines[key]):
            raise ConfigError(f"--vary takes K=V,V,V, such as gamma=1e-2,1e-3; got {text!r}.")
    return lines
