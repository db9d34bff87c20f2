"""Measure how much validation accuracy runs lose because the averages of normalization lag.

    python tools/normalization_lag.py RUNS DATA_DIR OUTPUT.json [--batches 50]

RUNS is a folder of complete runs with their networks. A batch normalization validates with moving
averages over about a hundred past batches. While weights flip, these averages belong to weights
that have changed since. The file holds two accuracies per run, with the same weights: `kept` with
the averages that training left, and `fitted` with averages over training batches that all see the
final weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import bopkit
from bopkit import data, records
from bopkit._support.files import whole_file
from bopkit._tensorflow import load_tensorflow, tf


def measure(folder, found, batches):
    """Validate the network of a run, recalibrate its averages, and validate again."""
    network, record = bopkit.load_run(folder), records.read(folder)
    config = record["config"]
    assert config["data_fingerprint"] == found.fingerprint, folder
    shown = ("method", "gamma", "threshold", "seed", "batch_size", "filters", "epochs")
    row = {"experiment": record["experiment"]} | {key: config[key] for key in shown}
    row |= {"recorded": records.final(record), "kept": _accuracy(network, found)}
    training = found.train_batches(config["batch_size"], seed=config["seed"] + 1000, epochs=1)
    bopkit.models.recalibrate(network, training.take(batches))
    return row | {"fitted": _accuracy(network, found)}


def _accuracy(network, found):
    correct = tf.keras.metrics.CategoricalAccuracy()
    for images, labels in found.validation_batches(500):
        correct.update_state(labels, network(images, training=False))
    return float(correct.result())


def main():
    """Measure every complete run of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("data_dir", type=Path, help="folder that holds CIFAR-10")
    parser.add_argument("output", type=Path, help="the file to write")
    parser.add_argument("--batches", type=int, default=50, help="training batches to average")
    given = parser.parse_args()
    load_tensorflow()
    found = data.load("cifar10", data_dir=given.data_dir, preprocess="resize_and_flip")
    rows = {}
    for path in sorted(given.runs.glob("*/run.json")):
        if json.loads(path.read_text(encoding="utf8"))["status"] == "completed":
            rows[path.parent.name] = measure(path.parent, found, given.batches)
            print(path.parent.name, rows[path.parent.name], flush=True)
    record = {
        "batches": given.batches,
        "runs": rows,
        "versions": records.versions(),
        "hardware": records.hardware(),
        "git_commit": records.git_commit(),
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(given.output) as file:
        file.write((json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
