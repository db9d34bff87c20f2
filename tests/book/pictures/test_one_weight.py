"""One weight under Bop, drawn at every corner of what it takes."""

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bopkit.book.pictures import one_weight

INDEX = Path(__file__).resolve().parents[3] / "book" / "index.md"


@pytest.mark.parametrize(
    ("threshold", "gamma"), list(itertools.product([0.0, 1e-8, 0.1, 100.0], [1e-4, 0.05, 1.0]))
)
def test_is_drawn_whatever_the_hyperparameters(threshold, gamma):
    figure = one_weight.draw(one_weight.noisy_signal(60), threshold=threshold, gamma=gamma)
    assert ElementTree.fromstring(figure._repr_svg_()).tag.endswith("svg")


def test_the_description_counts_the_flips():
    assert "flips never" in one_weight.draw([1.0] * 9, threshold=9.0, gamma=0.5).description
    once = one_weight.draw([1.0] * 9, threshold=0.1, gamma=0.5, start=1.0).description
    assert "flips once in 9 steps" in once
    twice = one_weight.draw([1.0, -1.0], threshold=0.0, gamma=1.0, start=1.0).description
    assert "flips 2 times" in twice


def test_what_the_first_page_asks_for_can_be_done_and_no_more():
    told = [one_weight.SCENE.draw(**values).description for values in one_weight.SCENE.grid()]
    wrong = [re.search(r"wrong (\d+) %", text)[1] for text in told if "flips 3 times" in text]
    asked = re.search(r"wrong\s+only (\d+) % of the time", INDEX.read_text(encoding="utf8"))[1]
    assert min(wrong, key=int) == asked


def test_the_description_says_how_long_the_weight_is_wrong():
    """It follows the last gradient: wrong before the first step's flip, and never after it."""
    gradients = [-1.0, -1.0, 1.0, 1.0]
    always = one_weight.draw(gradients, threshold=9.0, gamma=1.0, mean=gradients).description
    assert "wrong 50 % of the time" in always
    follows = one_weight.draw(gradients, threshold=0.5, gamma=1.0, mean=gradients).description
    assert "wrong 0 % of the time" in follows
