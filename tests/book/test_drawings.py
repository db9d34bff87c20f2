"""What book/_art/draw.py draws: the logo, the hero and the poster, true to rules and records."""

import itertools
import re
import statistics
import sys
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from bopkit import records

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static"
SECTION_52 = ROOT / "results" / "fashion_mnist" / "section52"
LOGO = ("logo.svg", "logo-dark.svg", "favicon.svg")
KILOBYTE = 1000


@pytest.fixture(scope="module", autouse=True)
def tools():
    sys.path.insert(0, str(ROOT / "book" / "_art"))
    yield
    sys.path.remove(str(ROOT / "book" / "_art"))


@pytest.fixture(scope="module")
def drawn(tools, tmp_path_factory):
    import draw

    folder = tmp_path_factory.mktemp("drawn")
    draw.draw(folder)
    return folder


@pytest.fixture(scope="module")
def poster(tools):
    import poster

    return poster.poster()


@pytest.fixture(scope="module")
def measured():
    """The two methods that the poster sets side by side; the records hold others too."""
    top_1 = {"latent": [], "bop": []}
    for run in records.collect(SECTION_52):
        if run["config"]["method"] in top_1:
            value = 100 * run["epochs"][-1]["val_accuracy"]
            top_1[run["config"]["method"]].append(value)
    return [f"{statistics.mean(v):.2f} ± {statistics.stdev(v):.2f}" for v in top_1.values()]


def words(path):
    """The title and the description of an SVG, which say all that is drawn."""
    root = ElementTree.parse(path).getroot()
    return [root.findtext(f"{{http://www.w3.org/2000/svg}}{name}") for name in ("title", "desc")]


def shapes(path):
    """All elements of an SVG: name, text, and attributes with their numbers to a tenth."""
    rounded = partial(re.sub, r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}")
    return [
        (
            element.tag.rpartition("}")[2],
            (element.text or "").strip(),
            {key: rounded(value) for key, value in element.attrib.items()},
        )
        for element in ElementTree.parse(path).iter()
    ]


@pytest.mark.parametrize("name", LOGO)
def test_the_logo_is_what_the_code_draws(drawn, name):
    assert shapes(drawn / name) == shapes(STATIC / name)


def test_the_p_is_the_b_flipped():
    import logo

    b, _, p = logo.LETTERS
    flipped = [(-bottom, -top, opacity) for top, bottom, opacity in logo._stems(b)]
    assert flipped == logo._stems(p)


@pytest.mark.parametrize("name", ["hero.svg", "poster.svg"])
def test_what_stands_in_the_repository_says_what_the_code_draws(drawn, name):
    title, description = words(STATIC / name)
    assert title and description
    assert words(drawn / name) == [title, description]
    assert "<dc:date>" not in (drawn / name).read_text(encoding="utf8")  # drawn again, the same


@pytest.mark.parametrize(
    ("name", "limit"),
    [("poster.pdf", 300), ("poster.svg", 1000), ("hero.svg", 150), ("hero.png", 150)],
)
def test_files_are_small(name, limit):
    assert (STATIC / name).stat().st_size < limit * KILOBYTE


def test_the_poster_is_one_a3_page_of_text(measured):
    pdf = (STATIC / "poster.pdf").read_bytes()
    assert pdf.count(b"/Type /Page ") == 1
    assert b"/MediaBox [ 0 0 1190.55" in pdf
    assert b"/CreationDate" not in pdf
    assert b"DejaVuSans" in pdf  # embedded, so that its words can be searched
    for number in measured:
        assert number.encode("utf-16-be") in pdf


def test_the_poster_shows_what_was_measured_and_what_the_paper_reports(poster, measured):
    import poster_cells

    page, description = poster
    shown = {text.get_text() for text in page.figure.findobj(Text)}
    reported = [number for row in poster_cells.PAPER.values() for number in row]
    notebooks = "".join(
        (ROOT / "book" / "reproduction" / name).read_text(encoding="utf8")
        for name in ("cifar10.ipynb", "imagenet.ipynb")
    )
    for number in measured + reported:
        assert number in shown
        assert number in description
    for number in reported:
        assert f"({number}," in notebooks


def test_nothing_on_the_poster_overlaps_or_leaves_the_page(poster):
    page, _ = poster
    renderer = page.figure.canvas.get_renderer()
    boxes = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in page.figure.findobj(Text)
        if text.get_text() and text.get_visible()
    ]
    assert len(boxes) > 80
    width, height = page.figure.bbox.size
    for text, box in boxes:
        assert box.x0 > 0.04 * width and box.x1 < 0.96 * width, text
        assert box.y0 > 0.02 * height and box.y1 < 0.98 * height, text
    touch = page.figure.dpi / 25.4  # a millimetre, less than the space that a line keeps free
    clashes = [
        (a, b)
        for (a, one), (b, other) in itertools.combinations(boxes, 2)
        if min(one.x1, other.x1) - max(one.x0, other.x0) > touch
        and min(one.y1, other.y1) - max(one.y0, other.y0) > touch
    ]
    assert clashes == []


def test_the_hero_shows_weights_that_come_to_rest():
    import hero

    history, run = hero.weights_over_time()
    assert history.shape == (hero.ROWS, hero.STEPS)
    assert np.all(np.abs(history) == 1)
    assert np.all(np.diff(history[:, -1]) >= 0)  # -1 above, +1 below
    flips = np.count_nonzero(np.diff(history, axis=1), axis=0)
    assert flips[:50].sum() > 50 * flips[-50:].sum()
    assert run.accuracy[-1] > 0.9


def test_the_hero_fits_a_links_preview():
    with Image.open(STATIC / "hero.png") as image:
        assert image.size == (1200, 630)
