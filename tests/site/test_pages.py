"""Every page of the built book, in a real browser with the network off."""

import pytest

pytestmark = pytest.mark.browser


def test_asks_nothing_of_other_servers(visit, page_name):
    assert visit(page_name).foreign == []


def test_finds_all_it_loads(visit, page_name):
    seen = visit(page_name)
    assert seen.failed == []
    assert seen.facts["brokenImages"] == []


def test_console_is_silent(visit, page_name):
    assert visit(page_name).console == []


def test_maths_is_typeset(visit, page_name):
    facts = visit(page_name).facts
    assert facts["rawMaths"] == []
    assert facts["mathErrors"] == []


def test_interactive_pictures_are_alive(visit, page_name):
    facts = visit(page_name).facts
    assert facts["aliveExplorers"] == facts["explorers"]


def test_figures_say_what_they_show(visit, page_name):
    assert visit(page_name).facts["unlabelledFigures"] == 0


def test_is_light(visit, page_name):
    """Under 2 MB with all it loads, uncompressed; the page on γ and τ holds 128 pictures."""
    sizes = visit(page_name).sizes
    limit = 3e6 if page_name.endswith("gamma_tau") else 2e6
    assert sum(sizes.values()) < limit, sorted(sizes.items(), key=lambda item: -item[1])[:5]


def test_no_cell_left_a_traceback_or_a_warning(visit, page_name):
    assert visit(page_name).facts["stderr"] == []


def test_does_not_scroll_sideways_on_a_phone(visit, page_name):
    seen = visit(page_name, phone=True)
    assert seen.facts["folded"] == 0  # solutions count too
    assert seen.facts["width"] <= seen.facts["screen"], seen.facts["tooWide"]


def test_formulas_begin_on_a_phones_screen(visit, page_name):
    assert visit(page_name, phone=True).facts["cutMaths"] == []


def test_pictures_keep_their_edges_on_a_phone(visit, page_name):
    assert visit(page_name, phone=True).facts["cutExplorers"] == 0


def test_sentences_in_a_table_have_room_on_a_phone(site, open_page, page_name):
    page, _ = open_page(f"{site}/{page_name}.html", phone=True)
    widths = page.evaluate("""() => [...document.querySelectorAll("table.bop-sentences td")]
        .filter((cell) => cell.textContent.trim() && cell.offsetParent)
        .map((cell) => cell.clientWidth)""")
    assert min(widths, default=390) > 0.75 * 390
    if page_name.endswith("reliability"):
        assert len(widths) > 100
