"""What a sweep varies: its runs, their names, and the lines that a user types."""

import pytest

from bopkit import experiments
from bopkit.errors import ConfigError
from bopkit.training import variations

BASE = experiments.get("binarynet/bop")


def test_section_51_is_five_settings():
    runs = variations.vary(BASE, variations.SECTION_51, range(2))
    settings = {(e.gamma, e.threshold) for e, _ in runs.values()}
    assert settings == {(1e-2, 1e-6), (1e-3, 1e-6), (1e-4, 1e-6), (1e-3, 0.0), (1e-3, 1e-5)}
    assert len(runs) == 10 and "gamma-0.01_threshold-1e-06_seed1" in runs
    assert {e.epochs for e, _ in runs.values()} == {100}


def test_a_list_that_papermill_hands_over_as_text_is_a_list():
    as_text = variations.vary(BASE, {"gamma": "[0.01, 1e-3]", "threshold": "0"})
    assert as_text == variations.vary(BASE, {"gamma": [0.01, 1e-3], "threshold": [0.0]})


def test_runs_have_one_name_where_their_settings_are_one_and_two_where_they_are_two():
    runs = variations.vary(
        BASE, {"gamma": [1e-3, 0.0012345678, 0.0012345679], "threshold": [0.0, -0.0]}
    )
    assert list(runs) == [
        "gamma-0.001_threshold-1e-06_seed0",
        "gamma-0.0012345678_threshold-1e-06_seed0",
        "gamma-0.0012345679_threshold-1e-06_seed0",
        "gamma-0.001_threshold-0_seed0",
    ]
    assert list(variations.vary(BASE, {"epochs": [100, 1234567]})) == [
        "epochs-100_seed0",
        "epochs-1234567_seed0",
    ]


def test_seeds_may_be_given_one_after_the_other():
    lines = {"gamma": [1e-2, 1e-3]}
    assert variations.vary(BASE, lines, iter((3, 4))) == variations.vary(BASE, lines, [3, 4])


def test_lines_of_the_command_line():
    lines = variations.parse_lines(["gamma=1e-2, 1e-3", "threshold=0"])
    assert lines == {"gamma": ["1e-2", "1e-3"], "threshold": ["0"]}
    assert variations.parse_lines(None) == {}
    for wrong in ("gamma", "gamma=", "=3,"):
        with pytest.raises(ConfigError):
            variations.vary(BASE, variations.parse_lines([wrong]))
    with pytest.raises(ConfigError, match="did you mean gamma"):
        variations.vary(BASE, {"gama": [1]})
