"""The committed records: whole, traceable, and as fair as the results page says."""

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bopkit import models, records
from bopkit.book import evidence

RESULTS = Path(__file__).resolve().parents[2] / "results" / "fashion_mnist"


@pytest.fixture(scope="module")
def runs():
    return {part.name: records.collect(part) for part in RESULTS.iterdir() if part.is_dir()}


def test_every_record_is_of_a_complete_run_on_the_whole_data_from_a_clean_commit(runs):
    for record in (r for part in runs.values() for r in part):
        config = record["config"]
        assert record["status"] == "completed"
        assert re.fullmatch(r"[0-9a-f]{40}", record["git_commit"])
        assert len(record["epochs"]) == config["epochs"]
        assert config["train_examples"] + config["holdout"] == 60_000
        assert config["validation_examples"] == (config["holdout"] or 10_000)
        assert record["command"].startswith("bopkit train binarynet --dataset fashion_mnist")
        assert f"--seed {record['seed']}" in record["command"]


def test_section_52_has_three_seeds_a_method_and_nothing_else_differs(runs):
    groups = records.group_by_seed(runs["section52"])
    methods = {group[0]["config"]["method"] for group in groups}
    assert methods >= {"bop", "latent"} and len(methods) == len(groups)
    for group in groups:
        assert len({record["seed"] for record in group}) == len(group) >= 3
    for field in ("epochs", "batch_size", "filters", "dense_units", "precision", "holdout"):
        assert len({group[0]["config"][field] for group in groups}) == 1, field


def test_all_methods_were_tuned_alike_and_the_best_was_taken(runs):
    trials = runs["tuning"]
    assert {record["config"]["holdout"] for record in trials} == {10_000}
    counts = Counter(record["config"]["method"] for record in trials)
    # A method gets to the test set when it has had its trials.
    tested = {record["config"]["method"] for record in runs["section52"]}
    assert {counts[method] for method in tested} == {8}
    assert all(count <= 8 for count in counts.values())
    assert len({record["config"]["epochs"] for record in trials}) == 1
    for run in runs["section52"]:
        method = run["config"]["method"]
        mine = [r for r in trials if r["config"]["method"] == method]
        best = max(mine, key=records.final)["config"]
        rates = ("gamma", "threshold", "sigma", "learning_rate")
        for field in (f"{rate}{end}" for rate in rates for end in ("", "_end")):
            assert run["config"].get(field) == best.get(field), field


@pytest.fixture(scope="module")
def trials():
    return records.collect(RESULTS.parent / "cifar10" / "tuning")


def test_the_trials_on_cifar10_are_alike_but_for_what_is_tuned(trials):
    for record in trials:
        assert record["status"] == "completed" and record["dataset"] == "cifar10"
        assert re.fullmatch(r"[0-9a-f]{40}", record["git_commit"])
    fields = (
        "seed", "data_fingerprint", "train_examples", "validation_examples", "holdout", "epochs",
        "batch_size", "filters", "dense_units", "precision", "preprocess",
    )  # fmt: skip
    for field in fields:
        assert len({str(record["config"][field]) for record in trials}) == 1, field
    assert trials[0]["config"]["holdout"] == 5000 and trials[0]["seed"] not in (0, 1, 2)


def test_no_contender_has_more_trials_on_cifar10_than_the_protocol_gives(trials):
    text = (RESULTS.parent / "cifar10" / "PROTOCOL.md").read_text(encoding="utf8")
    assert "Each contender gets ten trials of five epochs" in text
    counts = Counter(record["experiment"] for record in trials)
    assert len(counts) == 5 and max(counts.values()) <= 10
    # Whatever trained at length had all its trials.
    finals = [r for r in records.collect(RESULTS.parent / "cifar10") if not r["config"]["holdout"]]
    assert all(counts[record["experiment"]] == 10 for record in finals)


@pytest.fixture(scope="module")
def study():
    """The tool that made the runs, for what it would train now."""
    path = RESULTS.parents[1] / "tools" / "study_cifar10.py"
    spec = importlib.util.spec_from_file_location("study_cifar10", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_long_runs_have_the_settings_of_the_best_trial(trials, study):
    size = {"filters": 32, "dense_units": 256, "precision": "mixed_bfloat16"}
    chosen = {}

    def find(runs):
        found = [[r for r in trials if is_run(r, experiment)] for experiment, _ in runs.values()]
        assert {len(records) for records in found} == {1}, "a trial is missing, or twice there"
        return [record for (record,) in found]

    for name in study.CONTENDERS:
        chosen[name] = study.trials(name, size, find)
    finals = evidence.collect("cifar10", "section52")
    wanted = [study.experiment(name, study.EPOCHS, v, size) for name, v in chosen.items()]
    for record in finals:
        assert record["seed"] in study.SEEDS and len(record["epochs"]) == study.EPOCHS
        assert any(is_run(record, experiment) for experiment in wanted), record["command"]
        assert record["config"]["holdout"] == 0
        assert record["config"]["validation_examples"] == 10_000
        assert (
            record["config"]["data_fingerprint"]["train"]
            == (trials[0]["config"]["data_fingerprint"]["train"])
        )
    pairs = [(record["experiment"], record["seed"]) for record in finals]
    assert len(set(pairs)) == len(pairs)


def test_the_runs_in_float32_differ_from_the_recipes_in_nothing_else(study):
    in_float32 = evidence.collect("cifar10", "precision")
    recipe = {
        record["seed"]: record["config"]
        for record in evidence.collect("cifar10", "section52")
        if record["experiment"] == "binarynet/bop"
    }
    assert {record["seed"] for record in in_float32} <= set(study.SEEDS)
    for record in in_float32:
        assert record["status"] == "completed" and record["experiment"] == "binarynet/bop"
        assert re.fullmatch(r"[0-9a-f]{40}", record["git_commit"])
        assert record["config"]["precision"] == "float32"
        assert record["config"] | {"precision": "mixed_bfloat16"} == recipe[record["seed"]]
    # By the protocol, bfloat16 is the default unless the interval lies above zero.
    assert "float32 is **ahead of**" not in evidence.precision_finding().data


def test_the_runs_on_width_differ_in_the_width_the_rule_and_the_seed_alone(trials, study):
    size = {"filters": 32, "dense_units": 256, "precision": "mixed_bfloat16"}
    # What the trials chose, as a test above holds.
    chosen = {}
    for run in evidence.collect("cifar10", "section52"):
        rates = run["config"]
        if run["experiment"] == "binarynet/bop_sec52":
            chosen["paper"] = rates["gamma"], rates["threshold"]
        elif run["experiment"] == "binarynet/default":
            share = rates["learning_rate_end"] / rates["learning_rate"]
            chosen["latent"] = rates["learning_rate"], share
    wanted = study.widths(chosen, size)
    found = evidence.collect("cifar10", "width")
    assert found
    for record in found:
        assert record["status"] == "completed" and len(record["epochs"]) == study.WIDTH_EPOCHS
        assert re.fullmatch(r"[0-9a-f]{40}", record["git_commit"])
        assert any(is_run(record, e) and record["seed"] == seed for e, seed in wanted.values())
        assert record["config"]["holdout"] == 0
        fingerprint = record["config"]["data_fingerprint"]["train"]
        assert fingerprint == trials[0]["config"]["data_fingerprint"]["train"]
    runs = [(r["experiment"], r["config"]["filters"], r["seed"]) for r in found]
    assert len(set(runs)) == len(runs)


@pytest.fixture(scope="module")
def photographs():
    """Trials and long runs of Bi-Real Net on ten classes of Tiny ImageNet."""
    folder = RESULTS.parent / "own_images"
    return [
        records.collect(folder / part) if (folder / part).is_dir() else []
        for part in ("tuning", "tiny_imagenet")
    ]


def test_the_runs_on_photographs_differ_in_the_method_alone(photographs):
    trials, finals = photographs
    counts = Counter(record["experiment"] for record in trials)
    assert counts.keys() == {"birealnet/bop", "birealnet/default"} and max(counts.values()) <= 3
    assert not finals or set(counts.values()) == {3}  # the trials choose what trains at length
    for part, epochs, holdout in ((trials, 5, 500), (finals, 15, 0)):
        for record in part:
            config = record["config"]
            assert record["status"] == "completed" and record["dataset"] == "image_folder"
            assert re.fullmatch(r"[0-9a-f]{40}", record["git_commit"])
            assert len(record["epochs"]) == config["epochs"] == epochs
            assert config["holdout"] == holdout
            assert config["train_examples"] + holdout == 5000
            assert config["validation_examples"] == 500
            assert (config["image_size"], config["batch_size"]) == (64, 50)
            assert record["data"]["classes"] == trials[0]["data"]["classes"]
    pairs = [(record["experiment"], record["seed"]) for record in finals]
    assert len(set(pairs)) == len(pairs)


def test_the_long_runs_on_photographs_have_the_learning_rate_of_the_best_trial(photographs):
    trials, finals = photographs
    for name in ("birealnet/bop", "birealnet/default"):
        best = max((r for r in trials if r["experiment"] == name), key=records.final)["config"]
        for record in (r for r in finals if r["experiment"] == name):
            config = record["config"]
            assert config["learning_rate"] == best["learning_rate"]
            assert config["learning_rate_end"] == best["learning_rate_end"]
            if config["method"] == "bop":  # the recipe: γ is 1/steps at first, and falls by 1000
                steps = config["train_examples"] // config["batch_size"]
                assert config["threshold"] == 0 and config["gamma"] == pytest.approx(1 / steps)


def test_the_runs_of_section_53_differ_in_the_network_and_the_method_alone():
    runs = evidence.collect("imagenet")
    names = Counter(record["experiment"] for record in runs)
    wanted = {f"{n}/{s}" for n in evidence.IMAGENET_NETWORKS for s in ("bop", "default")}
    assert names.keys() == wanted and len(set(names.values())) == 1
    for record in runs:
        config = record["config"]
        assert record["dataset"] == "imagenet2012"
        assert re.fullmatch(r"[0-9a-f]{40}", record["git_commit"])
        assert len(record["epochs"]) == config["epochs"] == 15
        assert (config["train_examples"], config["validation_examples"]) == (5000, 500)
        assert (config["batch_size"], config["holdout"]) == (50, 0)
        assert config["data_fingerprint"] == runs[0]["config"]["data_fingerprint"]
        assert config["precision"] == "mixed_bfloat16"
        smallest = models.MINIMUM_SIZE[config["network"]]
        assert config["image_size"] == max(64, smallest)


def test_the_lag_of_normalization_was_measured_on_the_networks_of_the_records():
    cifar10 = RESULTS.parent / "cifar10"
    folder = cifar10 / "normalization"
    for path in folder.glob("*.json"):
        found = json.loads(path.read_text(encoding="utf8"))
        assert re.fullmatch(r"[0-9a-f]{40}", found["git_commit"])
        # The networks of section 5.2 were not kept, so its runs were repeated.
        runs = folder / path.stem if path.stem == "section52" else cifar10 / path.stem
        for name, row in found["runs"].items():
            run = records.read(runs / name)
            assert row["experiment"] == run["experiment"]
            assert all(row[key] == run["config"][key] for key in ("gamma", "threshold", "seed"))
            assert row["recorded"] == records.final(run)
            assert row["kept"] == pytest.approx(row["recorded"], abs=0.002)  # another CPU
    assert (folder / "section51.json").exists()


def is_run(record, experiment):
    """Whether a record is of this experiment: every setting is equal, up to rounding.

    A setting that is newer than the record has no value in both.
    """
    return all(
        record["config"].get(key) == (pytest.approx(value) if isinstance(value, float) else value)
        for key, value in vars(experiment).items()
        if key != "dataset"
    )
