"""Show what the lag of batch normalization costs on CIFAR-10, from what was measured."""

from __future__ import annotations

import json
from collections import defaultdict

from IPython.display import Markdown

from bopkit._support.text import markdown, number
from bopkit.book import comparison, contest, evidence

BOP = ("binarynet/bop", "binarynet/bop_sec52")  # the protocol's rules of section 5.2
LATENT = "binarynet/default"


def measured(part: str) -> list[dict]:
    """Read what `tools/normalization_lag.py` measured on the runs of a part of the study.

    Args:
        part: "section51" or "section52".

    Returns:
        A row for each run; none before the measurement. `recorded` is the accuracy of the last
        epoch, and `fitted` the accuracy with recalibrated averages.

    Example:
        >>> {row["filters"] for row in measured("section51")}
        {32}
    """
    path = evidence.RESULTS / "cifar10" / "normalization" / f"{part}.json"
    return list(json.loads(path.read_text("utf8"))["runs"].values()) if path.exists() else []


def scores(part: str, *keys: str) -> dict[tuple, dict[str, dict[int, float]]]:
    """Group what was measured on a part of the study by setting.

    Args:
        part: "section51" or "section52".
        keys: what tells the settings apart, such as "gamma".

    Returns:
        By the values of `keys`, as a tuple: percentages by seed, as "recorded", as "fitted", and as
        "gain", which is the difference.

    Example:
        >>> sorted(scores("section51", "gamma", "threshold")[1e-2, 1e-6]["gain"])
        [0, 1, 2]
    """
    found = defaultdict(lambda: defaultdict(dict))
    for row in measured(part):
        of_setting = found[tuple(row[key] for key in keys)]
        recorded, fitted = 100 * row["recorded"], 100 * row["fitted"]
        values = {"recorded": recorded, "fitted": fitted, "gain": fitted - recorded}
        for name, value in values.items():
            of_setting[name][row["seed"]] = value
    return {setting: dict(columns) for setting, columns in found.items()}


def table51() -> Markdown:
    """Tabulate the settings of section 5.1 with both accuracies."""
    found = scores("section51", "gamma", "threshold")
    named = {tuple(map(number, rates)): found[rates] for rates in sorted(found, reverse=True)}
    return _table(["γ", "τ"], named)


def table52() -> Markdown:
    """Tabulate the rules of section 5.2 that trained again, with both accuracies."""
    found = scores("section52", "experiment")
    rules = [name for name in (*BOP, LATENT) if (name,) in found]
    return _table(["rule"], {(contest.RULES[name].label,): found[name,] for name in rules})


def _table(names, found):
    if not found:
        return evidence.nothing()
    rows = [
        [*name, *(evidence.mean_and_each(of[key], 1) for key in ("recorded", "fitted", "gain"))]
        for name, of in found.items()
    ]
    header = [*names, "top-1 %: mean (each seed)", "recalibrated", "gain, points"]
    return Markdown(markdown(header, rows, right=3))


def finding52() -> Markdown:
    """Say whether the lag explains a part of the distances in section 5.2."""
    found = {name: of for (name,), of in scores("section52", "experiment").items()}
    if not found:
        return evidence.nothing()
    said = []
    for name in BOP:
        gains = [found[rule]["gain"] for rule in (name, LATENT) if rule in found]
        gain = comparison.compare(*gains) if len(gains) == 2 else None
        if gain is None or gain.seeds < comparison.SEEDS:
            continue
        verdict = {
            "ahead": "the lag **explains a part of the distance**",
            "not decided": "it is **not decided** whether the lag explains a part of the distance",
        }.get(gain.verdict, "the lag **explains no part of the distance**")
        fitted = {rule: found[rule]["fitted"] for rule in (name, LATENT)}
        said.append(
            f"Between {contest.RULES[name].label} and latent weights, {verdict}: recalibration "
            f"adds {gain.mean:+.2f} ± {gain.half:.2f} points more to Bop. With recalibrated "
            f"averages: {contest.sentence(fitted, name, LATENT)}"
        )
    if not said:
        runs, wanted = len(measured("section52")), 3 * comparison.SEEDS
        said = [
            f"Of the protocol's {wanted} runs, {runs} {'is' if runs == 1 else 'are'} complete. "
            f"With fewer than {comparison.SEEDS} seeds of a rule, **nothing is decided**."
        ]
    return Markdown(" ".join(said))
