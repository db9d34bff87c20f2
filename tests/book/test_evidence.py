"""The pages of the reproduction show the committed records, and say so where there are none."""

import json

import pytest

from bopkit.book import RESULTS, evidence


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty folder of results, and a way to put runs into it."""
    monkeypatch.setattr(evidence, "RESULTS", tmp_path)
    some = json.loads(next((RESULTS / "cifar10" / "tuning").glob("latent-*/run.json")).read_text())

    def add(*parts, **changes):
        folder = tmp_path.joinpath(*parts)
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(some | changes))

    return add


@pytest.mark.usefixtures("results")
def test_where_no_run_is_complete_a_sentence_says_so():
    shown = [
        evidence.section51("gamma", "threshold"),
        evidence.section52(),
        evidence.section52_curves(),
        evidence.section53("xnornet"),
    ]
    assert {display.data for display in shown} == {"No run of this section is complete yet."}


def test_complete_runs_are_drawn_and_others_are_not(results):
    results("cifar10", "section52", "a")
    results("cifar10", "section52", "b", status="running", final=None)
    assert len(evidence.collect("cifar10", "section52")) == 1
    assert "latent weights with Adam" in evidence.section52().description
    assert "latent weights with Adam" in evidence.section52_curves().description
