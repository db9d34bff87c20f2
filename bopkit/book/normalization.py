"""Show what the lag of batch normalization costs on CIFAR-10, from what was measured."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
from IPython.display import Markdown

from bopkit._support.text import markdown, number
from bopkit.book import comparison, contest, evidence

RULES = {"bop": "binarynet/bop", "latent": "binarynet/default"}  # of section 5.2, by method


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


def table51() -> Markdown:
    """Tabulate section 5.1's settings with both accuracies, as means over the seeds."""
    found = defaultdict(list)
    for row in measured("section51"):
        found[row["gamma"], row["threshold"]].append((row["recorded"], row["fitted"]))
    if not found:
        return evidence.nothing()
    rows = []
    for (gamma, threshold), pairs in sorted(found.items(), reverse=True):
        recorded, fitted = 100 * np.mean(pairs, axis=0)
        numbers = (f"{value:.1f}" for value in (recorded, fitted, fitted - recorded))
        rows.append([number(gamma), number(threshold), str(len(pairs)), *numbers])
    header = ["γ", "τ", "seeds", "top-1 %, recorded", "recalibrated", "lag, points"]
    return Markdown(markdown(header, rows, right=4))


def finding52() -> Markdown:
    """Say what the lag is in section 5.2, and whether it explains a part of the distance."""
    lag, fitted = defaultdict(dict), defaultdict(dict)
    for row in measured("section52"):
        fitted[row["method"]][row["seed"]] = 100 * row["fitted"]
        lag[row["method"]][row["seed"]] = 100 * (row["fitted"] - row["recorded"])
    if not lag:
        return evidence.nothing()
    said = [
        f"{contest.RULES[RULES[method]].label} ends at {_mean(fitted[method])} % with recalibrated "
        f"averages, which is {_mean(lag[method])} points above the recorded accuracy "
        f"({_seeds(lag[method])})"
        for method in RULES
        if method in lag
    ]
    text = " and ".join(said) + "."
    if len(lag) < len(RULES):
        return Markdown(f"{text} Without runs of the other rule, nothing is decided.")
    of_lag = comparison.compare(lag["bop"], lag["latent"])
    verdict = {
        "ahead": "the lag **explains a part of the distance**",
        "not decided": "whether the lag explains a part of the distance is **not decided**",
    }.get(of_lag.verdict, "the lag **explains no part of the distance**")
    sentence = contest.sentence({RULES[m]: fitted[m] for m in RULES}, *RULES.values())
    return Markdown(
        f"{text} By the protocol, {verdict} (Bop's lag is greater by {of_lag.mean:+.2f} "
        f"± {of_lag.half:.2f} points). With recalibrated averages: {sentence}"
    )


def _mean(by_seed):
    return f"{np.mean(list(by_seed.values())):.1f}"


def _seeds(by_seed):
    return f"{len(by_seed)} seed{'s' if len(by_seed) > 1 else ''}"
