"""A small run record that tests change."""

from bopkit import experiments


def record(seed=0, accuracies=(0.5, 0.75), **changes):
    config = vars(experiments.get("binarynet/bop")) | {"seed": seed, "holdout": 0, "epochs": 2}
    config |= {"train_examples": 1437, "validation_examples": 360, "precision": "float32"}
    rows = [{"epoch": i + 1, "seconds": 10.0, "val_accuracy": a} for i, a in enumerate(accuracies)]
    return {
        "experiment": "binarynet/bop",
        "config": config,
        "dataset": "digits",
        "seed": seed,
        "command": "bopkit train binarynet",
        "git_commit": None,
        "versions": {},
        "hardware": {},
        "status": "completed",
        "epochs": rows,
        "final": {"val_accuracy": accuracies[-1]} if accuracies else None,
    } | changes
