"""Check section 5.1's claims about γ and τ against the runs of its two sweeps.

The rule was written down before the runs, in `results/cifar10/PROTOCOL.md`: a claim is a statistic
of one seed, and the 95 % interval of its mean over the seeds decides.

Attributes:
    SEEDS: with fewer seeds, no claim is decided.
    EPOCHS: with a run of fewer epochs, no claim is decided.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from bopkit._support.text import markdown, number
from bopkit.book.comparison import mean_interval
from bopkit.experiments.methods import RATES
from bopkit.training.variations import fixed_value

# With fewer seeds or fewer epochs every claim is not decided.
SEEDS, EPOCHS = 3, 20


class Claim(NamedTuple):
    """Hold a claim of the paper, the verdict of a sweep, and the numbers behind the verdict.

    Attributes:
        claim: the claim, as a sentence.
        verdict: "holds", "does not hold" or "not decided".
        evidence: the numbers.

    Example:
        >>> Claim("A higher γ flips more weights", "holds", "8 % at 1e-2, 1 % at 1e-3").verdict
        'holds'
    """

    claim: str
    verdict: str
    evidence: str


def check(records: Iterable[dict], comparisons: int = 1) -> list[Claim]:
    """Decide the claims of section 5.1 on the runs of its two sweeps.

    Args:
        records: complete run records that differ in γ, in τ and in their seed. A claim about γ
            compares the runs at the τ of that sweep, and a claim about τ those at the γ of the
            other (`bopkit.training.variations.fixed_value`), seed by seed.
        comparisons: as in `bopkit.book.comparison.mean_interval`. The protocol has no correction.

    Returns:
        Nine claims. A claim holds if the 95 % interval of its statistic lies above zero, does not
        hold if the interval lies below, and is not decided otherwise. With fewer than three seeds
        no claim is decided. If a run has fewer than 20 epochs, no claim is decided either.

    Example:
        >>> runs = bopkit.records.collect("runs/digits")
        >>> {claim.verdict for claim in check(runs)}  # one run decides nothing
        {'not decided'}
    """
    records = [record for record in records if record["epochs"]]
    short = any(len(record["epochs"]) < EPOCHS for record in records)
    claims = []
    for field, fixed, word in (("gamma", "threshold", "higher"), ("threshold", "gamma", "lower")):
        line = _line(records, field, fixed)
        values = sorted(line, reverse=word == "lower")  # the last should flip most
        if len(values) < 2:  # no sweep, so its numbers would be those of the other one
            values = []
        symbol, most = RATES[field].symbol, f"{word[:-2]}est"
        for statistic in _STATISTICS:
            levels = {f"at {number(v)}": _each(line[v], statistic.level) for v in values}
            text = statistic.claim.format(word=word, most=most, symbol=symbol)
            claims.append(_decide(statistic._replace(claim=text), levels, short, comparisons))
    zero = _line(records, "threshold", "gamma").get(0.0, {})
    quarters = {"in the second quarter": (1 / 4, 1 / 2), "in the last": (3 / 4, 1)}
    levels = {
        name: _each(zero, functools.partial(_accuracy, start=start, end=end))
        for name, (start, end) in quarters.items()
    }
    return [*claims, _decide(_DETERIORATION, levels, short, comparisons)]


def _line(records, field, fixed):
    """The runs of the sweep of `field`: by their value of `field`, by their seed."""
    records = [r for r in records if None not in (r["config"].get(field), r["config"].get(fixed))]
    line = defaultdict(dict)
    if records:
        at = fixed_value(records, field, fixed)
        for record in records:
            if record["config"][fixed] == at:
                line[record["config"][field]][record["seed"]] = record
    return line


def _each(runs, level):
    return {seed: level(run) for seed, run in runs.items()}


def _percent(run, key, start=0.0, end=1.0):
    """A column of a run's epochs in percent, from one share of the run to another."""
    values = [row.get(key) for row in run["epochs"]]
    part = values[int(start * len(values)) : max(1, int(end * len(values)))]
    return 100 * np.array(part, float)  # NaN where a value is missing


def _accuracy(run, start, end):
    return _percent(run, "val_accuracy", start, end).mean()


def _noise(run):
    changes = np.abs(np.diff(_percent(run, "val_accuracy", 1 / 2)))
    return changes.mean() if changes.size else 0.0


def _points(value):
    return f"{value:.1f} points"


def _percentage(value):
    return f"{value:.1f} %"


def _points_apart(mean, half):
    return f"{mean:+.2f} ± {half:.2f} points"


class _Statistic(NamedTuple):
    """How a claim about a rate is decided.

    Attributes:
        claim: its text.
        level: the number of one run that it compares.
        compare: takes these numbers, of shape (settings, seeds), from the setting that should flip
            least to the one that should flip most; returns what should be above zero, of shape
            (comparisons, seeds).
        form: how a level is shown.
        span: how the interval of a comparison is shown, from its mean and half its width.
    """

    claim: str
    level: Callable
    compare: Callable
    form: Callable = _percentage
    span: Callable = _points_apart


_STATISTICS = (
    _Statistic(
        "A {word} {symbol} flips more weights",
        lambda run: _percent(run, "flip_ratio").mean(),
        lambda x: np.log(x[1:] / x[:-1]),
        lambda value: f"{number(float(f'{value:.2g}'))} %",
        lambda mean, half: f"{np.exp(mean - half):.3g} to {np.exp(mean + half):.3g} times",
    ),
    _Statistic(
        "The {most} {symbol} learns fastest at first (training top-1, epoch 1)",
        lambda run: _percent(run, "accuracy")[0],
        lambda x: x[-1:] - x[:-1].max(0),
    ),
    _Statistic(
        "The {most} {symbol} is the noisiest (mean change of validation top-1 from epoch to epoch, "
        "second half)",
        _noise,
        lambda x: x[-1:] - x[:-1].max(0),
        _points,
    ),
    _Statistic(
        "The {most} {symbol} ends on a lower plateau (validation top-1, last quarter)",
        lambda run: _accuracy(run, 3 / 4, 1),
        lambda x: x[:-1].max(0) - x[-1:],
    ),
)
_DETERIORATION = _Statistic(
    "At τ = 0 validation accuracy deteriorates over time", _accuracy, lambda x: x[:1] - x[1:]
)


def _decide(statistic, levels: Mapping[str, Mapping[int, float]], short, comparisons):
    """A claim's verdict, from the levels of each setting by seed."""
    shown = ", ".join(
        f"{statistic.form(np.mean(list(of.values())))} {name}" for name, of in levels.items() if of
    )
    seeds = sorted(set.intersection(*map(set, levels.values()))) if len(levels) > 1 else []
    if len(seeds) < 2:
        return Claim(statistic.claim, "not decided", shown or "no runs yet")
    with np.errstate(all="ignore"):  # a setting without a flip: not a number, and not decided
        x = statistic.compare(np.array([[of[seed] for seed in seeds] for of in levels.values()]))
        mean, half = mean_interval(x, comparisons)
    verdict = "not decided"
    if not short and len(seeds) >= SEEDS:
        if (mean - half > 0).all():
            verdict = "holds"
        elif (mean + half < 0).any():
            verdict = "does not hold"
    spans = [
        statistic.span(m, h) if np.isfinite([m, h]).all() else "–"
        for m, h in zip(mean, half, strict=True)
    ]
    return Claim(statistic.claim, verdict, f"{shown}; {', '.join(spans)}")


def markdown_table(claims: Iterable[Claim]) -> str:
    """Tabulate claims, verdicts and evidence as Markdown.

    Args:
        claims: as `check` returns them.

    Returns:
        Markdown; one line per claim.

    Example:
        >>> print(markdown_table([Claim("A higher γ flips more weights", "holds", "8 %, 1 %")]))
        | the paper says | here | measured |
        | --- | --- | --- |
        | A higher γ flips more weights | **holds** | 8 %, 1 % |
    """
    rows = [[c.claim, f"**{c.verdict}**", c.evidence] for c in claims]
    return markdown(["the paper says", "here", "measured"], rows)
