"""Show section 5.1 on CIFAR-10, from the committed records: what constant γ and τ do."""

from __future__ import annotations

from collections import Counter

from IPython.display import Markdown

from bopkit import experiments
from bopkit.book import claims, figures
from bopkit.book.evidence import collect, nothing
from bopkit.book.style import INK
from bopkit.training import variations
from bopkit.training.variations import SECTION_51

FIXED = {"gamma": "threshold", "threshold": "gamma"}  # the rate that stays, by the one that varies


def _runs():
    return collect("cifar10", "section51")


def curves(vary: str):
    """Draw the sweep of one rate: accuracy and flip ratio, one line per value.

    Args:
        vary: "gamma" or "threshold".

    Returns:
        A figure; a sentence, while a value has no complete run.
    """
    runs = _runs()
    if not set(SECTION_51[vary]) <= {run["config"][vary] for run in runs}:
        return nothing()
    figure = figures.sweep_curves(runs, vary=vary, fixed=FIXED[vary])
    filters = runs[0]["config"]["filters"]
    title = f"CIFAR-10 (a JPEG copy), {filters} filters"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    return figure


def table():
    """Tabulate each claim of section 5.1, its verdict and the numbers behind the verdict."""
    runs = _runs()
    return Markdown(claims.markdown_table(claims.check(runs))) if runs else nothing()


def finding():
    """Say how many of the claims the runs decide, and whether runs are missing."""
    runs = _runs()
    if not runs:
        return nothing()
    found = claims.check(runs)
    count = Counter(claim.verdict for claim in found)
    parts = [
        f"{count[verdict]} {one if count[verdict] == 1 else many}"
        for verdict, one, many in (
            ("holds", "holds", "hold"),
            ("does not hold", "does not hold", "do not hold"),
            ("not decided", "is not decided", "are not decided"),
        )
        if count[verdict]
    ]
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    said = f"Of the paper's {len(found)} claims, {listed}."
    wanted = len(variations.vary(experiments.get("binarynet/bop"), SECTION_51, range(claims.SEEDS)))
    if len(runs) < wanted:
        said += (
            f" {len(runs)} of the protocol's {wanted} runs are complete. A claim is decided once "
            f"each of its settings has {claims.SEEDS} seeds."
        )
    return Markdown(said)
