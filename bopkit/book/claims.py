"""Section 5.1's claims about γ and τ, as checks on the curves of a sweep."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

from bopkit._text import number

# What must lie between two numbers before one counts as the larger: percentage points of
# accuracy, and a ratio of flip ratios. Smaller differences are noise between seeds.
POINTS = 0.5
RATIO = 1.1


class Claim(NamedTuple):
    """A claim of the paper, what a sweep says of it, and the numbers."""

    claim: str
    verdict: str  # "holds", "does not hold" or "not decided"
    evidence: str


def check(records: Iterable[dict]) -> list[Claim]:
    """Hold the claims of section 5.1 against the runs of its two sweeps.

    Args:
        records: complete run records that differ in γ, in τ and in their seed.

    Returns:
        One `Claim` each. A claim about γ is checked where τ is the one that most runs share,
        and the other way round; with fewer than two values it is not decided.
    """
    records = list(records)
    claims = []
    for field, symbol, other, faster in (
        ("gamma", "γ", "threshold", "higher"),
        ("threshold", "τ", "gamma", "lower"),
    ):
        line = _line(records, field, other)
        # from the setting that should flip least to the one that should flip most
        line = sorted(line.items(), reverse=faster == "lower")
        claims += _claims_on(line, symbol, faster)
    claims.append(_deterioration(_line(records, "threshold", "gamma").get(0.0)))
    return claims


def _line(records, field, other):
    """The runs along one axis of the sweep, by its value."""
    fixed = statistics.mode(r["config"][other] for r in records)
    line = {}
    for record in records:
        if record["config"][other] == fixed:
            line.setdefault(record["config"][field], []).append(record)
    return line


def _claims_on(line, symbol, faster):
    def claim(text, verdict, numbers, form):
        shown = ", ".join(
            f"{form.format(n)} at {number(v)}" for (v, _), n in zip(line, numbers, strict=True)
        )
        return Claim(text, verdict if len(line) > 1 else "not decided", shown)

    flips = [_mean(runs, "flip_ratio", slice(None)) for _, runs in line]
    ratios = [b / a if a else float(b > 0) * RATIO * 2 for a, b in itertools.pairwise(flips)]
    if all(r > RATIO for r in ratios):
        verdict = "holds"
    else:
        verdict = "does not hold" if any(r < 1 / RATIO for r in ratios) else "not decided"
    shares = [number(float(f"{100 * ratio:.2g}")) for ratio in flips]
    claims = [claim(f"A {faster} {symbol} flips more weights", verdict, shares, "{} %")]

    start = [100 * _mean(runs, "accuracy", slice(0, 1)) for _, runs in line]
    claims.append(
        claim(
            f"The {faster[:-2]}est {symbol} learns fastest at first (training top-1, epoch 1)",
            _larger(start[-1], _best_of_others(start)),
            start,
            "{:.1f} %",
        )
    )
    noise = [100 * statistics.fmean(map(_noise, runs)) for _, runs in line]
    claims.append(
        claim(
            f"The {faster[:-2]}est {symbol} is the noisiest (mean change of validation top-1 "
            "from epoch to epoch, second half)",
            _larger(noise[-1], _best_of_others(noise)),
            noise,
            "{:.1f} points",
        )
    )
    end = [100 * _mean(runs, "val_accuracy", _last_quarter(runs)) for _, runs in line]
    claims.append(
        claim(
            f"The {faster[:-2]}est {symbol} ends on a lower plateau (validation top-1, last "
            "quarter)",
            _larger(_best_of_others(end), end[-1]),
            end,
            "{:.1f} %",
        )
    )
    return claims


def _deterioration(runs):
    text = "At τ = 0 validation accuracy deteriorates over time"
    if not runs:
        return Claim(text, "not decided", "no run with τ = 0")
    length = len(runs[0]["epochs"])
    early = 100 * _mean(runs, "val_accuracy", slice(length // 4, length // 2 + 1))
    late = 100 * _mean(runs, "val_accuracy", _last_quarter(runs))
    shown = f"{early:.1f} % in the second quarter, {late:.1f} % in the last"
    return Claim(text, _larger(early, late), shown)


def _mean(runs, key, part):
    return statistics.fmean(_value(row, key) for run in runs for row in run["epochs"][part])


def _value(row, key):
    return math.nan if row.get(key) is None else row[key]


def _best_of_others(values):
    return max(values[:-1], default=values[-1])


def _noise(run):
    values = [_value(row, "val_accuracy") for row in run["epochs"]][len(run["epochs"]) // 2 :]
    changes = [abs(b - a) for a, b in itertools.pairwise(values)]
    return statistics.fmean(changes) if changes else 0.0


def _last_quarter(runs):
    return slice(-max(1, len(runs[0]["epochs"]) // 4), None)


def _larger(one, other):
    if one - other > POINTS:
        return "holds"
    return "does not hold" if other - one > POINTS else "not decided"


def markdown_table(claims: Iterable[Claim]) -> str:
    """Claims, verdicts and evidence as a Markdown table."""
    lines = ["| the paper says | here | measured |", "| --- | --- | --- |"]
    lines += [f"| {c.claim} | **{c.verdict}** | {c.evidence} |" for c in claims]
    return "\n".join(lines)
