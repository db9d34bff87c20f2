"""Every chapter has the same skeleton, short cells, and exercises whose solutions are checked.

What a chapter says and how long it is, is its author's matter: nothing here holds a sentence.
"""

import ast
import json
import re
from pathlib import Path

import pytest

from bopkit.book import pictures

BOOK = Path(__file__).resolve().parents[2] / "book"
# Facts, evidence, something to play, and code that runs only where PyTorch is installed.
NOT_CHAPTERS = {"cluster", "playground", "pytorch", "reliability", "speed", "which_rule"}
PAGES = [path for part in ("intuition", "practice") for path in (BOOK / part).iterdir()]
CHAPTERS = sorted(
    path for path in PAGES if path.suffix in (".ipynb", ".md") and path.stem not in NOT_CHAPTERS
)
EVERYDAY = {"flip", "sign"}  # linked only where a chapter explains them
LAST = ["Summary", "Exercises", "Further reading"]


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return request.param


def cells(path):
    if path.suffix == ".md":  # text alone: fails for want of code
        return [{"cell_type": "markdown", "source": path.read_text(encoding="utf8")}]
    return json.loads(path.read_text(encoding="utf8"))["cells"]


def text(path):
    return "\n\n".join("".join(c["source"]) for c in cells(path) if c["cell_type"] == "markdown")


def code(path):
    return ["".join(c["source"]) for c in cells(path) if c["cell_type"] == "code"]


def head(path):
    return "".join(cells(path)[0]["source"]).partition("\n## ")[0]


def section(path, title):
    return re.split(rf"^## {title}$", text(path), flags=re.MULTILINE)[1].split("\n## ")[0]


def test_the_book_has_its_chapters():
    assert [p.stem for p in CHAPTERS if p.parent.name == "intuition"] == [
        "bop", "gamma_tau", "latent_weights", "second_order", "why_binary",
    ]  # fmt: skip
    assert {"keras", "migrating", "own_rule", "reading", "scaling", "shipping"} <= {
        p.stem for p in CHAPTERS
    }


def is_intuition(path):
    """These chapters begin with a picture; the others with the shortest code that does the task."""
    return path.parent.name == "intuition"


def test_sections_come_in_order(chapter):
    titles = re.findall(r"^## (.+)$", text(chapter), flags=re.MULTILINE)
    assert titles[-3:] == LAST
    assert len(titles) > 4, titles
    assert len(re.findall(r"^# .+$", text(chapter), flags=re.MULTILINE)) == 1


def test_says_what_it_takes(chapter):
    for what in (r"\d+\s+minutes", r"\d+\s+seconds", "CPU"):
        assert re.search(what, head(chapter)), what
    minutes = int(re.search(r"(\d+)\s+minutes", head(chapter))[1])
    words = len(text(chapter).partition("\n## Exercises")[0].split())
    reading = words / 130  # words per minute, pictures included
    if is_intuition(chapter):
        assert abs(minutes - reading) < 2
    else:  # there is code to read too
        assert reading - 2 < minutes < 2 * reading
        assert re.search(r"\d+\s+[MG]B", head(chapter))


def test_begins_with_what_it_is_about(chapter):
    sources = code(chapter)
    played = [name for s in sources for name in re.findall(r"widgets\.explore\(\"(\w+)\"\)", s)]
    assert set(played) <= set(pictures.NAMES)
    first = next(cell for cell in cells(chapter) if cell["cell_type"] == "code")
    if is_intuition(chapter):
        assert played and played[0] in "".join(first["source"])
    else:
        assert "explore" not in "".join(first["source"])
        hidden = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
        assert not hidden & set(first["metadata"].get("tags", []))


def test_has_exercises_and_hides_their_solutions(chapter):
    body = section(chapter, "Exercises")
    exercises = re.findall(r"\{exercise\}[^\n]*\n:label: (\S+)", body)
    assert len(exercises) >= 2
    solutions = re.findall(r"\{solution(?:-start)?\} (\S+)\n:class: dropdown", body)
    assert solutions == exercises
    assert body.count("{solution-start}") == body.count("{solution-end}")


def test_half_of_the_solutions_are_run(chapter):
    whole = "\n".join(
        f"<{cell['cell_type']}>\n{''.join(cell['source'])}" for cell in cells(chapter)
    )
    solutions = re.findall(r"\{solution-start\}(.*?)\{solution-end\}", whole, re.DOTALL)
    checked = [s for s in solutions if "assert" in s.partition("<code>")[2]]
    assert len(checked) >= whole.count("{exercise}") / 2


def test_claims_are_checked_by_code(chapter):
    asserts = [
        node
        for source in code(chapter)
        for node in ast.walk(ast.parse(re.sub(r"^[!%].*$", "pass", source, flags=re.MULTILINE)))
        if isinstance(node, ast.Assert)
    ]
    assert asserts


def test_cells_are_short(chapter):
    """A page shows about 40 lines at once."""
    assert max(len(source.splitlines()) for source in code(chapter)) <= 40


def test_the_argument_stands_in_the_text_and_not_in_code():
    """Three rules are shown; what draws, measures or checks is folded or left out of the page."""
    shown = []
    for path in filter(is_intuition, CHAPTERS):
        solved = False
        for cell in cells(path):
            source = "".join(cell["source"])
            tags = set(cell.get("metadata", {}).get("tags", []))
            if cell["cell_type"] == "markdown":  # a solution is folded with all that it holds
                starts, ends = source.rfind("{solution-start}"), source.rfind("{solution-end}")
                solved = starts > ends if max(starts, ends) >= 0 else solved
            elif not solved and not tags & {"hide-input", "remove-input", "remove-cell"}:
                shown.append(source)
    assert len(shown) <= 3, [source.splitlines()[0] for source in shown]


def test_links_its_terms_and_its_sources(chapter):
    terms = re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", text(chapter))
    assert terms and len(terms) == len(set(terms)), "the first use of each, once"
    reading = section(chapter, "Further reading")
    assert "{cite" in reading and re.search(r"^- ", reading, flags=re.MULTILINE)


def test_a_term_is_linked_where_it_is_first_used(chapter):
    """In sentences and tables; code and formulas have no links."""
    prose = text(chapter).partition("\n")[2]
    prose = re.sub(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", r"⟦\1⟧", prose)  # to tell them from others
    prose = re.sub(r"^```\w+\n.*?^```$|\$\$.*?\$\$", "", prose, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^(#|```|:::).*$|(\{[\w:]+\})?`[^`]*`|\]\(.*?\)", "", prose, flags=re.MULTILINE)
    prose = " ".join(prose.split())
    for term in set(re.findall(r"⟦([^⟧]+)⟧", prose)) - EVERYDAY:
        use = re.search(rf"(?<!\w){term}s?(?!\w)", prose, flags=re.IGNORECASE)
        if prose[use.start() - 1] != "⟦":
            around = prose[max(0, use.start() - 60) : use.end() + 40]
            pytest.fail(f"{{term}}`{term}` is used before it is linked, here: ...{around}...")


def test_intuition_needs_no_tensorflow():
    paths = list(BOOK.glob("intuition/*.ipynb"))
    assert paths
    for path in paths:
        assert not re.search(r"tensorflow|keras|larq", "\n".join(code(path))), path.name


def test_every_picture_stands_in_the_book():
    shown = set(re.findall(r"\{explorer\} (\w+)", (BOOK / "index.md").read_text(encoding="utf8")))
    for path in CHAPTERS:
        shown |= set(re.findall(r"widgets\.explore\(\"(\w+)\"\)", "\n".join(code(path))))
    assert shown == set(pictures.NAMES)
