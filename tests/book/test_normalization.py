"""What the page says of the lag of batch normalization, from what was measured."""

import json

import pytest

from bopkit.book import evidence, normalization


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write rows as the measurement does."""
    monkeypatch.setattr(evidence, "RESULTS", tmp_path)

    def write(part, *rows):
        keys = ("method", "gamma", "threshold", "seed", "recorded", "fitted")
        path = tmp_path / "cifar10" / "normalization" / f"{part}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        runs = {str(i): dict(zip(keys, row, strict=True)) for i, row in enumerate(rows)}
        path.write_text(json.dumps({"runs": runs}))

    return write


@pytest.mark.usefixtures("write")
def test_before_the_measurement_it_says_so():
    for shown in (normalization.table51(), normalization.finding52()):
        assert shown.data == "Too few runs of this section are complete to compare them."


def test_the_table_has_a_line_per_setting_with_means_over_the_seeds(write):
    write(
        "section51",
        ("bop", 0.01, 1e-6, 0, 0.25, 0.50),
        ("bop", 0.01, 1e-6, 1, 0.27, 0.51),
        ("bop", 1e-4, 1e-6, 0, 0.67, 0.671),
    )
    *_, first, second = normalization.table51().data.splitlines()
    assert first == "| 0.01 | 10⁻⁶ | 2 | 26.0 | 50.5 | 24.5 |"
    assert second == "| 10⁻⁴ | 10⁻⁶ | 1 | 67.0 | 67.1 | 0.1 |"


def test_one_rule_or_two_seeds_decide_nothing(write):
    write("section52", ("bop", 0.003, 0.0, 0, 0.73, 0.76))
    said = normalization.finding52().data
    assert "ends at 76.0 % with recalibrated averages, which is 3.0 points above" in said
    assert "(1 seed)" in said and said.endswith("nothing is decided.")
    rows = [("bop", 0.003, 0.0, seed, 0.73, 0.76 + seed / 1000) for seed in range(2)]
    rows += [("latent", None, None, seed, 0.77, 0.771) for seed in range(2)]
    write("section52", *rows)
    said = normalization.finding52().data
    assert said.count("not decided") == 2 and "2 seeds" in said


@pytest.mark.parametrize(("lag", "verdict"), [(0.03, "a part of"), (-0.03, "no part of")])
def test_three_seeds_decide_by_the_interval(write, lag, verdict):
    rows = [("bop", 0.003, 0.0, seed, 0.73, 0.73 + lag + seed / 1000) for seed in range(3)]
    rows += [("latent", None, None, seed, 0.77, 0.77) for seed in range(3)]
    write("section52", *rows)
    assert f"**explains {verdict} the distance**" in normalization.finding52().data
