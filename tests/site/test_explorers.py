"""The interactive pictures of the built book, moved in a real browser with the network off."""

import itertools
import re
from functools import cache

import pytest

from bopkit.book import live, pictures

pytestmark = pytest.mark.browser

MOVE = """(explorer, [field, value]) => {
    const box = explorer.querySelectorAll('form > *')[field];
    const inputs = box.querySelectorAll('input');
    if (inputs[0].type === 'range') inputs[0].value = value;
    else inputs[value].checked = true;
    inputs[0].dispatchEvent(new Event('input', {bubbles: true}));
}"""
SIZES = "form => [...form.children].map(field => Number(field.dataset.size))"
POSITIONS = """form => [...form.children].map(
    field => Number(field.querySelector('input[type=range], input:checked').value))"""


@cache
def told(name, positions):
    """What the picture says at these positions of its sliders, drawn anew."""
    scene = pictures.get(name)
    values = {s.name: s.values[i] for s, i in zip(scene.sliders, positions, strict=True)}
    return scene.draw(**values).description


def look(explorer):
    """The picture that is shown, once it is known to be that of its sliders' positions.

    The label and the words below quote the sliders' values. So they are held to what is drawn
    for those, and left out of what is returned: two of these are the same if they look the same.
    """
    positions = tuple(explorer.locator("form").evaluate(POSITIONS))
    expected = told(explorer.get_attribute("data-scene"), positions)
    svg = explorer.locator(".bop-picture svg")
    says = explorer.locator(".bop-says").text_content()
    assert says == expected.replace(" %", "\u00a0%"), positions  # no line ends before the sign
    assert svg.get_attribute("aria-label") == expected, positions
    return svg.inner_html()


def check(page, name):
    """Every slider moved to its ends and back: another picture, and the words that belong to it."""
    explorer = page.locator(f'[data-scene="{name}"]').first
    sizes = explorer.locator("form").evaluate(SIZES)
    assert look(explorer)
    between = tuple((1 + place) % size for place, size in enumerate(sizes))
    corners = {}
    for corner in (between, *itertools.product(*((0, size - 1) for size in sizes))):
        for field, value in enumerate(corner):
            explorer.evaluate(MOVE, [field, value])
        corners[corner] = look(explorer)
    del corners[between]
    assert len(set(corners.values())) > len(corners) / 2
    for field in range(len(sizes)):
        opposite = {corner: corner[:field] + corner[field + 1 :] for corner in corners}
        pairs = itertools.groupby(sorted(corners, key=opposite.get), key=opposite.get)
        assert any(len({corners[corner] for corner in pair}) > 1 for _, pair in pairs), field


def test_every_picture_moves_at_its_corners(served, scenes):
    for name in scenes:
        check(served.page, name)
    assert served.console == [] and served.foreign == []


def test_every_picture_moves_in_a_copy_opened_as_a_file(filed, scenes):
    for name in scenes:
        check(filed.page, name)
    assert filed.console == [] and filed.foreign == []


def test_the_built_book_has_every_picture_once(html):
    found = re.findall(
        r'data-scene="(\w+)"',
        "".join(page.read_text(encoding="utf8") for page in (html / "book").rglob("*.html")),
    )
    assert set(found) == set(pictures.NAMES)


def test_the_first_picture_stands_above_any_maths(site, index, open_page):
    with open_page(f"{site}/{index}.html") as visit:
        page = visit.page
        tops = [
            page.locator(selector).first.bounding_box()["y"]
            for selector in (".bop-explorer", ".katex")
        ]
        assert tops[0] < tops[1]
        assert (
            page.locator(".bop-slider input").first.bounding_box()["y"] < 900
        )  # without scrolling


def test_a_keyboard_moves_it(site, drawn_page, open_page):
    with open_page(f"{site}/{drawn_page}.html") as visit:
        explorer = visit.page.locator(".bop-explorer:not(.bop-live)").first
        before, slider = look(explorer), explorer.locator("input[type=range]").first
        slider.focus()
        visit.page.keyboard.press("ArrowRight")
        assert look(explorer) != before
        text = explorer.locator("output").first.inner_text()
        assert slider.get_attribute("aria-valuetext") == text


# What a notebook's own style sheet decides is left out: ink, paper and grid.
COLOURS = """() => Object.fromEntries(
    [...document.querySelectorAll('svg *')].map(mark => {
        const {fill, stroke} = getComputedStyle(mark);
        return [mark.getAttribute('class'), [fill, stroke]];
    }))"""
MARKS = "".join(
    f'<rect class="{kind}"/>'
    for kind in [*(f"cell-{k}" for k in range(5)), "bop", "latent", "border"]
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_notebook_has_the_colours_of_a_page(browser, theme):
    explorer = f'<div class="bop-explorer bop-live"><svg>{MARKS}</svg></div>'
    places = {
        "page": f'<html data-theme="{theme}"><body>',
        "notebook": f'<html><body data-jp-theme-light="{str(theme == "light").lower()}">',
    }
    found = []
    page = browser.new_page()
    for start in places.values():
        page.set_content(f"{start}<style>{live.styles()}</style>{explorer}")
        found.append(page.evaluate(COLOURS))
    page.close()
    assert found[0] == found[1]
    assert len({str(colours) for colours in found[0].values()}) == len(found[0])


def test_a_finger_moves_it_on_a_phone(site, index, open_page):
    with open_page(f"{site}/{index}.html", phone=True, has_touch=True) as visit:
        explorer = visit.page.locator(".bop-explorer").first
        says, slider = explorer.locator(".bop-says"), explorer.locator("input[type=range]").first
        before = says.text_content()
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box["height"] >= 24  # WCAG 2.2, target size
        place = box["x"] + box["width"] - 4, box["y"] + box["height"] / 2
        visit.page.touchscreen.tap(*place)
        assert says.text_content() != before


def test_without_javascript_there_are_pictures_words_and_maths(
    site, open_page, page_name, all_scenes
):
    with open_page(f"{site}/{page_name}.html", java_script_enabled=False) as visit:
        for name in all_scenes:
            explorer = visit.page.locator(f'[data-scene="{name}"]').first
            assert explorer.locator(".bop-picture svg").is_visible()
            assert explorer.locator(".bop-says").inner_text()
            assert not explorer.locator("form").is_visible()
            assert "With JavaScript on" in explorer.inner_text()
        maths = visit.page.locator(".math")
        assert maths.count() == visit.page.locator(".math:has(.katex)").count()
