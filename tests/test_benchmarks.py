"""The committed measurements, what the page says of them, and the stop-watch itself."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import report, steps, timing
from bopkit.models import integers, layers
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
    assert set(command.SECTIONS) - set(sections) <= set(command.NEEDS)
    assert set(sections) <= set(command.SECTIONS)
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


def test_targets_are_said_in_one_of_two_ways(sections):
    """`make bench` and the page say whether a figure reached its target; a few figures have one."""
    targets = [
        figure["target"]
        for section in sections.values()
        for figure in section["ratios"].values()
        if "target" in figure
    ]
    assert len(targets) >= 5
    assert all(len(target) == 1 for target in targets)
    assert {way for target in targets for way in target} == {"at_least", "at_most"}


def test_two_pages_say_how_many_pictures_a_core_decodes(sections):
    text = (ROOT / "book" / "practice" / "cluster.md").read_text()
    said = re.search(r"about ([\d,]+) drawn pictures per second.*at most ([\d,]+)\.", text)
    by_one, by_eight = (int(number.replace(",", "")) for number in said.groups())
    measured = 1 / sections["input"]["times"]["JPEG, bopkit, 1 core, an image"]["median"]
    assert by_one == round(measured, -2) and by_eight == 8 * by_one
    cells = json.loads((ROOT / "book" / "reproduction" / "imagenet.ipynb").read_text())["cells"]
    text = " ".join("".join(cells[-1]["source"]).split())
    speeds = re.search(r"process ([\d,]+) images per second .* and ([\d,]+) for", text).groups()
    cores = [math.ceil(int(speed.replace(",", "")) / measured) for speed in speeds]
    assert f"about {by_one:,} drawn pictures per second" in text
    assert "at least {} to {} such cores".format(*cores) in text


def test_what_the_page_says_in_words_holds(sections):
    """Who is faster, not by how much: the numbers stand in the page's tables."""

    def median(section, name):
        return sections[section]["ratios"][name]["median"]

    bop = "bop {}, batch 50".format(
        "mixed_bfloat16" if sections["step"]["hardware"]["bfloat16"] else "float32"
    )
    assert median("step", bop) > 1  # faster than larq in float32
    if sections["step"]["hardware"]["bfloat16"]:
        assert median("step", "bop against larq mixed_bfloat16, batch 50") > 1  # and in bfloat16
        # "most of the gain comes from bfloat16"
        assert median("step", "larq mixed_bfloat16, batch 50") > median("step", bop) ** 0.5
    update = sections["profile"]["kinds"]["float32"]["Bop's update; in bfloat16, with the signs"]
    # "the faster update saves only a few percent of a step"
    assert update["median"] * (median("update", "against larq") - 1) < 0.05
    assert median("update", f"compiled, {4 * LARGE:,} weights") > 1  # "also gains"
    assert round(median("update", "against larq")) == 2  # "twice as fast", in faithfulness.md
    page = (ROOT / "book" / "practice" / "speed.md").read_text(encoding="utf8")
    assert f"at least {LARGE:,} weights" in page
    assert f"{integers.FEWEST_CHANNELS} channels out" in page
    small = f"at most {layers.MOST_PIXELS} pixels with at least {layers.FEWEST_CHANNELS} channels"
    assert small in " ".join(re.sub(r'"\s+"', "", page).split())
    # "mostly convolutions"
    kinds = sections["profile"]["kinds"]["float32"]
    shares = sorted((kind["median"] for kind in kinds.values()), reverse=True)
    assert kinds["convolutions and matrix products"]["median"] == shares[0] > 0.5
    assert shares[1] < 0.1  # "no other part takes more than a tenth"
    launches = sections["profile"]["launches"]  # "one of them is the whole step"
    assert launches["compiled with XLA"] < 0.05 * launches["float32"]
    # "about as long as a step with latent weights"
    latent = median("step", "latent float32, batch 50")
    assert median("step", "bop float32, batch 50") == pytest.approx(latent, rel=0.1)
    assert median("step", "bop float32 compiled, batch 50") < 1.05  # "XLA does not help"
    for name in ("CIFAR-10", "Fashion-MNIST"):  # "hundreds of times faster"
        assert median("input", f"{name} against step") > 200
    assert median("overhead", "bopkit") < 0.1  # "a few percent"
    assert median("memory", "state_bytes") == 0.5  # "half of Adam's"


def test_every_layer_within_the_limits_was_measured_to_gain(sections, require):
    require("limits" in sections, "`make bench SECTIONS=limits` measures it, where bfloat16 is")
    gains = {True: [], False: []}
    for name, figure in sections["limits"]["ratios"].items():
        kind, pixels, channels = name.split(", ")[:3]
        side, channels = int(pixels.split("x")[0]), int(channels.split()[0])
        if kind == "kernel":
            chosen = side**2 <= layers.MOST_PIXELS and channels >= layers.FEWEST_CHANNELS
        else:
            chosen = channels >= integers.FEWEST_CHANNELS
        gains[chosen].append(figure["median"])
    assert min(gains[True]) > 1 and min(gains[False]) < 1  # the limits leave out what loses
    assert len(gains[True]) > 20
    beyond = sections["limits"]["ratios"]  # "products gain", as the page says
    assert all(
        beyond[f"kernel, 15x15 pixels, 512 channels, batch {b}"]["median"] > 1 for b in (50, 256)
    )


@pytest.mark.slow
def test_the_section_that_drives_the_training_loop_runs(tmp_path):
    """It calls the loop's insides, which change: other sections call what users call."""
    path = tmp_path / "new.json"
    given = ["overhead", "--smoke", "--output", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *given], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "epochs per second" in done.stdout and path.exists()


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
