"""Show the committed records of each section of the paper, on the page of that section."""

from __future__ import annotations

from pathlib import Path

from IPython.display import Markdown

from bopkit import records
from bopkit.book import RESULTS, contest, figures


def collect(*parts: str) -> list[dict]:
    """Read the complete runs below a folder of `results/`; none where it is not there."""
    folder = Path(RESULTS, *parts)
    found = records.collect(folder) if folder.is_dir() else []
    return [run for run in found if run["status"] == "completed"]


def section51(vary: str, fixed: str):
    """Draw the sweep of one rate: on CIFAR-10, or on Fashion-MNIST where that was not yet run.

    Args:
        vary: "gamma" or "threshold".
        fixed: the other.

    Returns:
        A figure, or a sentence where there are no records.
    """
    runs = collect("cifar10", "section51") or collect("fashion_mnist", "sweep")
    if not runs:
        return _nothing()
    figure = figures.sweep_curves(runs, vary=vary, fixed=fixed)
    name = {"cifar10": "CIFAR-10 (a JPEG copy)", "fashion_mnist": "Fashion-MNIST"}
    seeds = len({run["seed"] for run in runs})
    figure.suptitle(
        f"{name[runs[0]['dataset']]}, {runs[0]['config']['filters']} filters, "
        f"{seeds} seed{'s' * (seeds > 1)}",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    return figure


def section52():
    """Draw every seed of every rule on CIFAR-10, once two rules can be compared."""
    found = contest.scores(collect("cifar10", "section52"))
    return contest.chart({"BinaryNet on CIFAR-10": found}) if len(found) > 1 else _nothing()


def finding52():
    """Say in a few sentences what the long runs on CIFAR-10 show, or what is known without them."""
    found = contest.scores(collect("cifar10", "section52"))
    if len(found) > 1:
        rivals = ("binarynet/default", "binarynet/bop_sec52")
        said = [contest.sentence(found, "binarynet/bop", rival) for rival in rivals]
        pair = [found.get(name, {}) for name in ("binarynet/bop", "binarynet/default")]
        if contest.compare(*pair).verdict == "behind":
            said.insert(
                1,
                "The paper reports the opposite for its own schedule, at the full width and after "
                "500 epochs: 91.3 % for Bop and 90.9 % for latent weights.",
            )
        return Markdown(" ".join(said))
    best: dict[str, float] = {}
    for run in collect("cifar10", "tuning"):
        name = run["experiment"]
        best[name] = max(best.get(name, 0), 100 * records.final(run))
    complete = sum(map(len, found.values()))
    verb = "is" if complete == 1 else "are"
    latent, second, zero = (
        f"{best[f'binarynet/{name}']:.1f} %" for name in ("default", "bop2ndorder", "bop")
    )
    return Markdown(
        "Whether Bop matches latent weights on CIFAR-10 is **not yet decided**: of the fifteen "
        f"long runs, {complete} {verb} complete. In the best of ten trials of five epochs, latent "
        f"weights with Adam reach {latent} on held-out images, Bop2ndOrder {second}, and Bop at "
        f"τ = 0 {zero}."
    )


def section52_curves():
    """Draw accuracy and flip ratio of every rule on CIFAR-10, or say that there are no records."""
    runs = collect("cifar10", "section52")
    if len({run["experiment"] for run in runs}) < 2:
        return _nothing()
    return figures.training_curves(runs, line=lambda run: contest.RULES[run["experiment"]])


def settled52():
    """Say how many weights each rule on CIFAR-10 still flips in its last epoch."""
    shares: dict[str, list[float]] = {}
    for run in collect("cifar10", "section52"):
        shares.setdefault(run["experiment"], []).append(run["epochs"][-1]["flip_ratio"])
    if len(shares) < 2:
        return _nothing()
    means = {name: 100 * sum(values) / len(values) for name, values in shares.items()}
    ranked = sorted(means, key=means.get, reverse=True)
    parts = [f"{means[name]:.2g} % under {contest.RULES[name].label}" for name in ranked]
    parts[0] = parts[0].replace("% ", "% of the binary weights ", 1)
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}"
    return Markdown(f"In the last epoch, an average step flips {listed}.")


def _nothing():
    return Markdown("Too few runs of this section are complete to compare them.")
