"""The built book as a whole: the way in, search, the contents on a phone, and every link."""

import re
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from typer.main import get_command

from bopkit import cli

ROOT = Path(__file__).resolve().parents[2]


def test_the_root_leads_to_the_index(html, index):
    assert f'content="0; url={index}.html"' in (html / "index.html").read_text()


@pytest.mark.browser
def test_search_finds_the_optimizer(site, open_page):
    with open_page(f"{site}/search.html?q=threshold") as visit:
        optimizers = '#search-results li a[href*="api/optimizers"]'
        visit.page.wait_for_selector(optimizers, timeout=15_000)
        assert visit.foreign == []


@pytest.mark.browser
def test_a_phone_can_open_the_contents(site, index, open_page):
    with open_page(f"{site}/{index}.html", phone=True) as visit:
        visit.page.locator("button.primary-toggle").first.click()
        visit.page.wait_for_function(  # it slides in
            "document.querySelector('.bd-sidebar-primary .bd-links a')"
            ".getBoundingClientRect().x >= 0",
            timeout=5_000,
        )


class Links(HTMLParser):
    """Collects what a page refers to, and the anchors it offers."""

    def __init__(self):
        super().__init__()
        self.references, self.anchors, self.metas = [], set(), {}

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "meta":
            self.metas[attrs.get("name") or attrs.get("property")] = attrs.get("content")
        self.anchors |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        self.references += [attrs[key] for key in ("href", "src") if attrs.get(key)]


@cache
def links(path: Path) -> Links:
    """What stands in one HTML file; each is parsed once."""
    parser = Links()
    parser.feed(path.read_text(encoding="utf8"))
    return parser


def test_links_lead_somewhere(html, page_name):
    here = html / f"{page_name}.html"
    broken = []
    for reference in links(here).references:
        parts = urlsplit(reference)
        if parts.scheme or parts.netloc:
            continue  # another site; the build works with no network
        if parts.fragment.startswith("run=") and page_name.endswith("/playground"):
            continue  # a setting: tests/site/test_playground_page.py follows such links
        target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
        if target.is_dir():
            target /= "index.html"
        if not target.is_file() or (
            parts.fragment and unquote(parts.fragment) not in links(target).anchors
        ):
            broken.append(reference)
    assert broken == []


def test_says_what_it_is_about(html, page_name):
    metas = links(html / f"{page_name}.html").metas
    said = metas.get("description", "")
    assert 20 < len(said) <= 200 and "\\" not in said
    assert metas["og:description"] == said and metas["og:title"] and metas["og:site_name"]


def test_the_poster_can_be_downloaded(html, index):
    references = links(html / f"{index}.html").references
    for name in ("poster.pdf", "poster.svg"):
        assert any(urlsplit(reference).path.endswith(f"/{name}") for reference in references), name


def test_a_notebooks_page_says_how_to_run_it(html, page_name):
    text = (html / f"{page_name}.html").read_text(encoding="utf8")
    path = f"{page_name}.ipynb"
    ways = ["<code>make lab</code> in a copy" in text, f"?urlpath=lab/tree/{path}" in text]
    assert sum(ways) == (ROOT / path).is_file()  # one of the two, on notebooks alone


def commands(group):
    """The commands that take something."""
    for command in group.commands.values():
        if hasattr(command, "commands"):
            yield from commands(command)
        elif command.params:  # the page says in its own words what `bopkit experiments` lists
            yield command


@pytest.mark.parametrize("command", list(commands(get_command(cli.app))), ids=lambda one: one.name)
def test_the_command_line_page_shows_the_real_help(html, command):
    page = (html / "book/reference/cli.html").read_text(encoding="utf8")
    # Without what the build adds: elements, curly quotes, other line ends.
    text = " ".join(unescape(re.sub("<[^>]*>", "", page)).replace("\u2019", "'").split())
    told = [*command.help.split("\n\n"), *(parameter.help for parameter in command.params)]
    assert [one for one in told if " ".join(one.replace("`", "").split()) not in text] == []


def test_no_table_is_left_as_text(html, page_name):
    """A row of dashes with too many or too few cells makes a paragraph of a table."""
    text = (html / f"{page_name}.html").read_text(encoding="utf8")
    assert re.findall(r"<p>\|[^<]*\|\s*(?:---|—|–)[^<]*\|", text) == []


def test_a_table_that_goes_on_beyond_the_screen_fades_out(site, open_page):
    with open_page(f"{site}/book/reproduction/results.html", phone=True) as visit:
        wide = """() => {
            const tables = [...document.querySelectorAll('.bd-article table')].filter(table =>
                ['auto', 'scroll'].includes(getComputedStyle(table).overflowX) &&
                table.scrollWidth > table.clientWidth + 4);
            return tables.length && tables.every(table => table.matches('.bop-more'));
        }"""
        visit.page.wait_for_function(wide, timeout=10_000)
