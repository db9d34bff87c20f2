"""Choose the settings of the page on own images, by `.venv/bin/python tools/tune_beetles.py`.

Each of the page's three networks gets eight settings, two seeds each, on a folder of beetles that
the page does not use. The network and its optimizer are taken from the page's own cells. The scores
go to results/own_images/beetles.json, which the page reads.
"""

import itertools
import json
import tempfile
from pathlib import Path

import nbformat
import numpy as np

import bopkit
from bopkit.book import RESULTS, beetles

PAGE = Path(__file__).resolve().parents[1] / "book" / "practice" / "own_images.ipynb"
BATCH, SEEDS = 20, (100, 101)
RATES = (0.001, 0.003, 0.005, 0.01, 0.02, 0.03, 0.06, 0.1)
GAMMAS = (1, 3, 8, 16)  # the first γ, in units of one over the steps per epoch
GRID = {
    "bop": list(itertools.product(GAMMAS, (0.003, 0.01))),
    "latent": [(None, rate) for rate in RATES],
    "real": [(None, rate) for rate in RATES],
}


def page(data, steps):
    """The page's names after its cells that build the network and compile it."""
    from bopkit._tensorflow import tf

    schedules = tf.keras.optimizers.schedules
    names = {"bopkit": bopkit, "tf": tf, "layers": tf.keras.layers, "schedules": schedules}
    names |= {"data": data, "steps": steps, "batch_size": BATCH}
    cells = [c.source for c in nbformat.read(PAGE, as_version=4).cells if c.cell_type == "code"]
    for needed in ("def small_network", "def compiled"):
        (source,) = [s for s in cells if needed in s]
        exec(compile(source, PAGE.name, "exec"), names)
    return names


def main():
    """Train every setting and write the scores."""
    from bopkit._tensorflow import tf

    folder = beetles.write(Path(tempfile.mkdtemp()) / "beetles", seed=1)
    data = bopkit.data.load("image_folder", data_dir=folder, image_size=32)
    steps = data.steps_per_epoch(BATCH)
    names = page(data, steps)
    trials = []
    for seed in SEEDS:
        batches = data.train_batches(BATCH, seed=seed, epochs=names["epochs"]).cache()
        for method, grid in GRID.items():
            for gamma, rate in grid:
                names |= {"learning_rates": {method: rate}, "first_gamma": gamma and gamma / steps}
                tf.keras.backend.clear_session()
                tf.keras.utils.set_random_seed(seed)
                model = names["compiled"](method)
                model.fit(batches, steps_per_epoch=steps, epochs=names["epochs"], verbose=0)
                top_1 = model.evaluate(data.validation_batches(100), verbose=0)[1]
                trial = {"method": method, "gamma": gamma, "learning_rate": rate, "seed": seed}
                trials.append(trial | {"top_1": round(100 * top_1, 2)})
                print(trials[-1], flush=True)
    for method in GRID:
        mine = {(t["gamma"], t["learning_rate"]): [] for t in trials if t["method"] == method}
        for t in trials:
            if t["method"] == method:
                mine[t["gamma"], t["learning_rate"]].append(t["top_1"])
        best = max(mine, key=lambda setting: np.mean(mine[setting]))
        print(method, best, mine[best])
    text = json.dumps({"epochs": names["epochs"], "trials": trials}, indent=1)
    (RESULTS / "own_images" / "beetles.json").write_text(text + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
