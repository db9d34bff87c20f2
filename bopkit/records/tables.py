"""Tables made from run records and settings, as text. No TensorFlow here."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from bopkit import experiments, records
from bopkit._text import number, plain
from bopkit.experiments import cost

METHOD_NAMES = {name: method.label for name, method in experiments.METHODS.items()}

COLUMNS = (
    "experiment",
    "data",
    "filters",
    "epochs",
    "γ",
    "τ",
    "σ",
    "Adam",
    "n",
    "top-1 %",
    "seconds",
)


def rows(runs: Iterable[dict], form: Callable[[float], str] = plain) -> list[dict[str, str]]:
    """Group the runs that differ in their seed alone, and sum each group up as text.

    Args:
        runs: run records.
        form: how γ, τ, σ and Adam's learning rate are written, of `bopkit._text`.

    Returns:
        One dictionary a group, keys as in `COLUMNS`. "top-1 %" is the last epoch's validation
        accuracy, its mean ± standard deviation over the group's n runs; "seconds" the mean
        time to train; "epochs" reads 2/10 for a run that is not complete.
    """
    return [_row(group, form) for group in records.group_by_seed(runs)]


def _row(group, form=plain):
    record, config = group[0], group[0]["config"]
    done, seconds = len(record["epochs"]), [sum(e["seconds"] for e in r["epochs"]) for r in group]
    return {
        "experiment": record["experiment"],
        "data": record["dataset"] + (" (held out)" if config["holdout"] else ""),
        "filters": str(config["filters"] or "–"),
        "epochs": str(done) if done == config["epochs"] else f"{done}/{config['epochs']}",
        "γ": schedule(config, "gamma", form),
        "τ": schedule(config, "threshold", form),
        "σ": schedule(config, "sigma", form),
        "Adam": schedule(config, "learning_rate", form),
        "n": str(len(group)),
        "top-1 %": mean_and_deviation([100 * records.final(r) for r in group]),
        "seconds": f"{statistics.fmean(seconds):,.0f}",
    }


def mean_and_deviation(values: Iterable[float]) -> str:
    """The mean of some numbers as text, ± their standard deviation where there are several."""
    values = list(values)
    mean = statistics.fmean(values)
    if math.isnan(mean):
        return "–"
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


def schedule(config: dict, key: str, form: Callable[[float], str] = plain) -> str:
    """A rate of a configuration as text, its numbers in `form`: its value, or how it falls."""
    start, end = config.get(key), config.get(f"{key}_end")
    if start is None:
        return "–"
    if end is not None:
        return f"{form(start)} → {form(end)}"
    if config.get(f"{key}_decay_rate"):
        every = config[f"{key}_decay_epochs"]
        epochs = "epoch" if every == 1 else f"{every} epochs"
        return f"{form(start)}, ×{form(config[f'{key}_decay_rate'])} every {epochs}"
    return form(start)


def escape(text: str) -> str:
    """Text from a record as Markdown that shows it as it is: no markup, no HTML, one line.

    Args:
        text: anything; a record may come from anyone.
    """
    text = "".join(c if c.isprintable() else " " for c in " ".join(str(text).split()))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]{}|$~])", r"\\\1", text)
    text = re.sub(r"^([#+=-])|^(\d+)([.)])(?=\s|$)", r"\2\\\1\3", text)  # headings and lists
    # Within a word an underscore is no markup; and an address that is not a link gets no colon.
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    return re.sub(r"(?<=[A-Za-z]):(?=\S)|@", lambda m: f"&#{ord(m[0])};", text)


def code_block(text: str, language: str = "console") -> str:
    """Text from a record as a Markdown block of code, which it cannot end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def markdown_table(runs: Iterable[dict], columns: Iterable[str] = COLUMNS) -> str:
    """The rows of some records as a Markdown table.

    Args:
        runs: run records.
        columns: which of `COLUMNS` to show.

    Returns:
        Markdown; a header and one line a group of runs.
    """
    columns = list(columns)
    lines = [columns, ["---"] * len(columns)]
    lines += [[escape(row[column]) for column in columns] for row in rows(runs, number)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def unbroken(table: str) -> str:
    """A Markdown table whose numbers with an arrow, a spread or a factor stay on one line.

    Args:
        table: as `markdown_table` writes it.

    Returns:
        The same, with those cells in a span of the class ``nowrap``.
    """
    whole = re.compile(r"(?<=\| )([^|`]*(?: → | ± |, ×)[^|`]*?)(?= \|)")
    return whole.sub(r'<span class="nowrap">\1</span>', table)


def settings_table(experiments: Iterable) -> str:
    """The settings of some experiments side by side, as a Markdown table.

    Args:
        experiments: each a `bopkit.experiments.Experiment`.

    Returns:
        Markdown; one column an experiment, one row a setting that one of them has.
    """
    configs = [vars(experiment) for experiment in experiments]
    rates = {"gamma": "γ", "threshold": "τ", "sigma": "σ", "learning_rate": "Adam's learning rate"}
    counts = ("method", "epochs", "batch_size", "filters", "dense_units", "precision")
    table = [["", *(f"`{config['name']}`" for config in configs)]]
    table.append(["---"] * len(table[0]))
    table += [
        [name.replace("_", " "), *(str(c[name] or "–") for c in configs)]
        for name in counts
        if any(c[name] for c in configs)
    ]
    table += [
        [title, *(schedule(c, rate, number) for c in configs)]
        for rate, title in rates.items()
        if any(c[rate] for c in configs)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in table)


def results_table(runs: Iterable[dict], paper: Mapping[str, Sequence[float]], data: str) -> str:
    """What the paper reports, what some runs measured and what was not run, by method.

    Args:
        runs: run records.
        paper: the paper's accuracy in percent, by method (a name of `METHOD_NAMES`): top-1, or
            top-1 and top-5.
        data: the paper's data set, as its readers call it.

    Returns:
        A Markdown table; one line a group of runs that differ in their seed alone, and one for
        a method without runs.
    """
    groups = {method: [] for method in paper}
    for group in records.group_by_seed(runs):
        groups[group[0]["config"]["method"]].append(group)
    keys = ("val_accuracy", "val_top_5_accuracy")[: max(map(len, paper.values()))]
    top = "top-1 / top-5 %" if len(keys) == 2 else "top-1 %"
    lines = [["method", f"paper, {data}: {top}", f"measured here: {top}", "n", "data", "epochs"]]
    lines = [[*lines[0], "not yet run"], ["---"] * 7]
    for method, reported in paper.items():
        run = any(is_paper_run(record) for group in groups[method] for record in group)
        for group in groups[method] or [[]]:
            line = [METHOD_NAMES[method], " / ".join(f"{value:.1f}" for value in reported)]
            line += _measured(group, keys) if group else ["–"] * 4
            lines.append([*line, "–" if run else f"{data}, the paper's setting"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _measured(group, keys):
    row, images = _row(group), group[0]["config"]["train_examples"]
    tops = (
        mean_and_deviation(100 * records.final(record, key) for record in group) for key in keys
    )
    return [" / ".join(tops), row["n"], f"{escape(row['data'])}, {images:,} images", row["epochs"]]


def is_paper_run(record: dict) -> bool:
    """Whether a run is complete, of the paper's settings as they stand, on all the data."""
    row, config = experiments.EXPERIMENTS.get(record["experiment"]), record["config"]
    return (
        row is not None
        and record["status"] == "completed"
        and all(config.get(key) == value for key, value in vars(row).items())
        and (config["train_examples"], config["validation_examples"])
        == cost.DATASETS[row.dataset][:2]
    )


def experiment_rows(form: Callable[[float], str] = plain) -> list[dict[str, str]]:
    """The papers' settings, a row an experiment: name, data, epochs, batch, and rates in `form`."""
    rates = {"γ": "gamma", "τ": "threshold", "σ": "sigma", "Adam": "learning_rate"}
    return [
        {
            "experiment": e.name,
            "its data": e.dataset,
            "epochs": str(e.epochs),
            "batch": str(e.batch_size),
            **{heading: schedule(vars(e), rate, form) for heading, rate in rates.items()},
        }
        for e in experiments.EXPERIMENTS.values()
    ]
