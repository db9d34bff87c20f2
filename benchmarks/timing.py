"""Measuring in turn: A, B, A, B ... in one run, so that what slows the machine slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping


def in_turn(
    contestants: Mapping[str, Callable[[], float | None]], rounds: int, *, warmup: int = 2
) -> dict[str, list[float]]:
    """Run each contestant once a round, and say how long each took in each round.

    Args:
        contestants: functions by name. One that measures its own seconds returns them; one that
            returns None is measured from outside.
        rounds: how many; each begins one contestant later than the last, so that all stand in
            every place, and find their own data in the cache, equally often.
        warmup: calls of each before the first round, for what is compiled or filled once.

    Returns:
        Seconds of each round, by name.

    Raises:
        ValueError: `rounds` is below 1 or there is no contestant.
    """
    if rounds < 1 or not contestants:
        raise ValueError("give at least one contestant and one round.")
    for run in contestants.values():
        for _ in range(warmup):
            run()
    names = list(contestants)
    seconds = {name: [] for name in names}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            own = contestants[name]()
            took = time.perf_counter() - started
            seconds[name].append(took if own is None else own)
    return seconds


def summary(values: Iterable[float]) -> dict:
    """The rounds of one figure: their median, their quartiles, and themselves.

    Args:
        values: one number a round.

    Returns:
        `median`, `low` and `high` (the quartiles), `rounds` (all values, to six digits).
    """
    values = list(values)
    low, _, high = (
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * values
    )
    figures = {"median": statistics.median(values), "low": low, "high": high}
    return {k: _short(v) for k, v in figures.items()} | {"rounds": [_short(v) for v in values]}


def ratio(
    what: str,
    above: Iterable[float],
    below: Iterable[float],
    *,
    scale: float = 1.0,
    at_least: float | None = None,
    at_most: float | None = None,
) -> dict:
    """One figure: the quotient of two measurements, round by round.

    Args:
        what: the figure in words, as a page shows it.
        above: one number a round.
        below: likewise.
        scale: multiplies the quotient, where the two did different amounts of work.
        at_least: the target, where there is one.
        at_most: likewise.

    Returns:
        What `summary` returns, with `what`, and `target` where there is one.
    """
    found = {"what": what}
    found |= summary(scale * a / b for a, b in zip(above, below, strict=True))
    if at_least is not None:
        found["target"] = {"at_least": at_least}
    if at_most is not None:
        found["target"] = {"at_most": at_most}
    return found


def reached(figure: Mapping) -> bool:
    """Whether a figure's median meets its target."""
    target = figure["target"]
    if "at_least" in target:
        return figure["median"] >= target["at_least"]
    return figure["median"] <= target["at_most"]


def _short(value):
    return float(f"{value:.6g}")
