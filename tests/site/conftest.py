"""The built book on a loopback port, and a headless Chromium that can reach nothing else.

Each page is opened once at each width, and what was seen is kept: the tests read it.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
DESKTOP, PHONE = 1280, 390

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pages() -> list[str]:
    """Every page that _toc.yml names, in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    found = [toc["root"]]

    def walk(entry: dict) -> None:
        for key in ("parts", "chapters", "sections"):
            for child in entry.get(key, []):
                if "file" in child:
                    found.append(child["file"])
                walk(child)

    walk(toc)
    return found


@dataclass
class Visit:
    """What a browser saw on one page."""

    foreign: list[str] = field(default_factory=list)  # asked of anything but the site
    failed: list[str] = field(default_factory=list)  # asked of the site, in vain
    console: list[str] = field(default_factory=list)  # errors, and exceptions nobody caught
    sizes: dict[str, int] = field(default_factory=dict)  # bytes of all that was loaded
    facts: dict = field(default_factory=dict)


# What is folded away is part of the page: solutions, and cells that hide their input.
UNFOLD = """() => {
    const style = document.createElement('style');
    style.textContent = '.admonition.toggle * { transition: none !important }';  // at once
    document.head.append(style);
    for (const box of document.querySelectorAll('.bd-article details')) box.open = true;
    for (const box of document.querySelectorAll('.bd-article .toggle-hidden'))
        box.classList.remove('toggle-hidden');
}"""

# Run in the page once it has settled, with nothing folded away.
LOOK = r"""() => ({
    folded: ['details:not([open])', '.toggle-hidden']
        .map(what => document.querySelectorAll('.bd-article ' + what).length)
        .reduce((sum, count) => sum + count),
    unlabelledFigures: document.querySelectorAll('.bop-figure svg[aria-hidden]').length,
    maths: document.querySelectorAll('.math').length,
    rawMaths: [...document.querySelectorAll('.math')]
        .filter(node => !node.querySelector('.katex-html'))
        .map(node => node.textContent),
    cutMaths: [...document.querySelectorAll('.katex-display .base:first-child')]
        .filter(node => node.getBoundingClientRect().left < 0)
        .map(node => node.parentNode.textContent),
    mathErrors: [...document.querySelectorAll('.katex-error')].map(node => node.title),
    cutExplorers: [...document.querySelectorAll('.bop-explorer')].filter(picture => {
        const box = picture.getBoundingClientRect();
        for (let node = picture.parentElement; node !== document.body; node = node.parentElement)
            if (getComputedStyle(node).overflowX !== 'visible')
                if (node.getBoundingClientRect().left > box.left) return true;
        return box.left < 0;
    }).length,
    explorers: document.querySelectorAll('.bop-explorer').length,
    aliveExplorers: document.querySelectorAll('.bop-explorer form:not([hidden])').length,
    stderr: [...document.querySelectorAll('.output.stderr, .output.traceback')]
        .map(node => node.innerText.slice(0, 200)),
    brokenImages: [...document.images].filter(image => image.complete && !image.naturalWidth)
        .map(image => image.src),
    screen: innerWidth,
    width: document.documentElement.scrollWidth,
    tooWide: [...document.querySelectorAll('.bd-article *')]
        .filter(node => node.getBoundingClientRect().right > innerWidth + 1)
        .slice(0, 5).map(node => node.outerHTML.slice(0, 120)),
})"""

# Each interactive picture has unpacked what its sliders show.
SETTLED = "() => document.querySelectorAll('.bop-explorer form[hidden]').length === 0"


def pytest_generate_tests(metafunc):
    """A test that takes `page_name` runs once for each page of the book."""
    if "page_name" in metafunc.fixturenames:
        metafunc.parametrize("page_name", pages())


@pytest.fixture(scope="session")
def index() -> str:
    """Name of the book's first page."""
    return pages()[0]


@pytest.fixture(scope="session")
def html(require) -> Path:
    """The folder of the built book."""
    require((HTML / "index.html").is_file(), "the book is not built; run `make book`")
    return HTML


@pytest.fixture(scope="session")
def site(html) -> Iterator[str]:
    """Address of a server of the built book."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=html))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser(require) -> Iterator:
    """A headless Chromium that is already on the machine: nothing is downloaded."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    paths = [os.environ.get("BOPKIT_CHROMIUM"), *(shutil.which(name) for name in names)]
    path = next(filter(None, paths), None)
    require(path is not None, "no Chromium found (on Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def open_page(browser) -> Callable:
    """`open_page(address, phone=False, **context)`: a settled page, unfolded, and what was seen."""

    def open_page(address: str, *, phone: bool = False, **options):
        viewport = {"width": PHONE if phone else DESKTOP, "height": 900}
        context = browser.new_context(viewport=viewport, **options)
        page, visit = context.new_page(), Visit()
        origin = "file://" if address.startswith("file://") else "/".join(address.split("/")[:3])

        def gate(route):
            url = route.request.url
            if url.startswith((origin, "data:", "blob:")):
                route.continue_()
            else:
                visit.foreign.append(url)
                route.abort()

        def heard(message):
            if message.type == "error":
                visit.console.append(f"{message.text} ({message.location.get('url', '')})")

        context.route("**/*", gate)
        page.on("console", heard)
        page.on("pageerror", lambda error: visit.console.append(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: visit.failed.append(request.url))

        def answered(response):
            if response.status >= 400:
                visit.failed.append(f"{response.status} {response.url}")
            visit.sizes[response.url] = int(response.headers.get("content-length", 0))

        page.on("response", answered)
        page.goto(address, wait_until="load")
        if options.get("java_script_enabled", True):
            try:
                page.wait_for_function(SETTLED, timeout=15_000)
            except Exception as error:  # the tests say what is missing
                visit.console.append(f"the page did not settle: {type(error).__name__}")
            page.evaluate(UNFOLD)
            visit.facts = page.evaluate(LOOK)
        return page, visit

    return open_page


@pytest.fixture(scope="session")
def visit(site, open_page) -> Callable[..., Visit]:
    """`visit(page_name, phone=False)`: what was seen there; each is opened once."""

    @cache
    def visit(page_name: str, phone: bool = False) -> Visit:
        page, seen = open_page(f"{site}/{page_name}.html", phone=phone)
        page.context.close()
        return seen

    return visit
