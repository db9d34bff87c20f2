"""Every page of the built book, in a real browser with the network off."""

import re

import pytest

pytestmark = pytest.mark.browser


def test_asks_nothing_of_other_servers(served):
    assert served.foreign == []


def test_finds_all_it_loads(served):
    assert served.failed == []
    assert served.facts["brokenImages"] == []


def test_console_is_silent(served):
    assert served.console == []


def test_maths_is_typeset(served):
    assert served.facts["rawMaths"] == []
    assert served.facts["mathErrors"] == []


def test_interactive_pictures_are_alive(served):
    assert served.facts["aliveExplorers"] == served.facts["explorers"]


def test_figures_say_what_they_show(served):
    assert served.facts["unlabelledFigures"] == 0


def test_is_light(served):
    """Under 2 MB with all it loads, uncompressed."""
    sizes = served.sizes
    assert sum(sizes.values()) < 2e6, sorted(sizes.items(), key=lambda item: -item[1])[:5]


def test_no_cell_left_a_traceback_or_a_warning(served):
    assert served.facts["stderr"] == []


def test_code_and_what_it_prints_fit_their_column_at_a_desk(served, page_name):
    """Folded code too, but not the module's pages, because docstrings have longer lines."""
    assert "/api/" in page_name or served.facts["cutCode"] == []


def test_works_from_a_folder_without_a_server(filed, page_name, index):
    assert filed.foreign == []
    assert filed.failed == []
    assert filed.facts["maths"] > 0 or page_name != index
    assert filed.facts["rawMaths"] == []


def on_phones(served, filed):
    """A phone's window twice: where the page was loaded, and where it had been wide before."""
    return filed.facts, served.on_phone


def test_does_not_scroll_sideways_on_a_phone(served, filed):
    for seen in on_phones(served, filed):
        assert seen["folded"] == 0  # solutions count too
        assert seen["screen"] == 390
        assert seen["width"] <= seen["screen"], seen["tooWide"]


def test_formulas_begin_on_a_phones_screen(served, filed):
    for seen in on_phones(served, filed):
        assert seen["cutMaths"] == []


def test_pictures_keep_their_edges_on_a_phone(served, filed):
    for seen in on_phones(served, filed):
        assert seen["cutExplorers"] == 0


def test_panels_stand_one_above_the_other_on_a_phone(served, filed):
    for seen in on_phones(served, filed):
        assert seen["cutFigures"] == 0


def test_sentences_in_a_table_have_room_on_a_phone(served, filed, page_name):
    for seen in on_phones(served, filed):
        assert min(seen["sentences"], default=390) > 0.75 * 390
        if page_name.endswith("reliability"):
            assert len(seen["sentences"]) > 40


def test_colours_follow_the_reader_and_can_be_read(served, filed):
    for seen, scheme in ((served.facts, "light"), (served.on_phone, "dark"), (filed.facts, "dark")):
        assert seen["theme"] == scheme
        colours = seen["colours"]
        background = luminance(colours["body"]["backgroundColor"])
        assert (background < 0.5) == (scheme == "dark")
        for selector in colours.keys() - {"body", ".bop-picture text"}:
            light, dark = sorted([luminance(colours[selector]["color"]), background], reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{selector} in {scheme} (WCAG AA)"


def test_pictures_take_the_pages_colours(served, filed, scenes):
    for seen, scheme in ((served.facts, "light"), (served.on_phone, "dark"), (filed.facts, "dark")):
        ink = channels(seen["colours"][".bop-picture text"]["fill"])
        assert (sum(ink) / 3 > 150) == (scheme == "dark")


def channels(colour: str) -> list[int]:
    """Red, green and blue of `rgb(...)` or `rgba(...)`."""
    return [int(part) for part in re.findall(r"\d+", colour)[:3]]


def luminance(colour: str) -> float:
    """Relative luminance of a colour, as WCAG defines it."""
    parts = [c / 255 for c in channels(colour)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
