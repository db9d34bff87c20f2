"""Write results/digits/first_gamma.json: how good one over the steps per epoch is as the first γ.

    python tools/first_gamma.py

Five small networks are trained on the digits by Bop at τ = 0, while γ falls to a hundredth by the
same factor after each epoch. The first γ is a factor times one over the steps per epoch, at most 1.
Takes two minutes.
"""

import json

import numpy as np

from bopkit.book import RESULTS, toy

EPOCHS, SEEDS = 12, 5
FACTORS = (1 / 64, 1 / 16, 1 / 4, 1, 4, 16)
NETWORKS = ((16, 100), (64, 100), (512, 100), (64, 20), (64, 400))  # hidden units, batch size


def accuracy(hidden: int, batch_size: int, factor: float, seed: int) -> float:
    """Train one network; return its top-1 after the last epoch, in percent."""
    first = min(1.0, factor / (len(toy.digits()[0]) // batch_size))
    falling = first * 0.01 ** (np.arange(EPOCHS) / (EPOCHS - 1))
    rule = toy.NumPyBop(0.0, falling)
    run = toy.train(rule, epochs=EPOCHS, hidden=hidden, batch_size=batch_size, seed=seed)
    return 100 * float(run.accuracy[-1])


def row(hidden: int, batch_size: int) -> dict:
    """The accuracies of one network: a list per factor, a number per seed."""
    found = [
        [round(accuracy(hidden, batch_size, factor, seed), 2) for seed in range(SEEDS)]
        for factor in FACTORS
    ]
    steps = len(toy.digits()[0]) // batch_size
    return {"hidden": hidden, "batch_size": batch_size, "steps": steps, "top_1": found}


if __name__ == "__main__":
    rows = [json.dumps(row(*network)) for network in NETWORKS]
    path = RESULTS / "digits" / "first_gamma.json"
    path.parent.mkdir(exist_ok=True)
    text = ",\n    ".join(rows)
    path.write_text(f'{{\n  "factors": {json.dumps(FACTORS)},\n  "rows": [\n    {text}\n  ]\n}}\n')
