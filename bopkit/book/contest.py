"""Show how rules for binary weights compare: in a table, in a sentence and in a chart.

Attributes:
    RULES: a `Rule` for each experiment that can be compared, by its name. Latent weights have
        "binarynet/default", "binarynet/latent_sec52" and "binarynet/leaking". Flip rules have
        "binarynet/bop", "binarynet/bop_threshold", "binarynet/bop_sec52" and
        "binarynet/bop2ndorder". "real" is the same network with real-valued weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bopkit import records
from bopkit._support.text import markdown, number
from bopkit.book.comparison import SEEDS, Comparison, compare, mean_interval
from bopkit.book.style import GRID, INK, MUTED, SEQUENCE, STYLE, new_figure
from bopkit.experiments import METHODS, methods
from bopkit.records import tables


class Rule(NamedTuple):
    """Hold what tables and figures call a rule, and its colour.

    Attributes:
        label: the name.
        colour: as CSS writes it.

    Example:
        >>> RULES["binarynet/bop"].label
        'Bop at τ = 0'
    """

    label: str
    colour: str


# By the experiment that the records of CIFAR-10 name; one rule was trained on the digits alone.
RULES: dict[str, Rule] = {
    "binarynet/default": Rule("latent weights with Adam", METHODS["latent"].colour),
    "binarynet/latent_sec52": Rule("latent weights with Adam", METHODS["latent"].colour),
    "binarynet/leaking": Rule("leaking latent weights", METHODS["leaking"].colour),
    "binarynet/bop": Rule("Bop at τ = 0", METHODS["bop"].colour),
    "binarynet/bop_threshold": Rule("Bop at τ > 0", SEQUENCE[1]),
    "binarynet/bop_sec52": Rule("Bop by the paper's schedule", SEQUENCE[0]),
    "binarynet/bop2ndorder": Rule("Bop2ndOrder", METHODS["bop2ndorder"].colour),
    # Not a rule for binary weights: the same network without quantizers, for scale
    "real": Rule("real-valued weights", MUTED),
}

# By rule, by seed: a score in percent.
Scores = Mapping[str, Mapping[int, float]]


def scores(runs: Iterable[dict]) -> dict[str, dict[int, float]]:
    """Read the last epoch's accuracy, in percent, from the records of complete runs.

    Args:
        runs: run records. Runs that are not complete, and experiments that `RULES` does not have,
            are left out.

    Returns:
        The scores by experiment, in the order of `RULES`, and by seed.

    Example:
        >>> found = scores(bopkit.records.collect("runs/digits"))
        >>> {name: list(by_seed) for name, by_seed in found.items()}
        {'binarynet/bop': [0]}
    """
    found: dict[str, dict[int, float]] = {}
    for run in runs:
        if run["status"] == "completed":
            found.setdefault(run["experiment"], {})[run["seed"]] = 100 * records.final(run)
    return {name: found[name] for name in RULES if name in found}


def markdown_table(
    found: Scores,
    against: str = "binarynet/default",
    *,
    beside: tuple[str, Scores] | None = None,
) -> str:
    """Tabulate rules, best first: mean score, its interval, and the difference to one of the rules.

    Args:
        found: as `scores` returns it.
        against: the experiment of the rule that the others are compared with.
        beside: the name of a second score, and that score of the same rules and seeds. It has two
            more columns, its mean and its difference, and decides neither verdict nor order.

    Returns:
        Markdown; numbers are aligned at the decimal point, and the best mean is bold.

    Example:
        >>> first, second = {0: 91.0, 1: 92.0, 2: 93.0}, {0: 90.0, 1: 91.0, 2: 92.0}
        >>> table = markdown_table({"binarynet/bop": first, "binarynet/default": second})
        >>> print(table.splitlines()[2])
        | **Bop at τ = 0** | ahead | 3 | **92.00** | ± 2.48 | +1.00 ± 0.00 |
    """
    rows = []
    for name in _ranked(found):
        mean, half = mean_interval(np.array(list(found[name].values())))
        verdict, difference = _against(found, name, against)
        numbers = [str(len(found[name])), f"{mean:.2f}", _half(half), difference]
        if beside:
            second = beside[1]
            numbers.append(f"{np.mean(list(second[name].values())):.2f}")
            numbers.append(_against(second, name, against)[1])
        rows.append([RULES[name].label, verdict, *numbers])
    if rows:
        rows[0][0], rows[0][3] = f"**{rows[0][0]}**", f"**{rows[0][3]}**"
    other = RULES[against].label
    header = ["rule", f"compared with {other}", "seeds", "top-1 %", "95 % interval"]
    header.append("difference, points")
    if beside:
        header += [f"top-1 %, {beside[0]}", f"difference, {beside[0]}"]
    return markdown(header, rows, right=len(header) - 2)


def _against(found, name, against):
    """The verdict on a rule and its difference to another, as a table shows them."""
    if name == against or against not in found:
        return "–", "–"
    result = compare(found[name], found[against])
    if math.isnan(result.mean):
        return result.verdict, "–"
    return result.verdict, f"{result.mean:+.2f} {_half(result.half)}"


def together(found: Scores, against: str = "binarynet/default") -> str:
    """Say which verdicts on a table's rules remain when all its intervals are to hold together.

    Args:
        found: as `scores` returns it.
        against: the experiment of the rule that the others are compared with.

    Returns:
        Markdown, or an empty text if the table makes fewer than two comparisons.

    Example:
        >>> first, second = {0: 91.0, 1: 92.1, 2: 93.2}, {0: 90.0, 1: 92.1, 2: 93.2}
        >>> found = {"binarynet/bop": first, "binarynet/leaking": second}
        >>> found["binarynet/default"] = {0: 90.0, 1: 91.0, 2: 92.0}
        >>> together(found).partition("verdict is ")[2].partition(", and ")[0]
        '*ahead* for Bop at τ = 0 (+1.10 ± 0.36)'
    """
    others = [name for name in _ranked(found) if name != against] if against in found else []
    if len(others) < 2:
        return ""
    said: dict[str, list[str]] = {}
    for name in others:
        result = compare(found[name], found[against], len(others))
        numbers = f" ({result.mean:+.2f} {_half(result.half)})" if result.seeds > 1 else ""
        said.setdefault(result.verdict, []).append(f"{RULES[name].label}{numbers}")
    verdicts = [f"*{verdict}* for {' and '.join(names)}" for verdict, names in said.items()]
    return (
        f"The table makes {len(others)} comparisons with {RULES[against].label}, and each interval "
        "is for one of them. If all are to hold together with 95 % (Bonferroni's correction), the "
        f"verdict is {', and '.join(verdicts)}."
    )


def trials_table(runs: Iterable[dict], *, best: bool = False) -> str:
    """Tabulate trials by rule, best first: their settings and their last epoch's accuracy.

    Args:
        runs: records of trials. Experiments that `RULES` does not have are left out.
        best: show only the best trial of each rule.

    Returns:
        Markdown; the best trial of each rule is bold.

    Example:
        >>> print(trials_table(bopkit.records.collect("runs/digits")).splitlines()[0])
        | rule | γ | τ | σ | Adam | top-1 % |
    """
    by_rule: dict[str, list[dict]] = {}
    known = (run for run in runs if run["experiment"] in RULES)
    for run in sorted(known, key=records.final, reverse=True):
        by_rule.setdefault(run["experiment"], []).append(run)
    rates = {**{rate.symbol: name for name, rate in methods.RATES.items()}, "Adam": "learning_rate"}
    rows = []
    for name, trials in by_rule.items():
        for run in trials[: 1 if best else None]:
            settings = [tables.schedule(run["config"], key, number) for key in rates.values()]
            score = f"{100 * records.final(run):.2f}"
            score = f"**{score}**" if run is trials[0] else score
            rows.append([RULES[name].label, *settings, score])
    return tables.unbroken(markdown(["rule", *rates, "top-1 %"], rows, right=1))


def _half(half) -> str:
    return f"± {half:.2f}" if math.isfinite(half) else "–"


def _ranked(found):
    return sorted(found, key=lambda name: -np.mean(list(found[name].values())))


def sentence(found: Scores, first: str, second: str) -> str:
    """Say in one sentence which of two rules is ahead, and by how much.

    Args:
        found: as `scores` returns it.
        first: the first rule's experiment, a name of `RULES`.
        second: the second's.

    Returns:
        Markdown. If nothing is decided, the sentence says so.

    Example:
        >>> first, second = {0: 91.0, 1: 92.1, 2: 93.2}, {0: 90.0, 1: 91.0, 2: 92.0}
        >>> found = {"binarynet/bop": first, "binarynet/default": second}
        >>> sentence(found, "binarynet/bop", "binarynet/default")
        'Bop at τ = 0 is **ahead of** latent weights with Adam (+1.10 ± 0.25 points over 3 seeds).'
    """
    one, other = RULES[first].label, RULES[second].label
    if not {first, second} <= found.keys():
        return f"Whether {one} or {other} is ahead is **not yet known**: runs are missing."
    result = compare(found[first], found[second])
    if math.isnan(result.mean):
        ends = [
            f"{np.mean(list(found[name].values())):.1f} % ({n} seed{'s' * (n > 1)})"
            for name, n in ((name, len(found[name])) for name in (first, second))
        ]
        return (
            f"{one[0].upper()}{one[1:]} reached {ends[0]}, and {other} {ends[1]}. This comparison "
            "is **not decided**, because too few seeds are complete."
        )
    numbers = f"{result.mean:+.2f} ± {result.half:.2f} points over {result.seeds} seeds"
    if result.verdict == "not decided":
        missing = f", and {SEEDS} are needed" if result.seeds < SEEDS else ""
        return (
            f"Between {one} and {other} the comparison is **not decided** (the first less the "
            f"second: {numbers}{missing})."
        )
    preposition = {"ahead": "of", "behind": "", "level": "with"}[result.verdict]
    words = " ".join(filter(None, [result.verdict, preposition]))
    verb = "are" if "weights" in one else "is"
    return f"{one[0].upper()}{one[1:]} {verb} **{words}** {other} ({numbers})."


def pairs(found: Scores) -> dict[tuple[str, str], Comparison]:
    """Compare every two rules, the better mean first.

    Args:
        found: as `scores` returns it.

    Returns:
        A `Comparison` for each pair of experiments.

    Example:
        >>> list(pairs({"binarynet/default": {0: 90.0}, "binarynet/bop": {0: 91.0}}))
        [('binarynet/bop', 'binarynet/default')]
    """
    return {(a, b): compare(found[a], found[b]) for a, b in combinations(_ranked(found), 2)}


def chart(panels: Mapping[str, Scores]) -> Figure:
    """Draw every seed of every rule as a dot, and the means with their intervals.

    Args:
        panels: by title, the scores of one data set. A panel without scores is left out, and at
            least one panel must have scores.

    Returns:
        A figure with a panel for each data set, one above the other; the rules have the same order
        in each, the best of the first panel at the top.

    Example:
        >>> chart({"CIFAR-10": {"binarynet/bop": {0: 91.0, 1: 92.0}}}).description
        'Top-1 of every seed. Means: CIFAR-10: Bop at τ = 0 91.5 %'
    """
    panels = {title: found for title, found in panels.items() if found}
    names = _ranked(next(iter(panels.values())))
    names += [
        name for name in RULES if name not in names and any(name in p for p in panels.values())
    ]
    shown = {title: [name for name in names if name in p] for title, p in panels.items()}
    with mpl.rc_context(STYLE):
        height = sum(0.42 * len(rules) + 0.9 for rules in shown.values()) + 0.5
        ratios = [len(rules) + 1 for rules in shown.values()]
        figure, axes = new_figure(5.6, height, len(panels), squeeze=False, height_ratios=ratios)
        for axis, (title, rules) in zip(axes[:, 0], shown.items(), strict=True):
            for row, name in enumerate(rules):
                values = np.array(list(panels[title][name].values()))
                _row(axis, row, values, RULES[name].colour)
            axis.set(title=title, xlabel="top-1 (%)", ylim=(len(rules) - 0.5, -0.5))
            axis.set_yticks(range(len(rules)), [RULES[name].label for name in rules])
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="y", visible=False)
        figure.supxlabel(
            "One dot per seed; bars: the mean and its 95 % interval", fontsize=9, color=MUTED
        )
    figure.description = "Top-1 of every seed. Means: " + "; ".join(
        f"{title}: "
        + ", ".join(
            f"{RULES[n].label} {np.mean(list(found[n].values())):.1f} %" for n in _ranked(found)
        )
        for title, found in panels.items()
    )
    return figure


def _row(axis, row, values, colour):
    axis.axhline(row, color=GRID, linewidth=0.8, zorder=0)
    # Dots of equal height would hide each other.
    spread = 0.24 * np.linspace(-1, 1, len(values)) if len(values) > 3 else np.zeros(len(values))
    mean, half = mean_interval(values)
    if np.isfinite(half):
        axis.plot([mean - half, mean + half], [row, row], color=INK, linewidth=2)
    axis.plot([mean], [row], "|", markersize=14, markeredgewidth=2, color=INK)
    # Above the line, which would hide them.
    dots = {"markersize": 6, "alpha": 0.8 if len(values) <= 3 else 0.55, "markeredgewidth": 0}
    axis.plot(values, row + spread, "o", color=colour, zorder=3, **dots)
