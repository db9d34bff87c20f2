"""The book's extensions: launch buttons, a published book's addresses, and what a cell prints."""

import copy
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from docutils import nodes
from docutils.utils import new_document
from nbformat import v4
from PIL import Image
from sphinx.errors import ConfigError

TOOLS = Path(__file__).resolve().parents[2] / "book" / "_ext"


def extension(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def launch():
    return extension("launch_buttons")


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/example/bop",
        "https://github.com/example/bop.git\n",
        "https://GitHub.com/example/bop/",
        "https://user:secret@github.com/example/bop.git",
        "https://secret@github.com:443/example/bop.git",
        "git@github.com:example/bop.git",
        "github.com:example/bop",
        "ssh://git@github.com/example/bop.git",
        "ssh://git@github.com:22/example/bop",
    ],
)
def test_public_remotes_and_no_secret_of_theirs(launch, remote):
    assert launch.web_address(remote) == "https://github.com/example/bop"


def test_other_names_and_hosts(launch):
    assert launch.web_address("git@gitlab.com:a-b/c.d_e.git") == "https://gitlab.com/a-b/c.d_e"


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "/srv/git/bop.git",
        "../bop",
        "file:///srv/git/bop.git",
        "http://github.com/example/bop",
        "https://github.com/example",
        "https://github.com/example/bop/tree/main",
        "https://gitlab.com/group/subgroup/bop",
        "https://git.example.org/example/bop",
        "https://example.org/github.com/example/bop",
        "https://github.com.example.org/example/bop",
        "https://github.com/example/bop?x=<script>",
        "git@intranet:example/bop.git",
        "C:example/bop",
    ],
)
def test_what_a_reader_could_not_open(launch, remote):
    assert launch.web_address(remote) is None


def git(folder, *arguments):
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, require):
    try:
        git(tmp_path, "init")
    except FileNotFoundError:
        require(False, "git is not installed")
    return tmp_path


def test_the_address_is_the_remotes(launch, checkout):
    assert launch.repository(checkout, {}) is None
    git(checkout, "remote", "add", "origin", "git@github.com:example/bop.git")
    assert launch.repository(checkout, {}) == "https://github.com/example/bop"
    git(checkout, "remote", "set-url", "origin", str(checkout))
    assert launch.repository(checkout, {}) is None


def test_a_folder_inside_another_repository_has_no_address(launch, checkout):
    git(checkout, "remote", "add", "origin", "https://github.com/example/other")
    (checkout / "bop").mkdir()
    assert launch.repository(checkout / "bop", {}) is None


def test_the_environment_comes_first(launch, checkout):
    git(checkout, "remote", "add", "origin", "https://github.com/example/bop")
    other = {"BOPKIT_REPOSITORY": "https://gitlab.com/example/fork.git"}
    assert launch.repository(checkout, other) == "https://gitlab.com/example/fork"
    assert launch.repository(checkout, {"BOPKIT_REPOSITORY": ""}) is None
    with pytest.raises(ValueError, match=r"BOPKIT_REPOSITORY must be https.*got 'example/bop'"):
        launch.repository(checkout, {"BOPKIT_REPOSITORY": "example/bop"})


def test_a_machine_without_git(launch, checkout, monkeypatch):
    git(checkout, "remote", "add", "origin", "https://github.com/example/bop")
    monkeypatch.setenv("PATH", "")
    assert launch.repository(checkout, {}) is None


def test_what_a_cell_prints_stands_in_one_box_wherever_the_kernel_cut_it():
    pieces = ["γ = 0.1, ", "σ = 0.2", "\n 50 %\r100 %\n"]
    sent = [v4.new_output("stream", name="stdout", text=text) for text in pieces]
    sent.insert(2, v4.new_output("display_data", {"text/plain": "a picture"}))
    before = copy.deepcopy(sent)
    text, picture = extension("bopkit_site").one_box(sent)
    assert text["text"] == "γ = 0.1, σ = 0.2\n100 %\n"
    assert picture == sent[2] and sent == before


CONFIG = """\
title: A book
execute: {execute_notebooks: "off"}
sphinx:
  recursive_update: true
  local_extensions: {launch_buttons: "TOOLS", published: "TOOLS"}
"""
NOTEBOOK = """\
{"cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# Title"]}],
 "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
 "nbformat": 4, "nbformat_minor": 5}
"""
MARKDOWN = "---\nkernelspec: {name: python3, display_name: Python 3}\n---\n# Title\n"


@pytest.fixture
def build(checkout):
    """`build(**env)`: a book of three pages built as ours is; the HTML of each page by name."""
    (checkout / "_config.yml").write_text(CONFIG.replace("TOOLS", str(TOOLS)))
    (checkout / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nparts:\n- caption: Part\n  chapters:\n"
        "  - file: part/chapter\n  - file: part/numbers\n"
    )
    (checkout / "part").mkdir()
    (checkout / "index.md").write_text("# Title\n")
    (checkout / "part" / "chapter.ipynb").write_text(NOTEBOOK)
    (checkout / "part" / "numbers.md").write_text(MARKDOWN)

    def run(**env):
        command = [Path(sys.executable).with_name("jupyter-book"), "build", checkout]
        ours = ("BOPKIT_REPOSITORY", "BOPKIT_BOOK_URL")
        others = {key: value for key, value in os.environ.items() if key not in ours}
        done = subprocess.run(
            [*command, "-W", "-n", "--keep-going"],
            env=others | env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        html = checkout / "_build" / "html"
        pages = {path.stem: path.read_text(encoding="utf8") for path in html.rglob("*.html")}
        return done, pages

    return run


@pytest.mark.slow
def test_a_book_with_a_public_remote_opens_its_notebooks_on_binder(checkout, build):
    git(checkout, "remote", "add", "origin", "https://github.com/example/bop.git")
    done, pages = build(BOPKIT_BOOK_URL="https://example.org/bop")
    assert done.returncode == 0, done.stderr
    links = {name: re.findall(r'href="(https://mybinder[^"]*)"', pages[name]) for name in pages}
    path = "HEAD?urlpath=lab/tree/part/chapter.ipynb"
    assert set(links["chapter"]) == {f"https://mybinder.org/v2/gh/example/bop/{path}"}
    assert links["numbers"] == links["index"] == []  # no notebooks, though one has a kernel
    assert all('href="https://github.com/example/bop"' in pages[n] for n in ("index", "chapter"))
    assert not any("make lab" in page for page in pages.values())

    # And a book with an address: each page names its own, and a picture that is there.
    html = checkout / "_build" / "html"
    listed = ElementTree.parse(html / "sitemap.xml").getroot()
    names = ("index", "part/chapter", "part/numbers")
    assert [e.text for e in listed.iter() if e.tag.endswith("loc")] == [
        f"https://example.org/bop/{name}.html" for name in names
    ]
    for name in names:
        page = pages[name.rpartition("/")[2]]
        assert f'<link rel="canonical" href="https://example.org/bop/{name}.html"' in page
        card = re.search(r'"og:image" content="https://example.org/bop/([^"]*)"', page)[1]
        with Image.open(html / card) as picture:
            assert picture.size == (1200, 630)


def test_a_book_without_one_says_how_to_run_a_notebook_at_home(build):
    done, pages = build()
    assert done.returncode == 0, done.stderr
    assert [name for name in pages if "<code>make lab</code>" in pages[name]] == ["chapter"]
    assert not any("mybinder" in page for page in pages.values())
    # Without an address of the book none is made up.
    assert not any("canonical" in page or "og:image" in page for page in pages.values())


def test_a_books_address_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("BOPKIT_BOOK_URL", "example.org")
    with pytest.raises(
        ConfigError, match=r"must be the book's address, such as https.*example\.org"
    ):
        extension("published").read_address(None, SimpleNamespace())


@pytest.mark.slow
def test_a_wrong_address_fails_the_build_with_one_line(build):
    done, _ = build(BOPKIT_REPOSITORY="nowhere")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if "BOPKIT_REPOSITORY" in line]
    assert len(said) == 1 and "must be https://HOST/OWNER/NAME" in said[0]


def test_a_page_is_described_by_its_first_sentences():
    paragraphs = [
        "The command.",
        "Bop flips a weight. It keeps an average of its gradient.",
        "With \\tau = 0 it asks for less.",
        "A sentence that is cut off:",
        f"This one is {'very ' * 40}long.",
        "Nothing after what does not fit.",
    ]
    document = new_document("page")
    section = nodes.section()
    document += section
    section += nodes.paragraph("", "", nodes.emphasis("", "A caption of a picture."))
    for text in paragraphs:
        section += nodes.paragraph("", text)
    assert extension("page_description").describe(document) == paragraphs[1]


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("ends at 71.3 % of it", "ends at 71.3\u00a0% of it"),
        ("27%, 100 %", "27\u00a0%, 100\u00a0%"),
        ("59 kB in 2 ms, 3 msgs", "59\u00a0kB in 2\u00a0ms, 3 msgs"),
        ("behind (-1.82 ± 1.42 points)", "behind (−1.82\u00a0±\u00a01.42 points)"),
        ("At τ =\n0 and γ = -1", "At τ\u00a0=\u00a00 and γ\u00a0=\u00a0−1"),
        ("top-1 %, a top-level", "top-\u20601\u00a0%, a top-level"),
        ("on CIFAR-10", "on CIFAR-\u206010"),
        ("2019-2020, -p preset, a -b, a well-known 3-bit file", None),
    ],
)
def test_numbers_keep_their_units_and_signs(typed, printed):
    tidy = extension("typography").tidy
    assert tidy(typed) == (printed or typed)
    assert tidy(tidy(typed)) == tidy(typed)


def test_no_line_ends_between_a_formula_and_the_comma_behind_it():
    document = new_document("page")
    short, long = nodes.math("", r"s\sqrt{\gamma}"), nodes.math("", "x + " * 20 + "x")
    document += nodes.paragraph("", "", nodes.Text("It is "), short, nodes.Text("), where x is 1."))
    document += nodes.paragraph("", "", long, nodes.Text(", where"), short.deepcopy())
    before = document.astext()
    extension("typography").Typography(document).run()
    assert document.astext() == before
    kept = [box.astext() for box in document.findall(nodes.inline) if "nowrap" in box["classes"]]
    assert kept == [r"s\sqrt{\gamma}),"]


def test_code_keeps_its_hyphens():
    document = new_document("page")
    document += nodes.paragraph("", "", nodes.Text("a loss of -1 "), nodes.literal("", "x = -1"))
    document += nodes.literal_block("", "γ = -1")
    extension("typography").Typography(document).run()
    assert [text.astext() for text in document.findall(nodes.Text)] == [
        "a loss of −1 ",
        "x = -1",
        "γ = -1",
    ]
