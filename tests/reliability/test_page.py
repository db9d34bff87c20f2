"""The page on reliability says how often each thing is tried; the tests' own tables know."""

import re
from pathlib import Path

import damage
import pytest
import test_fuzz
import test_hostile
import test_hostile_networks as networks
import test_supply_chain
import test_wrong_use_api
import test_wrong_use_cli
import test_wrong_use_notebooks

PAGE = Path(__file__).parents[2] / "book" / "practice" / "reliability.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf8")


def cell(page, row, column=1):
    """A cell of the row that begins like this."""
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {row}"))
    return re.split(r"(?<!\\)\|", line)[column + 1].strip()


def test_wrong_use_is_tried_as_often_as_it_says(page):
    # A package that is missing, twice, and a terminal's encoding are processes too.
    processes = len(test_wrong_use_cli.PROCESSES) + 3
    notebooks = len(test_wrong_use_notebooks.CASES) + len(test_wrong_use_notebooks.LINES)
    assert cell(page, "Command line") == f"{len(test_wrong_use_cli.CASES)} mistakes"
    assert cell(page, "The process") == f"{processes} processes"
    assert cell(page, "A notebook's parameters") == f"{notebooks} mistakes"
    assert cell(page, "Python API") == f"{len(test_wrong_use_api.CASES)} calls"


def test_damaged_images_are_as_many_as_it_says(page):
    assert cell(page, "Images cut short") == str(len(damage.BAD))
    assert cell(page, "Images of 1x1") == str(len(damage.ODD))


def test_hostile_files_are_as_many_as_it_says(page):
    # Two more are no ordinary files.
    assert cell(page, "Files that are not records") == str(len(test_hostile.RECORDS) + 2)
    assert cell(page, "Networks whose file describes") == str(len(networks.DESCRIPTIONS))
    assert cell(page, "Files that are not weights") == str(len(networks.FILES))
    assert cell(page, "Records that describe no such") == str(len(networks.RECORDS))


def test_a_folded_table_has_as_many_rows_as_its_title_says(page):
    boxes = re.findall(r"\{admonition\} (\d+) [^\n]+ tried\n(.*?)\n:::", page, re.DOTALL)
    assert len(boxes) == 5
    for count, table in boxes:
        assert len(re.findall(r"^\| ", table, re.MULTILINE)) == int(count) + 2  # header and rule


def test_properties_are_as_many_as_it_says(page):
    properties = [name for name in vars(test_fuzz) if name.startswith("test_")]
    words = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ]
    assert f"{words[len(properties)].capitalize()} properties are tried" in page


def test_the_lock_holds_as_many_packages_as_it_says(page):
    lock = (test_supply_chain.ROOT / "requirements.lock").read_text()
    packages = len(re.findall(r"^\S+==", lock, re.MULTILINE))
    assert f"{packages} packages with hashes" in page
