"""Where PyTorch's Adam works, a flip rule works: every row of `pytorch_rows`, with three."""

import pytest
from pytorch_rows import DDP, ROWS, Case

CASES = ("Adam", "Bop", "Bop2ndOrder")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("title", [title for title in ROWS if title != DDP])
def test_row(title, name):
    ROWS[title](Case(name))


@pytest.mark.slow
def test_row_of_two_processes(tmp_path):
    """Starting the processes takes longer than all three."""
    ROWS[DDP]([Case(name) for name in CASES], tmp_path)
