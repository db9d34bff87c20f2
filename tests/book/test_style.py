"""What a page gets of a figure: its own colours and type, a label, nothing twice."""

import itertools
import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from bopkit.book import style


@pytest.fixture
def figure():
    with mpl.rc_context(style.STYLE):
        figure, axis = style.new_figure(4, 3)
    axis.plot([0, 1], [0, 1], color=style.BOP, label="0.123456")
    style.dots(axis, np.arange(50), np.zeros(50), color=style.FAINT)
    axis.set_ylim(0, 1)
    style.verticals(axis, [1, 2, 3], color=style.LATENT)
    axis.set_title("0.0001 < 0.001")
    figure.description = 'One "line" & dots'
    return figure


def test_a_page_decides_the_colours(figure):
    svg = style.inline_svg(figure)
    assert "var(--bop-blue, #0072B2)" in svg and "var(--bop-ink, #333333)" in svg
    # Text stays text, in the page's type.
    assert "var(--bop-sans" in svg and "<text" in svg


def test_it_is_one_element_with_a_label_and_no_id_that_nothing_uses(figure):
    svg = style.inline_svg(figure)
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-label") == 'One "line" & dots'
    ids = re.findall(r' id="([^"]+)"', svg)
    assert all(f"#{name}" in svg for name in ids)
    assert root.get("width") is None and root.get("viewBox")


def test_coordinates_are_shortened_and_text_is_not(figure):
    svg = style.inline_svg(figure)
    assert "0.0001" in svg and "0.001" in svg
    assert not re.search(r'd="[^"]*\d\.\d{3}', svg)


def test_many_dots_and_lines_are_one_path_each(figure):
    assert style.inline_svg(figure).count("<use") < 40  # the axes' ticks


def test_a_figure_without_description_is_decoration():
    figure, _ = style.new_figure(2, 2)
    assert 'aria-hidden="true"' in style.inline_svg(figure)


def test_a_notebook_gets_the_svg_and_a_page_html(figure, monkeypatch):
    monkeypatch.delenv("BOPKIT_PAGE", raising=False)
    assert figure._repr_html_() is None and figure._repr_svg_().startswith("<?xml")
    monkeypatch.setenv("BOPKIT_PAGE", "1")
    assert figure._repr_html_().startswith('<div class="bop-figure"><svg')


@pytest.fixture
def row(monkeypatch):
    """`row(columns, ...)`: what a page shows of a figure with a panel per column."""
    monkeypatch.setenv("BOPKIT_PAGE", "1")

    def draw(columns, rows=1, **kwargs):
        with mpl.rc_context(style.STYLE):  # titles stand at the left
            figure, axes = style.new_figure(8, 3, rows, columns, **kwargs)
            for number, axis in enumerate(np.atleast_1d(axes).ravel()):
                axis.set(title=f"panel {number}", ylabel="long words " * 2)
        figure.description = "What there is to see"
        return figure._repr_html_()

    return draw


@pytest.mark.parametrize("columns", [2, 3])
def test_panels_in_a_row_are_windows_onto_one_drawing(row, columns):
    html = row(columns)
    assert html.count("<text") > 0 and html.count("panel 0") == 1  # drawn once
    boxes = [[float(n) for n in b.split()] for b in re.findall(r'viewBox="([^"]*)"', html)]
    assert len(boxes) == columns and html.count('role="img" aria-label="What there is') == 1
    for one, other in itertools.pairwise(boxes):  # without a gap or an overlap
        assert one[0] + one[2] == pytest.approx(other[0], abs=0.11)
    assert boxes[0][0] == 0 and boxes[-1][0] + boxes[-1][2] == pytest.approx(8 * 72, abs=0.11)
    # Each title stands well within its own window.
    for number, (left, _, width, _) in enumerate(boxes):
        x = float(re.search(rf'<text[^>]* x="([^"]*)"[^>]*>panel {number}<', html)[1])
        assert left < x < left + width / 2


@pytest.mark.parametrize(
    "kwargs", [{"columns": 1}, {"columns": 2, "rows": 2}, {"columns": 2, "sharey": True}]
)
def test_other_figures_stay_in_one_piece(row, kwargs):
    assert "bop-panels" not in row(**kwargs)


def test_colours_differ_in_lightness():
    """In print, and to an eye that sees no hue, the two main colours are still two."""

    def lightness(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    assert lightness(style.LATENT) - lightness(style.BOP) > 0.05
    sequence = [lightness(colour) for colour in style.SEQUENCE]
    assert sequence == sorted(sequence, reverse=True)
