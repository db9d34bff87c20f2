"""The built book on a loopback port, and a headless Chromium that can reach nothing else.

Each page is opened twice: from the server at a desk, and from a copied folder on a dark phone. All
tests of a page look at these two, one test after the other and in one process.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, sync_playwright

from bopkit.book import pictures

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


@cache
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


@cache
def scenes_on(page_name: str, live: bool = False) -> list[str]:
    """The interactive pictures that a page's source asks for: drawn in advance, or `live`."""
    source = next(ROOT.glob(f"{page_name}.*")).read_text(encoding="utf8")
    found = re.findall(r'widgets\.explore\(\\?"(\w+)|^```\{explorer\} (\w+)', source, re.MULTILINE)
    names = [cell or directive for cell, directive in found]
    return [name for name in names if pictures.get(name).live == live]


@dataclass
class Visit:
    """One open page, and what the browser saw on it."""

    page: Page
    foreign: list[str] = field(default_factory=list)  # asked of anything but the site
    failed: list[str] = field(default_factory=list)  # asked of the site, in vain
    console: list[str] = field(default_factory=list)  # errors, and exceptions nobody caught
    sizes: dict[str, int] = field(default_factory=dict)  # bytes of all that was loaded
    facts: dict = field(default_factory=dict)  # what LOOK returned, right after loading
    on_phone: dict = field(default_factory=dict)  # the same, once the window became a phone's

    @contextlib.contextmanager
    def as_on_a_dark_phone(self) -> Iterator[None]:
        """Make the window as narrow as a phone's, and dark, without loading the page again."""
        self._show(PHONE, "dark")
        yield
        self._show(DESKTOP, "light")

    def _show(self, width: int, scheme: str) -> None:
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme)
        self.page.wait_for_function(SHOWN, arg=[width, scheme], timeout=15_000)
        self.page.evaluate(STILL)


SHOWN = """([width, scheme]) =>
    innerWidth === width && document.documentElement.dataset.theme === scheme"""

# What is folded away is part of the page: solutions, and cells that hide their input.
UNFOLD = """() => {
    const style = document.createElement('style');
    style.textContent = '.admonition.toggle * { transition: none !important }';  // at once
    document.head.append(style);
    for (const box of document.querySelectorAll('.bd-article details')) box.open = true;
    for (const box of document.querySelectorAll('.bd-article .toggle-hidden'))
        box.classList.remove('toggle-hidden');
}"""

# Resolves when nothing moves and what watches sizes has run: the theme's sidebar slides in for
# 0.3 s as the window widens, and the article shrinks with every frame until then.
STILL = """async () => {
    const frame = () => new Promise(requestAnimationFrame);
    const ends = moving => Number.isFinite(moving.effect.getComputedTiming().endTime);
    await frame();
    await Promise.allSettled(document.getAnimations().filter(ends).map(moving => moving.finished));
    await frame();
    await frame();
}"""

LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf8")

# Each interactive picture has unpacked what its sliders show.
SETTLED = "() => document.querySelectorAll('.bop-explorer form[hidden]').length === 0"


# Which of a page's interactive pictures a fixture names: drawn in advance, or live.
KINDS = {"scenes": (False,), "live_scenes": (True,), "all_scenes": (False, True)}


def pytest_generate_tests(metafunc):
    """A test that takes `page_name` runs for each page; with a fixture of `KINDS`, for each that
    has such pictures.

    One that takes `notebook` runs for each page that is a notebook, and gets its file's name.
    """
    if "notebook" in metafunc.fixturenames:
        files = [f"{name}.ipynb" for name in pages()]
        metafunc.parametrize("notebook", [name for name in files if (ROOT / name).is_file()])
    if "page_name" in metafunc.fixturenames:
        kinds = [KINDS[fixture] for fixture in KINDS if fixture in metafunc.fixturenames]
        names = [n for n in pages() if all(any(scenes_on(n, k) for k in ks) for ks in kinds)]
        metafunc.parametrize("page_name", names, ids=names, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """All tests of a page together, so that it is open while they run and not longer."""
    places = {name: place for place, name in enumerate(pages())}

    def place(item):
        values = item.callspec.params if hasattr(item, "callspec") else {}
        return places.get(values.get("page_name"), -1)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `--dist loadscope`, a worker takes all tests of a page, or what else a file holds.

    xdist's own groups (`--dist loadgroup`) have no effect under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByPage(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            page = re.search(r"\[([^]]+)\]$", nodeid)
            return page[1] if page and page[1] in pages() else nodeid.split("::")[0]

    return ByPage(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def scenes(page_name) -> list[str]:
    """Names of the interactive pictures on the page that were drawn in advance."""
    return scenes_on(page_name)


@pytest.fixture(scope="session")
def live_scenes(page_name) -> list[str]:
    """Names of the interactive pictures on the page that the browser computes."""
    return scenes_on(page_name, live=True)


@pytest.fixture(scope="session")
def all_scenes(page_name) -> list[str]:
    """Names of all interactive pictures on the page."""
    return [name for live in KINDS["all_scenes"] for name in scenes_on(page_name, live)]


@pytest.fixture(scope="session")
def drawn_page() -> str:
    """Name of the first page with a picture that was drawn in advance."""
    return next(name for name in pages() if scenes_on(name))


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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def open_page(browser) -> Callable[..., contextlib.AbstractContextManager[Visit]]:
    """`with open_page(address, phone=False, **context) as visit`: a settled page, unfolded."""

    @contextlib.contextmanager
    def open_page(address: str, *, phone: bool = False, **options) -> Iterator[Visit]:
        viewport = {"width": PHONE if phone else DESKTOP, "height": 900}
        context = browser.new_context(viewport=viewport, **options)
        try:
            visit = Visit(context.new_page())
            _listen(visit, address)
            visit.page.goto(address, wait_until="load")
            if options.get("java_script_enabled", True):
                _settle(visit)
            yield visit
        finally:
            context.close()

    return open_page


def _listen(visit: Visit, address: str) -> None:
    """Note what the page asks for and says; what is not on the site is refused."""
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

    def answered(response):
        if response.status >= 400:
            visit.failed.append(f"{response.status} {response.url}")
        visit.sizes[response.url] = int(response.headers.get("content-length", 0))

    page = visit.page
    page.route("**/*", gate)
    page.on("console", heard)
    page.on("pageerror", lambda error: visit.console.append(f"uncaught: {error}"))
    page.on("requestfailed", lambda request: visit.failed.append(request.url))
    page.on("response", answered)


def _settle(visit: Visit) -> None:
    """Wait for the interactive pictures, unfold the page, and look at it."""
    try:
        visit.page.wait_for_function(SETTLED, timeout=15_000)
    except Exception as error:  # the tests say what is missing
        visit.console.append(f"the page did not settle: {type(error).__name__}")
    visit.page.evaluate(UNFOLD)
    visit.facts = visit.page.evaluate(LOOK)


@pytest.fixture(scope="session")
def served(site, open_page, page_name) -> Iterator[Visit]:
    """The page from the server at a desk, in light; seen on a dark phone too, without a reload."""
    with open_page(f"{site}/{page_name}.html", color_scheme="light") as visit:
        with visit.as_on_a_dark_phone():
            visit.on_phone = visit.page.evaluate(LOOK)
        yield visit


class MainThread:
    """How long the thread that draws a page has computed, in seconds of processor time.

    A frame's time on the clock depends on what else the machine does; this does not.
    """

    def __init__(self, page: Page):
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy(self) -> float:
        """Seconds since the page was opened."""
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        return next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    def during(self, moves: Iterable[Callable[[], object]]) -> list[float]:
        """What each move takes, until the frame that shows it has been drawn."""
        took = []
        for move in moves:
            before = self.busy()
            move()
            self.session.send("Runtime.evaluate", {"expression": NEXT_FRAME, "awaitPromise": True})
            took.append(self.busy() - before)
        return took


NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def main_thread() -> Callable[[Page], MainThread]:
    """A clock for what a page computes."""
    return MainThread


@pytest.fixture(scope="session")
def elsewhere(html, tmp_path_factory) -> Path:
    """A copy of the built book in another folder."""
    return shutil.copytree(html, tmp_path_factory.mktemp("copy") / "elsewhere")


@pytest.fixture(scope="session")
def filed(elsewhere, open_page, page_name) -> Iterator[Visit]:
    """The page opened as a file, without a server, on a phone whose reader likes it dark."""
    address = (elsewhere / f"{page_name}.html").as_uri()
    with open_page(address, phone=True, color_scheme="dark") as visit:
        yield visit
