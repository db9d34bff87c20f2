"""One run is one JSON record; tables are made from records. No TensorFlow here."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from bopkit import cost, experiments
from bopkit.errors import RecordError

FILE_NAME = "run.json"
STATUSES = ("running", "completed", "failed")

METHOD_NAMES = {"bop": "Bop", "latent": "latent weights, Adam"}

# What a record must hold, and as what.
SCHEMA = {
    "experiment": str,
    "config": dict,
    "dataset": str,
    "seed": int,
    "command": str,
    "git_commit": (str, type(None)),
    "versions": dict,
    "hardware": dict,
    "status": str,
    "epochs": list,
    "final": (dict, type(None)),
}


def write(folder: str | os.PathLike, record: dict) -> Path:
    """Write a record so that a reader sees the old one or the new one, never a part.

    Args:
        folder: the run's folder; it must exist.
        record: the record; numbers that are not finite become null.

    Returns:
        The path of ``run.json``.

    Raises:
        RecordError: the file cannot be written.
    """
    path = Path(folder) / FILE_NAME
    text = json.dumps(_finite(record), indent=1, allow_nan=False) + "\n"
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".run-", suffix=".json")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RecordError(f"cannot write {path}: {error.strerror}.") from error
    return path


def read(path: str | os.PathLike) -> dict:
    """Read and check a record.

    Args:
        path: ``run.json``, or the folder that holds it.

    Returns:
        The record.

    Raises:
        RecordError: the file is missing, is not JSON, or is no record.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise RecordError(f"{path} is not a run record: it is not JSON ({error}).") from error
    if not isinstance(record, dict):
        raise RecordError(f"{path} is not a run record: it holds a {type(record).__name__}.")
    for key, kind in SCHEMA.items():
        if not isinstance(record.get(key, ...), kind):
            raise RecordError(f"{path} is not a run record: {key} is missing or of another type.")
    if record["status"] not in STATUSES:
        raise RecordError(f"{path}: status must be one of {', '.join(STATUSES)}.")
    return record


def collect(folder: str | os.PathLike) -> list[dict]:
    """Read every record below a folder, sorted by path.

    Raises:
        RecordError: the folder does not exist, or a record in it cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordError(f"there is no folder {folder}; give one that holds run.json files.")
    return [read(path) for path in sorted(folder.rglob(FILE_NAME))]


def best(record: dict, key: str = "val_accuracy") -> float:
    """The highest value of a column over a run's epochs; NaN where there is none."""
    values = [row[key] for row in record["epochs"] if row.get(key) is not None]
    return max(values, default=math.nan)


def final(record: dict, key: str = "val_accuracy") -> float:
    """A column's value in the last epoch; NaN where there is none."""
    rows = record["epochs"]
    value = rows[-1].get(key) if rows else None
    return math.nan if value is None else value


COLUMNS = ("experiment", "data", "filters", "epochs", "γ", "τ", "Adam", "n", "top-1 %", "seconds")


def rows(records: Iterable[dict]) -> list[dict[str, str]]:
    """Group the runs that differ in their seed alone, and sum each group up as text.

    Args:
        records: run records.

    Returns:
        One dictionary a group, keys as in `COLUMNS`. "top-1 %" is the last epoch's validation
        accuracy, its mean ± standard deviation over the group's n runs; "seconds" the mean
        time to train; "epochs" reads 2/10 for a run that is not complete.
    """
    return [_row(group) for group in group_by_seed(records)]


def group_by_seed(records: Iterable[dict]) -> list[list[dict]]:
    """Put together the runs that differ in their seed alone and are equally far."""
    groups = defaultdict(list)
    for record in records:
        same = {key: value for key, value in record["config"].items() if key != "seed"}
        groups[json.dumps([len(record["epochs"]), same], sort_keys=True)].append(record)
    return list(groups.values())


def _row(group):
    record, config = group[0], group[0]["config"]
    done, seconds = len(record["epochs"]), [sum(e["seconds"] for e in r["epochs"]) for r in group]
    return {
        "experiment": record["experiment"],
        "data": record["dataset"] + (" (held out)" if config["holdout"] else ""),
        "filters": str(config["filters"] or "–"),
        "epochs": str(done) if done == config["epochs"] else f"{done}/{config['epochs']}",
        "γ": schedule(config, "gamma"),
        "τ": schedule(config, "threshold"),
        "Adam": schedule(config, "learning_rate"),
        "n": str(len(group)),
        "top-1 %": mean_and_deviation([100 * final(r) for r in group]),
        "seconds": f"{statistics.fmean(seconds):,.0f}",
    }


def mean_and_deviation(values: Iterable[float]) -> str:
    """The mean of some numbers as text, ± their standard deviation where there are several."""
    values = list(values)
    mean = statistics.fmean(values)
    if math.isnan(mean):
        return "–"
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


def schedule(config: dict, key: str) -> str:
    """A rate of a configuration as text: its value, or how it falls."""
    start, end = config[key], config.get(f"{key}_end")
    if start is None:
        return "–"
    if end is not None:
        return f"{start:g} → {end:g}"
    if config.get(f"{key}_decay_rate"):
        every = config[f"{key}_decay_epochs"]
        epochs = "epoch" if every == 1 else f"{every} epochs"
        return f"{start:g}, ×{config[f'{key}_decay_rate']:g} every {epochs}"
    return f"{start:g}"


def markdown_table(records: Iterable[dict], columns: Iterable[str] = COLUMNS) -> str:
    """The rows of some records as a Markdown table.

    Args:
        records: run records.
        columns: which of `COLUMNS` to show.

    Returns:
        Markdown; a header and one line a group of runs.
    """
    columns = list(columns)
    lines = [columns, ["---"] * len(columns)]
    lines += [[row[column] for column in columns] for row in rows(records)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def settings_table(experiments: Iterable) -> str:
    """The settings of some experiments side by side, as a Markdown table.

    Args:
        experiments: each a `bopkit.experiments.Experiment`.

    Returns:
        Markdown; one column an experiment, one row a setting that one of them has.
    """
    configs = [vars(experiment) for experiment in experiments]
    rates = {"gamma": "γ", "threshold": "τ", "learning_rate": "Adam's learning rate"}
    counts = ("method", "epochs", "batch_size", "filters", "dense_units", "precision")
    table = [["", *(f"`{config['name']}`" for config in configs)]]
    table.append(["---"] * len(table[0]))
    table += [
        [name.replace("_", " "), *(str(c[name] or "–") for c in configs)]
        for name in counts
        if any(c[name] for c in configs)
    ]
    table += [[title, *(schedule(c, rate) for c in configs)] for rate, title in rates.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in table)


def results_table(records: Iterable[dict], paper: Mapping[str, Sequence[float]], data: str) -> str:
    """What the paper reports, what some runs measured and what was not run, by method.

    Args:
        records: run records.
        paper: the paper's accuracy in percent, by method ("bop", "latent"): top-1, or top-1
            and top-5.
        data: the paper's data set, as its readers call it.

    Returns:
        A Markdown table; one line a group of runs that differ in their seed alone, and one for
        a method without runs.
    """
    groups = {method: [] for method in paper}
    for group in group_by_seed(records):
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
    tops = (mean_and_deviation(100 * final(record, key) for record in group) for key in keys)
    return [" / ".join(tops), row["n"], f"{row['data']}, {images:,} images", row["epochs"]]


def is_paper_run(record: dict) -> bool:
    """Whether a run is complete, of a row of the paper's settings as it stands, on all its data."""
    row, config = experiments.EXPERIMENTS.get(record["experiment"]), record["config"]
    return (
        row is not None
        and record["status"] == "completed"
        and all(config.get(key) == value for key, value in vars(row).items())
        and (config["train_examples"], config["validation_examples"])
        == cost.DATASETS[row.dataset][:2]
    )


def versions() -> dict[str, str]:
    """The versions of what a run's numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("bopkit", "tensorflow", "tf-keras", "larq", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware() -> dict:
    """What the run runs on: processor, its cores and its bfloat16, memory in GiB."""
    found = {"machine": platform.machine(), "cores": os.cpu_count()}
    try:
        text = Path("/proc/cpuinfo").read_text()
        fields = dict(
            (part.strip() for part in line.split(":", 1))
            for line in text.splitlines()
            if ":" in line
        )
        found["processor"] = fields.get("model name", "unknown")
        flags = fields.get("flags", "").split()
        found["bfloat16"] = [f for f in ("avx512_bf16", "amx_bf16") if f in flags]
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found["memory_gib"] = round(pages / 2**30, 1)
    except (OSError, ValueError):
        found["processor"] = platform.processor() or "unknown"
    return found


def git_commit() -> str | None:
    """The commit that `bopkit` runs from, with "-dirty" where it was changed; None elsewhere."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _finite(value):
    """The same structure with null for NaN and infinity, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
