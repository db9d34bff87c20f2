"""The committed measurements, what the page says of them, and the stop-watch itself."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import report, steps, timing
from bopkit.optimizers.compiled import LARGE

ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / "results" / "benchmarks.json"


@pytest.fixture(scope="module")
def sections(require):
    require(PATH.exists(), "nothing was measured yet: `make bench` writes results/benchmarks.json")
    return json.loads(PATH.read_text())["sections"]


def figures(section):
    """Everything in a section that was measured round by round."""
    if not isinstance(section, dict):
        return []
    if "rounds" in section:
        return [section]
    return [figure for value in section.values() for figure in figures(value)]


def test_every_section_was_measured_and_says_on_what(sections):
    assert set(sections) == set(command.SECTIONS)
    for section in sections.values():
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", section["git_commit"])
        assert {"tensorflow", "larq", "numpy"} <= set(section["versions"])
        assert {"processor", "flags", "usable_cores"} <= set(section["hardware"])
        assert section["date"] and section["threads"] and section["ratios"]
    assert sum(section["seconds"] for section in sections.values()) < 30 * 60


def test_every_figure_has_five_rounds_and_is_their_median(sections):
    for section in sections.values():
        for figure in figures(section):
            assert len(figure["rounds"]) >= 5
            again = timing.summary(figure["rounds"])
            for key in ("median", "low", "high"):
                assert figure[key] == pytest.approx(again[key], rel=1e-4, abs=1e-6)


def test_every_target_of_the_page_has_a_figure(sections):
    targets = {
        name: figure["target"]
        for section in sections.values()
        for name, figure in section["ratios"].items()
        if "target" in figure
    }
    # A target for bfloat16 is for a processor that computes in it.
    has_bfloat16 = sections["step"]["hardware"]["bfloat16"]
    half = {"bop mixed_bfloat16, batch 50": {"at_least": 1.6}} if has_bfloat16 else {}
    assert targets == half | {
        "bop float32, batch 50": {"at_least": 1.02},
        "against larq": {"at_least": 4.0},
        "against copy, numpy": {"at_least": 0.6},
        "passes of step, float32": {"at_least": 0.92},
        "CIFAR-10 against step": {"at_least": 20},
        "Fashion-MNIST against step": {"at_least": 20},
        "TensorFlow's decoder against libjpeg-turbo": {"at_least": 0.85},
        "JPEG against plain": {"at_least": 1.3},
        "bopkit": {"at_most": 0.25},
    }


def test_what_the_page_says_in_words_holds(sections):
    step, profile = sections["step"]["ratios"], sections["profile"]["kinds"]["float32"]

    def median(section, name):
        return sections[section]["ratios"][name]["median"]

    if sections["step"]["hardware"]["bfloat16"]:
        # "Most of the gain is bfloat16's, and larq's Bop has it too"
        for batch in (50, 256):
            larq = step[f"larq mixed_bfloat16, batch {batch}"]["median"]
            ours = step[f"bop mixed_bfloat16, batch {batch}"]["median"]
            assert larq - 1 > (ours - 1) / 2
    else:
        # "Nearly all of it is the backward pass ... Latent weights gain as much"
        bop, latent = (step[f"{name} float32, batch 50"]["median"] for name in ("bop", "latent"))
        assert bop > 1.1 and abs(bop - latent) < 0.3 * (bop - 1)
        assert median("gradients", "input, TensorFlow") > 1.7
        assert median("gradients", "input, bopkit") < 1.3
        # "in bfloat16 takes ten times as long", as bopkit.models.layers says
        assert 7 < median("gradients", "bfloat16") < 15
    # "Small variables gain nothing from being compiled", and large ones do
    quarter, fourfold = (f"compiled, {n:,} weights" for n in (LARGE // 4, 4 * LARGE))
    assert median("update", quarter) < 1 < median("update", fourfold)
    # "no faster", as bopkit.training.build says
    assert step["bop float32 compiled, batch 50"]["median"] < 1.05
    # "the step is its convolutions"
    assert profile["convolutions"]["median"] > 0.5
    assert median("floor", "products of step, float32") > 0.5
    assert median("memory", "state_bytes") == 0.5
    assert not sections["step"]["hardware"]["gpus"]


def test_contestants_take_turns_and_each_round_begins_with_the_next():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "abc"}
    seconds = timing.in_turn(runs, 3, warmup=1)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3, "c": 3}
    assert timing.in_turn({"own": lambda: 7.0}, 2) == {"own": [7.0, 7.0]}


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    figure = timing.ratio("x", [2.0, 9.0, 4.0], [1.0, 3.0, 4.0], at_least=2)
    assert figure["rounds"] == [2.0, 3.0, 1.0]
    assert (figure["median"], figure["low"], figure["high"]) == (2.0, 1.5, 2.5)
    assert timing.reached(figure)
    assert not timing.reached(timing.ratio("x", [1.0], [1.0], at_most=0.5))


def test_a_section_takes_the_place_of_an_older_one_and_leaves_the_others(tmp_path):
    path = tmp_path / "new" / "benchmarks.json"
    for name, number in (("step", 1), ("update", 2), ("step", 3)):
        report.write(path, name, {"ratios": number})
    assert report.read(path) == {"sections": {"step": {"ratios": 3}, "update": {"ratios": 2}}}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_unknown_section_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "stepp"])
    with pytest.raises(SystemExit):
        command.main()
    assert "no section stepp; there are: update, step" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["bop", "larq", "latent"])
def test_every_contestant_trains(method):
    data = steps.noise((10, 10, 3), count=64)
    loop = steps.make_loop(data, method=method, filters=8, dense_units=16, batch_size=32)
    before = loop.model.get_weights()
    steps.stepper(loop, 2)()
    changed = [(a != b).any() for a, b in zip(before, loop.model.get_weights(), strict=True)]
    assert sum(changed) > len(changed) / 2
    assert loop.experiment.method == ("latent" if method == "latent" else "bop")
