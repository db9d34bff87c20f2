"""What the page says of the lag of batch normalization, from what was measured."""

import json

import pytest

from bopkit.book import evidence, normalization


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write rows as the measurement does."""
    monkeypatch.setattr(evidence, "RESULTS", tmp_path)

    def write(part, *rows):
        keys = ("experiment", "gamma", "threshold", "seed", "recorded", "fitted")
        path = tmp_path / "cifar10" / "normalization" / f"{part}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        runs = {str(i): dict(zip(keys, row, strict=True)) for i, row in enumerate(rows)}
        path.write_text(json.dumps({"runs": runs}))

    return write


@pytest.mark.usefixtures("write")
def test_before_the_measurement_it_says_so():
    for shown in (normalization.table51(), normalization.table52(), normalization.finding52()):
        assert shown.data == "Too few runs of this section are complete to compare them."


def test_the_table_has_a_line_per_setting_with_the_mean_and_each_seed(write):
    write(
        "section51",
        ("binarynet/bop", 0.01, 1e-6, 0, 0.25, 0.50),
        ("binarynet/bop", 0.01, 1e-6, 1, 0.27, 0.51),
        ("binarynet/bop", 1e-4, 1e-6, 0, 0.67, 0.671),
    )
    *_, first, second = normalization.table51().data.splitlines()
    assert first == "| 0.01 | 10⁻⁶ | 26.0 (25.0, 27.0) | 50.5 (50.0, 51.0) | 24.5 (25.0, 24.0) |"
    assert second == "| 10⁻⁴ | 10⁻⁶ | 67.0 | 67.1 | 0.1 |"


def rows(experiment, recorded, gain, seeds):
    return [
        (experiment, 0.003, 0.0, seed, recorded, recorded + gain + seed / 1000)
        for seed in range(seeds)
    ]


LATENT = rows("binarynet/default", 0.77, 0.0, 3)


def test_one_rule_or_two_seeds_decide_nothing(write):
    write("section52", *rows("binarynet/bop", 0.73, 0.03, 3))
    assert normalization.finding52().data == (
        "Of the protocol's 9 runs, 3 are complete. "
        "With fewer than 3 seeds of a rule, **nothing is decided**."
    )
    write("section52", *rows("binarynet/bop_sec52", 0.73, 0.03, 2), *LATENT)
    assert "5 are complete" in normalization.finding52().data
    *_, first, second = normalization.table52().data.splitlines()
    assert first.startswith("| Bop by the paper's schedule | 73.0 (73.0, 73.0) |")
    assert second.startswith("| latent weights with Adam |")


@pytest.mark.parametrize(("gain", "verdict"), [(0.03, "a part of"), (-0.03, "no part of")])
def test_three_seeds_decide_by_the_interval(write, gain, verdict):
    for experiment, name in (("bop", "Bop at τ = 0"), ("bop_sec52", "Bop by the paper's schedule")):
        write("section52", *rows(f"binarynet/{experiment}", 0.73, gain, 3), *LATENT)
        said = normalization.finding52().data
        assert said.startswith(f"Between {name} and latent weights, the lag **explains {verdict}")
        assert f"{name} is **behind** latent weights with Adam" in said


def test_lags_that_differ_less_than_their_spread_decide_nothing(write):
    bop = rows("binarynet/bop", 0.73, 0.01, 3)
    bop[0] = (*bop[0][:-1], 0.70)
    write("section52", *bop, *LATENT)
    assert "it is **not decided** whether the lag" in normalization.finding52().data
