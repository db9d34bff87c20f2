"""Where PyTorch's Adam works, a flip rule works: every row of `pytorch_rows`, with three."""

import pytest
from pytorch_rows import DDP, ROWS, Case

CASES = ("Adam", "Bop", "Bop2ndOrder")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("title", [title for title in ROWS if title != DDP])
def test_row(title, name):
    ROWS[title](Case(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_row_of_two_processes(name, tmp_path):
    ROWS[DDP](Case(name), tmp_path)
