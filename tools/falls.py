"""Write results/digits/falls.json: how far γ should fall on the digits, and along which course.

    python tools/falls.py

Networks with one hidden layer are trained on the digits by Bop at τ = 0. The first γ is a factor
times one over the steps per epoch. Over the run, γ falls to a share of its start: by the same
factor after each epoch, or on a line. Takes four minutes.
"""

import json

import numpy as np

from bopkit.book import RESULTS, toy

EPOCHS, SEEDS, STEPS = 12, 20, 14  # epochs, runs per row, steps per epoch
SHARES = (1e-1, 1e-2, 1e-3, 1e-4)
# Hidden units, the factor of the first γ, the course, and the share of its start to which γ falls.
ROWS = (
    *((64, 1, "factor", share) for share in SHARES),
    *((64, 1, "line", share) for share in (1e-2, 1e-3)),
    *((64, 3, course, 1e-2) for course in ("factor", "line")),
    *((hidden, 1, "factor", share) for hidden in (16, 512) for share in SHARES),
)


def gammas(first: float, course: str, share: float) -> np.ndarray:
    """List γ by epoch."""
    done = np.arange(EPOCHS) / (EPOCHS - 1)
    return first / STEPS * (share**done if course == "factor" else 1 - (1 - share) * done)


def row(hidden: int, first: float, course: str, share: float) -> dict:
    """Train a row's runs: top-1 after the last epoch by seed, and means by epoch, in percent."""
    falling = gammas(first, course, share)
    rules = (toy.NumPyBop(0.0, falling) for _ in range(SEEDS))
    runs = [
        toy.train(rule, epochs=EPOCHS, seed=seed, hidden=hidden) for seed, rule in enumerate(rules)
    ]
    flips = np.mean([run.flip_ratio.reshape(EPOCHS, STEPS).mean(axis=1) for run in runs], axis=0)
    return {
        "hidden": hidden,
        "first": first,
        "course": course,
        "share": share,
        "top_1": [round(100 * float(run.accuracy[-1]), 2) for run in runs],
        "top_1_by_epoch": np.mean([100 * run.accuracy for run in runs], axis=0).round(2).tolist(),
        "flips_by_epoch": (100 * flips).round(4).tolist(),
    }


if __name__ == "__main__":
    rows = ",\n    ".join(json.dumps(row(*setting)) for setting in ROWS)
    path = RESULTS / "digits" / "falls.json"
    path.write_text(f'{{\n  "rows": [\n    {rows}\n  ]\n}}\n')
