"""Numbers as a page and a terminal show them."""

import math
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bopkit._support.text import markdown, number, plain, shell_lines

ASCII = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.05, "0.05"), (1, "1"), (0.001, "0.001"), (1e-4, "10⁻⁴"), (3e-5, "3×10⁻⁵"),
        (1e-8, "10⁻⁸"), (2500, "2,500"), (-0.5, "-0.5"), (1e6, "10⁶"),
        (9.99e-5, "10⁻⁴"), (-1e-5, "-10⁻⁵"), (float("nan"), "nan"), (float("-inf"), "-inf"),
    ],
)  # fmt: skip
def test_a_page_shows_numbers_without_e_notation(value, text):
    assert number(value) == text


@given(st.floats(-1e300, 1e300, allow_subnormal=False))
def test_what_a_page_shows_is_the_number_to_two_digits(value):
    text = number(value).translate(ASCII).replace(",", "")
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    factor, times, power = text.rpartition("×")
    if power.startswith("10") and ("⁻" in number(value) or abs(value) >= 1e5):
        shown = sign * float(f"{factor or 1}e{power[2:]}")
    else:
        assert not times
        shown = sign * float(text)
    assert math.isclose(shown, value, rel_tol=0.051) and "e" not in number(value)


@given(st.floats(allow_nan=False))
def test_what_a_terminal_shows_is_ascii_and_can_be_read_back(value):
    assert plain(value).isascii() and math.isclose(float(plain(value)), value, rel_tol=1e-5)


def test_a_table_is_its_header_its_rule_and_its_lines():
    table = markdown(["rule", "τ", "flips"], [["Bop", "0", "3"]], right=2)
    assert table == "| rule | τ | flips |\n| --- | ---: | ---: |\n| Bop | 0 | 3 |"
    assert markdown(["a"], []) == "| a |\n| --- |"


WORDS = st.text("ab,= '\"\\$é", min_size=1, max_size=40)


@given(st.lists(WORDS, min_size=1, max_size=12), st.integers(10, 80))
def test_a_shell_joins_the_lines_of_a_command_to_the_same_words(words, width):
    lines = shell_lines(shlex.join(words), width)
    assert shlex.split(lines.replace("\\\n", "")) == words
    *broken, last = lines.split("\n")
    assert all(line.endswith("\\") for line in broken) and not last.endswith(",\\")


def test_the_hyperparameters_of_a_command_are_broken_at_commas():
    settings = ",".join(f"{name}=0.001" for name in "abcdefghijklmnopqr")
    lines = shell_lines(f"bopkit train binarynet --hparams {settings} --seed 0").split("\n")
    assert all(len(line) <= 80 for line in lines) and len(lines) > 2
