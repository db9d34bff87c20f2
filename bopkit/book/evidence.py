"""Show the committed records of each section of the paper, on the page of that section."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from IPython.display import Markdown

from bopkit import records
from bopkit._support.text import markdown, number
from bopkit.book import HOW_TO_GET, REPOSITORY, comparison, contest, figures
from bopkit.experiments import METHODS
from bopkit.records import tables

RESULTS = REPOSITORY / "results"


def collect(*parts: str) -> list[dict]:
    """Read the complete runs below a folder of `results/`; none where it is not there."""
    folder = Path(RESULTS, *parts)
    found = records.collect(folder) if folder.is_dir() else []
    return [run for run in found if run["status"] == "completed"]


def last_epochs(runs: Iterable[dict], epochs: int) -> dict[int, float]:
    """Average the top-1 of each run over its last epochs.

    The accuracy of one epoch can jump by several points, so the mean of some compares runs better.

    Args:
        runs: records of complete runs, one per seed.
        epochs: the number of epochs to average; a shorter run is averaged over what it has.

    Returns:
        Percentages by seed.
    """
    return {
        run["seed"]: 100 * statistics.fmean(row["val_accuracy"] for row in run["epochs"][-epochs:])
        for run in runs
    }


def _by_precision(epochs):
    """The scores of Bop at τ = 0 in float32, and in bfloat16."""
    parts = [collect("cifar10", part) for part in ("precision", "section52")]
    return [
        last_epochs((run for run in runs if run["experiment"] == "binarynet/bop"), epochs)
        for runs in parts
    ]


def mean_and_each(by_seed: Mapping[int, float], digits: int = 2) -> str:
    """Write the mean of some scores, and in brackets the scores.

    Args:
        by_seed: the scores.
        digits: of each number after the point.

    Example:
        >>> mean_and_each({0: 70.0, 1: 72.0})
        '71.00 (70.00, 72.00)'
    """
    if not by_seed:
        return "–"
    mean = f"{statistics.fmean(by_seed.values()):.{digits}f}"
    each = ", ".join(f"{by_seed[seed]:.{digits}f}" for seed in sorted(by_seed))
    return f"{mean} ({each})" if len(by_seed) > 1 else mean


def precision_table():
    """Tabulate Bop's accuracy at τ = 0 on CIFAR-10 in float32 and in bfloat16, seed by seed."""
    rows = []
    for epochs, name in {10: "mean of the last ten epochs", 1: "last epoch"}.items():
        scores = _by_precision(epochs)
        if not all(scores):
            return nothing()
        result = comparison.compare(*scores)
        rows.append([name, *map(mean_and_each, scores), f"{result.mean:+.2f} ± {result.half:.2f}"])
    header = ["top-1 %: mean (each seed)", "float32", "mixed_bfloat16", "difference, points"]
    return Markdown(markdown(header, rows, right=3))


def precision_finding():
    """Say in a sentence or two what bfloat16 costs in accuracy on CIFAR-10."""
    scores = _by_precision(10)  # the protocol's statistic
    result = comparison.compare(*scores)
    if result.seeds < comparison.SEEDS or math.isinf(result.half):
        return Markdown("What bfloat16 costs in accuracy is **not yet known**: runs are missing.")
    low, high = result.mean - result.half, result.mean + result.half
    difference = f"{result.mean:+.2f} ± {result.half:.2f} points over {result.seeds} seeds"
    if low > 0:
        said = f"float32 is **ahead of** bfloat16 ({difference})."
    elif high < 0:
        said = f"bfloat16 is **ahead of** float32 ({difference})."
    else:
        said = (
            f"**no loss in bfloat16 is shown** (float32 − bfloat16: {difference}), and the "
            f"interval excludes a loss of more than {math.ceil(100 * high) / 100:.2f} points."
        )
    return Markdown(f"In the mean of the last ten epochs, {said}")


def _section52():
    """The complete runs on CIFAR-10 by a rule that can be compared; anybody may add others."""
    runs = collect("cifar10", "section52")
    return [run for run in runs if run["experiment"] in contest.RULES]


def section52():
    """Draw every seed of every rule on CIFAR-10, once two rules can be compared."""
    found = contest.scores(_section52())
    return contest.chart({"BinaryNet on CIFAR-10": found}) if len(found) > 1 else nothing()


def scores52() -> tuple[dict[str, dict[int, float]], dict[str, dict[int, float]]]:
    """Read two scores of the long runs on CIFAR-10: the last epoch, and the mean of the last ten.

    Returns:
        Percentages by experiment and seed. The protocol decides by the first.
    """
    runs = _section52()
    found = contest.scores(runs)
    of = {name: [run for run in runs if run["experiment"] == name] for name in found}
    return found, {name: last_epochs(some, 10) for name, some in of.items()}


def table52():
    """Tabulate the rules on CIFAR-10 by both scores, and say how sure all verdicts are together."""
    found, lasting = scores52()
    if len(found) < 2:
        return nothing()
    table = contest.markdown_table(found, beside=("last ten epochs", lasting))
    return Markdown(f"{table}\n\n{contest.together(found)}")


def finding52():
    """Say in a few sentences what the long runs on CIFAR-10 show."""
    found, lasting = scores52()
    if len(found) < 2:
        return nothing()
    rules = [name for name in ("binarynet/bop_sec52", "binarynet/bop") if name in found]
    latent = "binarynet/default"
    said, reasons = [], ""
    for name in rules:
        # The second is another score than the protocol's, and may give another verdict.
        both = [
            comparison.compare(each[name], each[latent])
            for each in (found, lasting)
            if latent in each
        ]
        if {one.verdict for one in both} != {"ahead", "behind"}:
            said.append(contest.sentence(found, name, latent))
            continue
        last, ten = (f"{abs(o.mean):.2f} ± {o.half:.2f} points {o.verdict}" for o in both)
        label = contest.RULES[name].label
        others = len(found) - 1
        corrected = {
            comparison.compare(each[name], each[latent], others).verdict
            for each in (found, lasting)
        }
        neither = f", and neither survives a correction for {others} comparisons"
        said.append(
            f"Whether {label} or latent weights are better is **open**. Bop is {last} in the last "
            f"epoch and {ten} in the mean of the last ten epochs"
            f"{neither if corrected == {'not decided'} else ''}."
        )
        reasons = (
            "The learning rate of latent weights still falls in the last ten epochs, which may be "
            "why the score matters. "
        )
    said = " ".join(said)
    reasons += (
        "The paper reports 91.3 % for Bop by its schedule and 90.9 % for latent weights, at its "
        "full width and in 500 epochs. We have not run that, so we neither confirm nor refute the "
        "paper."
    )
    return Markdown(f"{said}\n\n{reasons}")


def section52_curves():
    """Draw accuracy and flip ratio of every rule on CIFAR-10, or say that there are no records."""
    runs = _section52()
    if len({run["experiment"] for run in runs}) < 2:
        return nothing()
    return figures.training_curves(runs, line=lambda run: contest.RULES[run["experiment"]])


def settled52():
    """Say how many weights each rule on CIFAR-10 still flips in its last epoch."""
    shares: dict[str, list[float]] = {}
    for run in _section52():
        shares.setdefault(run["experiment"], []).append(run["epochs"][-1]["flip_ratio"])
    if len(shares) < 2:
        return nothing()
    means = {name: 100 * sum(values) / len(values) for name, values in shares.items()}
    ranked = sorted(means, key=means.get, reverse=True)
    parts = [
        f"{number(float(f'{means[name]:.2g}'))} % under {contest.RULES[name].label}"
        for name in ranked
    ]
    parts[0] = parts[0].replace("% ", "% of the binary weights ", 1)
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}"
    return Markdown(f"In the last epoch, an average step flips {listed}.")


# As the paper's table orders them.
IMAGENET_NETWORKS = {
    "binary_alexnet": "Binary AlexNet",
    "xnornet": "XNOR-Net",
    "birealnet": "Bi-Real Net",
}


def _section53():
    """The complete runs on photographs of ImageNet, by network of the paper."""
    runs = collect("imagenet")
    found = {
        title: [run for run in runs if run["config"]["network"] == network]
        for network, title in IMAGENET_NETWORKS.items()
    }
    return {title: some for title, some in found.items() if some}


def section53_curves():
    """Draw accuracy by epoch of each network on ten classes of ImageNet."""
    found = _section53()
    return figures.network_curves(found) if found else nothing()


def section53_table():
    """Tabulate the last epoch of each network and method on ten classes of ImageNet."""
    rows = []
    for title, runs in _section53().items():
        for group in records.group_by_seed(runs):
            config = group[0]["config"]
            side = config["image_size"]
            scores = [
                tables.mean_and_deviation(100 * records.final(run, key) for run in group)
                for key in ("val_accuracy", "val_top_5_accuracy")
            ]
            rows.append([title, METHODS[config["method"]].label, f"{side}x{side}", *scores])
    if not rows:
        return nothing()
    return Markdown(markdown(["network", "method", "images", "top-1 %", "top-5 %"], rows, right=2))


def nothing():
    """Say that there are no records to show, and how to get them where they are elsewhere."""
    if not RESULTS.is_dir():
        return Markdown(f"The records are not beside the package bopkit; {HOW_TO_GET}")
    return Markdown("Too few runs of this section are complete to compare them.")
