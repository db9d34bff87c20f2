"""The rules that read a run: each fires where it should, and what it says to try helps."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bopkit import records
from bopkit.book import RESULTS
from bopkit.book.pictures.diagnosis import COURSES, FALLS, GAMMAS, STAYS, THRESHOLDS, trained
from bopkit.training.diagnosis import Diagnosis, diagnose, diagnose_record

LEVEL = [0.95] * 8
HIGH, LOW = [0.97] * 8, [0.6] * 8


CASES = [
    ("healthy", HIGH, LEVEL, [1e-2] * 2 + [1e-3] * 6, [0.1] * 8),
    ("everything flips", LOW, LOW, [0.2] * 8, [1.0] * 8),
    ("getting worse", HIGH, [0.9] * 6 + [0.8] * 2, [1e-3] * 8, [0.1] * 8),
    ("noise floor", HIGH, LEVEL, [2e-2] * 8, [0.1] * 8),
    ("γ dropped too early", LOW, LOW, [0.2] + [1e-3] * 7, [0.1] + [1e-3] * 7),
    # as far, but over the whole run
    ("healthy", HIGH, LEVEL, np.geomspace(0.2, 1e-3, 8), np.geomspace(0.1, 1e-3, 8)),
    ("γ and τ too high", LOW, LOW, [2e-3] * 8, [1.0] * 8),
    ("too few flips", LOW, LOW, [1e-3] + [0.0] * 7, [0.1] * 8),
    # few flips, but nothing left to do
    ("healthy", HIGH, LEVEL, [1e-3] + [0.0] * 7, [0.1] * 8),
    # however well batch normalization does without them
    ("too few flips", HIGH, LEVEL, [0.0] * 8, [0.1] * 8),
    # one bad epoch is none
    ("healthy", HIGH, [0.9, 0.3, *[0.95] * 6], [1e-3] * 8, [0.1] * 8),
]


@pytest.mark.parametrize(("name", "fit", "accuracy", "flips", "gamma"), CASES)
def test_each_symptom_has_its_name(name, fit, accuracy, flips, gamma):
    found = diagnose(fit, accuracy, flips, gamma)
    assert found.name == name
    assert bool(found.change) == (name != "healthy")


def test_the_page_and_the_docstring_list_the_same_symptoms():
    page = Path(__file__).parents[3] / "book" / "practice" / "reading.ipynb"
    cells = json.loads(page.read_text(encoding="utf8"))["cells"]
    text = "".join("".join(cell["source"]) + "\n" for cell in cells)
    table = re.findall(r"^\| \*\*(.+?)\*\*", text, flags=re.MULTILINE)
    listed = re.search(r"name: (.+?)evidence:", Diagnosis.__doc__, flags=re.DOTALL)[1]
    assert re.findall(r"`(.+?)`", listed) == table
    assert set(table) == {name for name, *_ in CASES}


def test_the_evidence_says_when():
    assert diagnose(LOW, LOW, [0.0] * 8, [0.1] * 8).evidence.startswith("nothing ever flipped")
    stopped = diagnose(LOW, LOW, [1e-3] * 3 + [0.0] * 5, [0.1] * 8)
    assert stopped.evidence == "nothing has flipped since epoch 3, with training at 60 %"
    dropped = diagnose(LOW, LOW, [0.2] * 3 + [1e-3] * 5, [0.1] * 3 + [1e-3] * 5)
    assert "from 20 % to 0.1 % of the weights a step when γ dropped after epoch 3" in (
        dropped.evidence
    )


@pytest.mark.parametrize(
    ("threshold", "change"), [(None, "lower τ"), (1e-8, "lower τ"), (0.0, "raise γ")]
)
def test_no_change_asks_for_a_threshold_below_zero(threshold, change):
    few = diagnose(LOW, LOW, [0.0] * 8, [0.1] * 8, threshold)
    assert few.name == "too few flips" and few.change.startswith(change)
    lively = diagnose([0.5] * 8, [0.5] * 8, [1e-3] * 8, [0.1] * 8, threshold)
    assert lively.name == "γ and τ too high"
    assert ("both" in lively.change) == (threshold != 0) and "τ" not in lively.change


def test_too_short_or_uneven_curves_are_refused():
    with pytest.raises(ValueError, match="two epochs or more; got 1, 1, 1, 1"):
        diagnose([0.5], [0.5], [0.1], [0.1])
    with pytest.raises(ValueError, match="of one length"):
        diagnose(HIGH, HIGH[1:], HIGH, HIGH)


@pytest.mark.parametrize("wrong", [float("nan"), 97.0, -0.1])
@pytest.mark.parametrize("name", ["train_accuracy", "accuracy", "flip_ratio"])
def test_percent_and_nan_are_refused(name, wrong):
    curves = {"train_accuracy": HIGH, "accuracy": HIGH, "flip_ratio": [1e-3] * 8}
    with pytest.raises(ValueError, match=f"^{name} must hold shares from 0 to 1, .* got {wrong:g}"):
        diagnose(**curves | {name: [*HIGH[:7], wrong]}, gamma=[0.1] * 8)
    assert diagnose(**curves, gamma=[None] * 8).name == "healthy"  # as a run on latent weights


@pytest.mark.slow
def test_what_it_says_to_try_helps():
    """On the small network; margins, because rounding differs between machines."""
    gains = {}
    for gamma, course, threshold in itertools.product(GAMMAS, COURSES, THRESHOLDS):
        name = trained(gamma, threshold, course).diagnosis.name
        if name == "too few flips":
            other = (gamma, THRESHOLDS[THRESHOLDS.index(threshold) - 1], course)
        elif name == "γ and τ too high":
            other = (
                GAMMAS[GAMMAS.index(gamma) - 1],
                THRESHOLDS[THRESHOLDS.index(threshold) - 1],
                course,
            )
        elif name != "healthy" and course != FALLS:
            other = (gamma, threshold, FALLS)
        else:
            continue
        before, after = (
            trained(*run).run.accuracy[-3:].mean() for run in ((gamma, threshold, course), other)
        )
        gains.setdefault(name, []).append(after - before)
    assert {"everything flips", "too few flips", "γ dropped too early"} <= set(gains)
    for name, values in gains.items():
        assert np.mean(values) > 0.01, name
    together = np.concatenate(list(gains.values()))
    assert np.mean(together > 0) > 0.85


def test_healthy_runs_are_good_runs():
    found = {True: [], False: []}
    for gamma, course, threshold in itertools.product(GAMMAS, COURSES, THRESHOLDS):
        result = trained(gamma, threshold, course)
        assert threshold or "lower τ" not in result.diagnosis.change
        healthy = result.diagnosis.name == "healthy"
        found[healthy].append(result.run.accuracy[-3:].mean())
    assert np.mean(np.array(found[True]) > 0.9) > 0.8
    assert np.median(found[True]) > np.quantile(found[False], 0.9)


def test_the_best_trials_on_fashion_mnist_are_the_ones_called_healthy():
    """Rules set on the digits, tried on runs of another network on other data."""
    trials = records.collect(RESULTS / "fashion_mnist" / "tuning")
    trials = [run for run in trials if run["config"]["method"] == "bop"]
    trials.sort(key=records.final, reverse=True)
    names = [diagnose_record(run).name for run in trials]
    assert len(names) == 8
    assert names[:3] == ["healthy"] * 3 and "healthy" not in names[3:]


def record_of(flips, gamma):
    """A run whose γ has these values at the start of each epoch, in float32 as in a record."""
    after = np.append(gamma[1:], gamma[-1]).astype(np.float32).astype(float)
    rows = [
        {"accuracy": 0.6, "val_accuracy": 0.6, "flip_ratio": f, "gamma": g, "threshold": 0.0}
        for f, g in zip(flips, after, strict=True)
    ]
    return {"config": {"gamma": gamma[0]}, "epochs": rows}


def test_a_record_shows_the_epoch_after_which_gamma_dropped():
    """Its rows hold γ after the last step of their epoch, when it has dropped already."""
    gamma = [0.03, 0.03, 0.03, *[0.003] * 5]
    found = diagnose_record(record_of([0.2] * 3 + [1e-3] * 5, gamma))
    assert found.name == "γ dropped too early" and found.evidence.endswith("after epoch 3")


def test_the_committed_run_whose_gamma_falls_tenfold_in_each_epoch():
    trials = records.collect(RESULTS / "cifar10" / "tuning")
    (run,) = (
        run
        for run in trials
        if run["config"].get("gamma_decay_rate") == 0.1 and run["config"]["gamma"] == 0.03
    )
    found = diagnose_record(run)
    assert found.name == "γ dropped too early"
    assert found.evidence.startswith("flips went from 1.2 % to 0.084 %")
    assert found.evidence.endswith("γ dropped after epoch 2")


def test_the_pulls_of_a_run_end_at_the_threshold():
    """Whatever asks for a flip beyond τ has just had it."""
    result = trained(0.1, 1e-3, STAYS)
    assert 0 < result.pull.max() <= 1e-3 < -result.pull.min()
