"""Write results/digits/trials.json: the trials of each rule on the digits.

    python tools/digits_trials.py

Every rule of the chapter "Which rule should I use?" is tried with every pair of six rates and five
second numbers. Takes two minutes on two cores.
"""

import itertools
import json

import joblib
import numpy as np

from bopkit.book import RESULTS
from bopkit.book.digits_contest import CONTENDERS, RATES, TRIAL_SEEDS, score


def trial(rule: str, rate: float, second: float) -> dict:
    """Score one pair of numbers: mean top-1 on held-out images, in %."""
    top_1 = np.mean([score(rule, rate, second, seed, True) for seed in TRIAL_SEEDS])
    return {"rule": rule, "rate": rate, "second": second, "top_1": round(float(top_1), 3)}


if __name__ == "__main__":
    names = [name for name in CONTENDERS if name != "binarynet/leaking"]  # it takes Bop's numbers
    asked = [
        (name, rate, second)
        for name in names
        for rate, second in itertools.product(RATES, CONTENDERS[name][1])
    ]
    found = joblib.Parallel(n_jobs=-1)(joblib.delayed(trial)(*each) for each in asked)
    lines = ",\n  ".join(json.dumps(row) for row in found)
    (RESULTS / "digits" / "trials.json").write_text(f"[\n  {lines}\n]\n")
