"""The page on PyTorch: its cells run, its table is the tests', its code for optax is right."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_rows import ROWS

from bopkit import records, rules
from bopkit.book import RESULTS

PAGE = Path(__file__).resolve().parents[2] / "book" / "practice" / "pytorch.ipynb"
CELLS = json.loads(PAGE.read_text(encoding="utf8"))["cells"]
SAME = (
    *("method", "epochs", "batch_size", "filters", "dense_units", "precision", "preprocess"),
    *("gamma", "gamma_end", "threshold", "learning_rate", "learning_rate_end", "binary_weights"),
    *("train_examples", "validation_examples", "steps_per_epoch"),
)
TEXT = "\n".join("".join(c["source"]) for c in CELLS if c["cell_type"] == "markdown")


def test_its_cells_run(capsys, monkeypatch):
    """A build without PyTorch shows the error, so that the build itself does not test the cells."""
    names = {}
    for cell in CELLS:
        if cell["cell_type"] == "code":
            # The table of accuracies comes from records, for which PyTorch is not needed.
            assert cell["metadata"]["tags"] in (["raises-exception"], ["hide-input"])
            exec("".join(cell["source"]), names)
    shown = capsys.readouterr().out
    # The compiled epoch, without the C++ compiler that a processor needs for the real backend.
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "torch.compile" in b)
    compile_ = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", compile_)
    exec(block, names)  # an optimizer of its own, whose γ falls once
    assert float(names["bop"].param_groups[0]["lr"]) == pytest.approx(0.7 / 45)
    assert int(names["bop"].total_flips()) > 0 and names["model"].training
    assert re.search(r"validation accuracy 9\d%", shown) and "0 differ" in shown


def test_the_loop_with_curves_takes_the_place_of_the_loop_of_the_first_cell(capsys):
    """The γ of a row is that of its epoch, and its flip ratio is the mean over the steps."""
    first = next("".join(c["source"]) for c in CELLS if c["cell_type"] == "code")
    (loop,) = (b for b in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "diagnose" in b)
    names = {}
    exec(first.partition("for _ in range(20):")[0], names)
    exec(loop, names)
    rows = np.array(names["rows"])
    np.testing.assert_allclose(rows[:, 3], 0.7 ** np.arange(20) / 45)
    flips = rows[:, 2].sum() * 45 * names["bop"].binary_weights
    assert round(flips) == int(names["bop"].total_flips()) and rows[-1, 1] > 0.9
    assert "name='healthy'" in capsys.readouterr().out


def test_the_records_are_of_the_same_trainings_as_in_keras():
    """Whole, from clean commits, with the settings of the row of Keras that the page compares."""
    rows = {"fashion_mnist": ("section52", "bop-seed0"), "cifar10": ("section52", "recipe_seed0")}
    for dataset, (part, row) in rows.items():
        keras = records.read(RESULTS / dataset / part / row)
        found = records.collect(RESULTS / "pytorch" / dataset)
        assert [record["seed"] for record in found] == [0, 1, 2]
        for record in found:
            assert record["status"] == "completed" and record["config"]["framework"] == "pytorch"
            assert re.fullmatch(r"[0-9a-f]{40}", record["git_commit"])
            assert "torch" in record["versions"] and "-dir" not in record["command"]
            for key in SAME:
                assert record["config"][key] == keras["config"][key], key
            assert [row["epoch"] for row in record["epochs"]] == list(
                range(1, keras["config"]["epochs"] + 1)
            )


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
