"""Describe a run: its record before the first step, the line that it prints, and its command."""

from __future__ import annotations

import datetime
import shlex

from bopkit import experiments, records
from bopkit._tensorflow import list_devices
from bopkit.training.build import compiles


def new_record(experiment, config, cluster, jit_compile) -> dict:
    """The record of a run of which nothing is done, and which starts now."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    start = {
        "git_commit": records.git_commit(),
        "versions": records.versions(),
        "hardware": records.hardware()
        | {
            "gpus": list_devices("GPU"),
            "replicas": cluster.strategy.num_replicas_in_sync,
            "jit_compile": compiles(cluster, jit_compile),
        },
    }
    return {
        "experiment": experiment.name,
        "config": config,
        "dataset": experiment.dataset,
        "seed": config["seed"],
        "command": "",
        **start,
        "status": "running",
        "epochs": [],
        "final": None,
        "warnings": [],
        "starts": [{"time": now, "from_epoch": 0, "from_step": 0, **start}],
    }


def announcement(experiment, config, replicas) -> str:
    """What is about to be trained, where a default may not be what was meant."""
    paper = experiments.EXPERIMENTS.get(experiment.name)
    other = paper is not None and paper.dataset != experiment.dataset
    device = "GPU" if list_devices("GPU") else "CPU"
    return (
        f"{experiment.name} on {experiment.dataset}{f', not on {paper.dataset}' if other else ''}: "
        f"{config['train_examples']:,} + {config['validation_examples']:,} images, "
        f"{replicas} {device}{'s' if replicas > 1 else ''}, seed {config['seed']}."
    )


def command(experiment, config, train_examples, validation_examples, jit_compile) -> str:
    """The command line that repeats this run of a known experiment, however it was started."""
    network, _, hparams_set = experiment.name.partition("/")
    words = ["bopkit", "train", network, "--dataset", experiment.dataset]
    words += ["--preprocess-fn", experiment.preprocess, "--hparams-set", hparams_set]
    changed = experiments.changes(experiment)
    pairs = [
        f"{key}={'none' if value is None else value}"
        for key, value in changed.items()
        if key != "preprocess"
    ]
    words += ["--hparams", ",".join(pairs)] if pairs else []
    words += ["--seed", str(config["seed"])]
    for flag, value in (
        ("--train-examples", train_examples),
        ("--validation-examples", validation_examples),
        ("--holdout", config["holdout"] or None),
    ):
        words += [flag, str(value)] if value is not None else []
    if jit_compile is not None:
        words.append("--jit-compile" if jit_compile else "--no-jit-compile")
    return shlex.join(words)
