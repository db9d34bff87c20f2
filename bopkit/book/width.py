"""Show what the width of the network does to two rules on CIFAR-10, from the committed records."""

from __future__ import annotations

import statistics

from IPython.display import Markdown

from bopkit._support.text import markdown
from bopkit.book import comparison, contest, figures
from bopkit.book.evidence import collect, last_epochs, mean_and_each, nothing
from bopkit.experiments import METHODS

BOP, LATENT = "binarynet/bop_sec52", "binarynet/default"
SHORT = {BOP: "Bop", LATENT: "latent weights"}  # the legend stands below half of the figure


def _widths():
    """The complete runs on what width does: by number of filters, by rule."""
    found: dict[int, dict[str, list[dict]]] = {}
    for run in collect("cifar10", "width"):
        if run["experiment"] in SHORT:
            at = found.setdefault(run["config"]["filters"], {})
            at.setdefault(run["experiment"], []).append(run)
    return {filters: found[filters] for filters in sorted(found)}


def curves():
    """Draw accuracy and flip ratio of each rule at each width; a narrower network is paler."""
    found = _widths()
    if len(found) < 2:
        return nothing()

    def line(run):
        filters, colour = run["config"]["filters"], METHODS[run["config"]["method"]].colour
        pale = "" if filters == max(found) else "80"  # as opacity
        return f"{SHORT[run['experiment']]}, {filters} filters", colour + pale

    runs = [run for at in found.values() for some in at.values() for run in some]
    return figures.training_curves(runs, line=line)


def _at(filters, rule, epochs=1):
    """The scores of a rule at a width, by seed; none where there is no run."""
    return last_epochs(_widths().get(filters, {}).get(rule, []), epochs)


def table():
    """Tabulate both rules at each width: the last epoch, and the mean of the last five.

    Returns:
        Markdown. A difference of one pair of runs has no interval.
    """
    rows = []
    for filters in _widths():
        for epochs, name in {1: "last epoch", 5: "mean of the last five epochs"}.items():
            one, other = (_at(filters, rule, epochs) for rule in (BOP, LATENT))
            gaps = [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]
            gap = f"{statistics.fmean(gaps):+.2f}" if gaps else "–"
            if len(gaps) > 1:
                gap += f" ± {comparison.compare(one, other).half:.2f}"
            rows.append([str(filters), name, mean_and_each(one), mean_and_each(other), gap])
    if not rows:
        return nothing()
    labels = [contest.RULES[name].label for name in (BOP, LATENT)]
    header = ["filters", "top-1 %: mean (each seed)", *labels, "difference, points"]
    return Markdown(markdown(header, rows, right=3))


def finding():
    """Say how the accuracy of each rule differs between the least width and the greatest."""
    widths = list(_widths())
    if len(widths) < 2:
        return nothing()
    narrow, wide = widths[0], widths[-1]
    said = []
    for rule in (BOP, LATENT):
        one, other = _at(narrow, rule), _at(wide, rule)
        for seed in sorted(one.keys() & other.keys()):
            said.append(
                f"With seed {seed}, {contest.RULES[rule].label} ends at **{other[seed]:.1f} %** "
                f"with {wide} filters and at **{one[seed]:.1f} %** with {narrow}."
            )
    if not _at(wide, LATENT):
        said.append(
            f"Latent weights have not been trained with {wide} filters yet, so we do not know "
            "whether the distance between the two rules changes."
        )
    return Markdown(" ".join(said))
