"""Make tables from run records and settings, as text, without TensorFlow.

Attributes:
    COLUMNS: the columns of `markdown_table`, in order. The settings are "experiment", "data",
        "filters", "precision" and "epochs". The rates are "γ", "τ", "σ" and "Adam", which is Adam's
        learning rate. The results are "n", "top-1 %" and "seconds", and "n" is the number of runs.
    METHOD_NAMES: what tables call the methods "bop", "bop2ndorder", "latent" and "leaking".
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from bopkit import experiments, records
from bopkit._support.text import markdown, number, plain, printable
from bopkit.errors import ConfigError, unknown
from bopkit.experiments import cost, methods

METHOD_NAMES = {name: method.label for name, method in experiments.METHODS.items()}

# A column for each rate of any method, and the field that it shows.
_RATES = {rate.symbol: rate.name for rate in methods.RATES.values()} | {"Adam": "learning_rate"}

COLUMNS = (
    *("experiment", "data", "filters", "precision", "epochs"),
    *(*_RATES, "n", "top-1 %", "seconds"),
)


def rows(runs: Iterable[dict], form: Callable[[float], str] = plain) -> list[dict[str, str]]:
    """Group the runs that differ only in their seed, and sum each group up as text.

    Args:
        runs: run records.
        form: how the rates are written: `number` or `plain` of `bopkit._support.text`.

    Returns:
        One dictionary per group, with the keys `COLUMNS` and "method". "top-1 %" is the validation
        accuracy of the last epoch: its mean ± standard deviation over the n runs of the group.
        "seconds" is the mean time to train. "epochs" reads 2/10 for a run that is not complete.

    Example:
        >>> runs = bopkit.records.collect("runs/digits")
        >>> row = rows(runs)[0]
        >>> row["experiment"], row["data"], row["epochs"], row["γ"], row["n"]
        ('binarynet/bop', 'digits', '2', '0.001', '1')
    """
    return [_row(group, form) for group in records.group_by_seed(runs)]


def _row(group, form):
    record, config = group[0], group[0]["config"]
    done, seconds = len(record["epochs"]), [sum(e["seconds"] for e in r["epochs"]) for r in group]
    return {
        "experiment": record["experiment"],
        "method": METHOD_NAMES.get(config["method"], config["method"]),
        "data": record["dataset"] + (" (held out)" if config["holdout"] else ""),
        "filters": str(config["filters"] or "–"),
        "precision": str(config.get("precision") or "–").removeprefix("mixed_"),
        "epochs": str(done) if done == config["epochs"] else f"{done}/{config['epochs']}",
        **_schedules(config, form),
        "n": str(len(group)),
        "top-1 %": mean_and_deviation([100 * records.final(r) for r in group]),
        "seconds": f"{statistics.fmean(seconds):,.0f}",
    }


def _schedules(config, form):
    return {heading: schedule(config, rate, form) for heading, rate in _RATES.items()}


def mean_and_deviation(values: Iterable[float]) -> str:
    """Write the mean of some numbers, ± their standard deviation if there are several.

    Example:
        >>> mean_and_deviation([75.0, 85.0])
        '80.00 ± 7.07'
    """
    values = list(values)
    mean = statistics.fmean(values)
    if math.isnan(mean):
        return "–"
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


def schedule(config: dict, key: str, form: Callable[[float], str] = plain) -> str:
    """Write one rate of a configuration: its value, or how it changes over the run.

    Args:
        config: fields of an experiment, by name.
        key: the rate, such as "gamma".
        form: how its numbers are written.

    Example:
        >>> schedule({"gamma": 1e-4, "gamma_end": 1e-6}, "gamma")
        '0.0001 → 1e-06'
    """
    start, end = config.get(key), config.get(f"{key}_end")
    if start is None:
        return "–"
    if end is not None:
        return f"{form(start)} → {form(end)}"
    if config.get(f"{key}_decay_rate"):
        every = config.get(f"{key}_decay_epochs")
        epochs = "per epoch" if every == 1 else f"every {every} epochs"
        return f"{form(start)}, ×{form(config[f'{key}_decay_rate'])} {epochs}"
    return form(start)


def escape(text: str) -> str:
    r"""Escape text from a record, so that Markdown shows it unchanged on one line.

    Args:
        text: anything, because a record may come from anyone.

    Returns:
        Markdown without markup and without HTML.

    Example:
        >>> escape("a | b")
        'a \\| b'
    """
    text = printable(text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]{}|$~])", r"\\\1", text)
    text = re.sub(r"^([#+=-])|^(\d+)([.)])(?=\s|$)", r"\2\\\1\3", text)  # headings and lists
    # Within a word an underscore is no markup; and an address that is not a link gets no colon.
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    return re.sub(r"(?<=[A-Za-z]):(?=\S)|@", lambda m: f"&#{ord(m[0])};", text)


def code_block(text: str, language: str = "console") -> str:
    """Put text from a record into a Markdown block of code that the text cannot end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def markdown_table(runs: Iterable[dict], columns: Iterable[str] = COLUMNS) -> str:
    """Tabulate run records as Markdown.

    Args:
        runs: run records.
        columns: which of `COLUMNS` to show, such as "experiment", "γ" and "top-1 %". "method" is a
            column too: the method's name.

    Returns:
        Markdown; a header, and one line per group of runs that differ only in their seed.

    Raises:
        ConfigError: `columns` is empty, or names a column that does not exist.

    Example:
        >>> runs = bopkit.records.collect("runs/digits")
        >>> print(markdown_table(runs, ["method", "data", "epochs", "n"]))
        | method | data | epochs | n |
        | --- | --- | --- | --- |
        | Bop | digits | 2 | 1 |
    """
    columns, known = list(columns), (*COLUMNS, "method")
    if not columns:
        raise ConfigError(f"columns must name at least one of: {', '.join(known)}.")
    for column in columns:
        if column not in known:
            raise ConfigError(unknown("column", column, known))
    lines = ([escape(row[c]) for c in columns] for row in rows(runs, number))
    return markdown(columns, lines, right=int(columns[-1] == "top-1 %"))


def unbroken(table: str) -> str:
    """Keep each cell with an arrow, a spread or a factor on one line of the page.

    Args:
        table: as `markdown_table` writes it.

    Returns:
        The same table, with those cells in a span of the class ``nowrap``.
    """
    whole = re.compile(r"(?<=\| )([^|`]*(?: → | ± |, ×)[^|`]*?)(?= \|)")
    return whole.sub(r'<span class="nowrap">\1</span>', table)


def settings_table(chosen: Iterable[experiments.Experiment]) -> str:
    """Tabulate the settings of some experiments side by side, as Markdown.

    Args:
        chosen: the experiments.

    Returns:
        Markdown; one column per experiment, and one row per setting that one of them has.

    Example:
        >>> print(settings_table([bopkit.experiments.get("birealnet/default")]))
        |  | `birealnet/default` |
        | --- | --- |
        | method | latent |
        | epochs | 300 |
        | batch size | 1024 |
        | precision | chosen for the CPU |
        | Adam's learning rate | 0.0025 → 5×10⁻⁶ |
    """
    configs = [vars(experiment) for experiment in chosen]
    fields = ("method", "epochs", "batch_size", "filters", "dense_units")
    rows = [
        [field.replace("_", " "), *(str(config[field] or "–") for config in configs)]
        for field in fields
        if any(config[field] for config in configs)
    ]
    rows.append(["precision", *(config["precision"] or "chosen for the CPU" for config in configs)])
    rows += [
        [f"{heading}'s learning rate" if heading == "Adam" else heading]
        + [schedule(config, rate, number) for config in configs]
        for heading, rate in _RATES.items()
        if any(config[rate] is not None for config in configs)
    ]
    return markdown(["", *(f"`{config['name']}`" for config in configs)], rows)


def results_table(runs: Iterable[dict], paper: Mapping[str, Sequence[float]], data: str) -> str:
    """Tabulate by method what the paper reports, what was measured and what was not run.

    Args:
        runs: run records.
        paper: the paper's accuracy in percent, top-1 or top-1 and top-5, by method: "bop",
            "bop2ndorder", "latent" or "leaking". The table leaves out runs of other methods.
        data: the name of the paper's data set, as the table shows it.

    Returns:
        Markdown; one line per group of runs that differ only in their seed, and one line for each
        method without runs.

    Example:
        >>> print(results_table([], {"bop": [91.3]}, "C10"))
        | method | paper, C10: top-1 % | measured here: top-1 % | n | data | epochs | not yet run |
        | --- | --- | --- | --- | --- | --- | --- |
        | Bop | 91.3 | – | – | – | – | C10, the paper's setting |
    """
    groups = {method: [] for method in paper}
    for group in records.group_by_seed(runs):
        if (method := group[0]["config"]["method"]) in groups:
            groups[method].append(group)
    keys = ("val_accuracy", "val_top_5_accuracy")[: max(map(len, paper.values()))]
    top = "top-1 / top-5 %" if len(keys) == 2 else "top-1 %"
    header = ["method", f"paper, {data}: {top}", f"measured here: {top}", "n", "data", "epochs"]
    lines = []
    for method, reported in paper.items():
        run = any(is_paper_run(record) for group in groups[method] for record in group)
        for group in groups[method] or [[]]:
            line = [METHOD_NAMES[method], " / ".join(f"{value:.1f}" for value in reported)]
            line += _measured(group, keys) if group else ["–"] * 4
            lines.append([*line, "–" if run else f"{data}, the paper's setting"])
    return markdown([*header, "not yet run"], lines)


def _measured(group, keys):
    row, images = _row(group, plain), group[0]["config"]["train_examples"]
    tops = (
        mean_and_deviation(100 * records.final(record, key) for record in group) for key in keys
    )
    return [" / ".join(tops), row["n"], f"{escape(row['data'])}, {images:,} images", row["epochs"]]


def is_paper_run(record: dict) -> bool:
    """Tell whether a run is complete, has a paper's settings unchanged, and used all the data.

    Args:
        record: a run's record.

    Returns:
        True if the run meets these three conditions and computed in float32, as the papers did.

    Example:
        >>> is_paper_run(bopkit.records.read("runs/digits"))
        False
    """
    row, config = experiments.EXPERIMENTS.get(record["experiment"]), record["config"]
    return (
        row is not None
        and record["status"] == "completed"
        # The papers computed in float32; the rows leave the precision to the machine.
        and all(config.get(k) == v for k, v in (vars(row) | {"precision": "float32"}).items())
        and (config["train_examples"], config["validation_examples"])
        == cost.DATASETS[row.dataset][:2]
    )


def experiment_rows(form: Callable[[float], str] = plain) -> list[dict[str, str]]:
    """List the papers' settings as text.

    Args:
        form: how the rates are written: `number` or `plain` of `bopkit._support.text`.

    Returns:
        One dictionary per experiment: its name, its method as a name of
        `bopkit.experiments.METHODS`, its data, epochs, batch size and rates.

    Example:
        >>> row = experiment_rows()[0]
        >>> row["experiment"], row["method"], row["its data"], row["epochs"]
        ('binarynet/default', 'latent', 'cifar10', '100')
    """
    return [
        {
            "experiment": e.name,
            "method": e.method,
            "its data": e.dataset,
            "epochs": str(e.epochs),
            "batch": str(e.batch_size),
            **_schedules(vars(e), form),
        }
        for e in experiments.EXPERIMENTS.values()
    ]
