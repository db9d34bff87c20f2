"""Notebooks may be run in any folder, as papermill does where it is started."""

import re
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
PAGES = sorted(
    p for p in BOOK.rglob("*") if p.suffix in (".ipynb", ".md") and ".ipynb_" not in str(p)
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(BOOK)))
def test_no_page_looks_for_records_relative_to_where_it_runs(page):
    code = page.read_text(encoding="utf8")
    assert not re.search(r"""\(\\?["'](\.\./)*results/""", code), "use bopkit.book.RESULTS"


def test_the_recipes_table_is_made_in_another_folder(tmp_path, run_python):
    """The cell of the chapter on γ and τ that reads records, run elsewhere."""
    code = "import os, sys; os.chdir(sys.argv[1])\n"
    code += "from bopkit import records; from bopkit.book import RESULTS\n"
    code += "print(len(records.collect(RESULTS / 'fashion_mnist' / 'recipe')))"
    done = run_python(code, tmp_path)
    assert done.stdout == "8\n", done.stderr
