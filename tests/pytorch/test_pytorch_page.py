"""The page on PyTorch: its cells run, its table is the tests', its code for optax is right."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pytorch_rows import ROWS

from bopkit import rules

PAGE = Path(__file__).resolve().parents[2] / "book" / "practice" / "pytorch.ipynb"
CELLS = json.loads(PAGE.read_text(encoding="utf8"))["cells"]
TEXT = "\n".join("".join(c["source"]) for c in CELLS if c["cell_type"] == "markdown")


def test_its_cells_run(capsys):
    """A build without PyTorch shows the error, so that the build itself does not test the cells."""
    names = {}
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert cell["metadata"]["tags"] == ["raises-exception"]
            exec("".join(cell["source"]), names)
    shown = capsys.readouterr().out
    assert re.search(r"validation accuracy 9\d%", shown) and "0 differ" in shown


def test_the_page_shows_every_row():
    shown = [line[2 : -len(" | ✓ |")] for line in TEXT.splitlines() if line.endswith(" | ✓ |")]
    assert shown == list(ROWS)


def test_the_code_for_optax_flips_what_numpy_flips():
    optax = pytest.importorskip("optax", reason="optax is not installed; bopkit does not need it")
    (source,) = (
        block for block in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "optax" in block
    )
    assert len(source[source.index("class BopState") :].splitlines()) <= 25
    names = {}
    exec(source, names)
    rates = {"gamma": 0.25, "threshold": 0.02}
    random = np.random.default_rng(0)
    weights, m = rules.sign(random.normal(size=500).astype("f4")), np.zeros(500, "f4")
    transformation = names["bop"](optax.constant_schedule(0.25), 0.02)
    ours = {"layer": names["jnp"].asarray(weights)}
    state = transformation.init(ours)
    for _ in range(50):
        gradient = random.normal(size=500).astype("f4")
        updates, state = transformation.update({"layer": gradient}, state, ours)
        ours = optax.apply_updates(ours, updates)
        weights, m, _ = rules.bop_step(weights, m, gradient, **rates)
        np.testing.assert_array_equal(ours["layer"], weights)
