"""The interactive pictures of the built book, moved in a real browser with the network off."""

import itertools
import re
import shutil
from functools import cache

import pytest

from bopkit.book import pictures

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


def explorers(html):
    """Pages and names of all pictures in the built book: each that there is, and no other."""
    found = []
    for path in sorted((html / "book").rglob("*.html")):
        for name in re.findall(r'data-scene="(\w+)"', path.read_text(encoding="utf8")):
            found.append((path.relative_to(html), name))
    assert {name for _, name in found} == set(pictures.NAMES)
    return found


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
    assert explorer.locator(".bop-says").text_content() == expected, positions
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


def test_every_picture_moves_at_its_corners(html, site, open_page):
    for path, names in itertools.groupby(explorers(html), key=lambda item: item[0]):
        page, seen = open_page(f"{site}/{path.as_posix()}")
        for _, name in names:
            check(page, name)
        assert seen.console == [] and seen.foreign == []
        page.context.close()


def test_every_picture_moves_in_a_copy_opened_as_a_file(html, open_page, tmp_path):
    copy = shutil.copytree(html, tmp_path / "elsewhere")
    for path, names in itertools.groupby(explorers(copy), key=lambda item: item[0]):
        page, seen = open_page((copy / path).as_uri())
        for _, name in names:
            check(page, name)
        assert seen.console == [] and seen.failed == [] and seen.foreign == []
        page.context.close()


def test_the_first_picture_stands_above_any_maths(site, index, open_page):
    page, _ = open_page(f"{site}/{index}.html")
    tops = [
        page.locator(selector).first.bounding_box()["y"] for selector in (".bop-explorer", ".katex")
    ]
    assert tops[0] < tops[1]
    assert page.locator(".bop-slider input").first.bounding_box()["y"] < 900  # without scrolling
    page.context.close()


def test_a_keyboard_moves_it(site, index, open_page):
    page, _ = open_page(f"{site}/{index}.html")
    explorer = page.locator(".bop-explorer").first
    before, slider = look(explorer), explorer.locator("input[type=range]").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert look(explorer) != before
    assert slider.get_attribute("aria-valuetext") == explorer.locator("output").first.inner_text()
    page.context.close()


def test_a_finger_moves_it_on_a_phone(site, index, open_page):
    page, _ = open_page(f"{site}/{index}.html", phone=True, has_touch=True)
    explorer = page.locator(".bop-explorer").first
    before, slider = look(explorer), explorer.locator("input[type=range]").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box["height"] >= 24  # WCAG 2.2, target size
    page.touchscreen.tap(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    assert look(explorer) != before
    page.context.close()


def test_without_javascript_there_are_pictures_words_and_maths(html, site, open_page):
    for path, name in explorers(html):
        page, _ = open_page(f"{site}/{path.as_posix()}", java_script_enabled=False)
        explorer = page.locator(f'[data-scene="{name}"]').first
        assert explorer.locator(".bop-picture svg").is_visible()
        assert explorer.locator(".bop-says").inner_text()
        assert not explorer.locator("form").is_visible()
        assert "With JavaScript on" in explorer.inner_text()
        assert page.locator(".math").count() == page.locator(".math:has(.katex)").count()
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_take_the_pages_colours(site, index, open_page, scheme):
    page, _ = open_page(f"{site}/{index}.html", color_scheme=scheme)
    ink = page.locator(".bop-picture text").first.evaluate("node => getComputedStyle(node).fill")
    brightness = sum(int(part) for part in re.findall(r"\d+", ink)[:3]) / 3
    assert (brightness > 150) == (scheme == "dark")
    page.context.close()
