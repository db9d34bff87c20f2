"""Figures of training runs, without TensorFlow."""

import pytest
from small_records import record

from bopkit.book import contest, figures


def test_training_curves():
    runs = [record(0, (0.5, 0.7)), record(1, (0.6, 0.8)), record(2, (0.4,))]
    for run in runs:
        for row in run["epochs"]:
            row["flip_ratio"] = 1e-3
            row["val_top_5_accuracy"] = 0.9
    figure = figures.training_curves(runs)
    assert len(figure.axes) == 2
    many = runs[:1] * 5
    rules = iter(contest.RULES.values())
    figure = figures.training_curves(many, line=lambda run: next(rules))
    figure.draw_without_rendering()
    left = figure.axes[0]
    legend = left.get_legend().get_window_extent()
    assert legend.y1 < left.get_window_extent().y0  # no curve lies under it
    assert legend.x1 < figure.bbox.width / 2  # on a phone the halves stand one below the other
    drawn = figures.training_curves(runs, top_5=True)
    assert [line.get_label() for line in drawn.axes[0].lines] == ["Bop, top-1", "Bop, top-5"]
    assert "Bop 63.3 % top-1, πₜ -6.8" in drawn.description
    with pytest.raises(ValueError, match="no run has finished an epoch"):
        figures.training_curves([record(0, ())])


def test_network_curves_have_a_panel_per_network_and_two_lines_per_method():
    runs = [record(0, (0.5, 0.7)), record(1, (0.6, 0.8))]
    for run in runs:
        for row in run["epochs"]:
            row |= {"flip_ratio": 1e-3, "val_top_5_accuracy": 0.9}
    figure = figures.network_curves({"One": runs, "None": [], "Other": runs[:1]})
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["One", "Other"]
    top_1, top_5 = figure.axes[0].lines
    assert list(top_1.get_ydata()) == pytest.approx([55, 75])
    assert list(top_5.get_ydata()) == pytest.approx([90, 90])
    assert [line.get_label() for line in (top_1, top_5)] == ["Bop, top-1", "Bop, top-5"]
    assert "One, Bop 75.0 % top-1" in figure.description
    with pytest.raises(ValueError, match="no run has finished an epoch"):
        figures.network_curves({"One": []})


def test_nothing_here_loads_tensorflow(run_python):
    code = "import sys, bopkit, bopkit.rules, bopkit.book.figures, bopkit.records, bopkit.cli\n"
    code += "sys.exit('tensorflow' in sys.modules)"
    assert run_python(code).returncode == 0


def test_stopped_flips_are_shares_of_what_would_flip_at_zero():
    # Each signal that fell back would have been two flips, there and back.
    rows = [{"stopped": 3, "flips": 2}, {"stopped": 9, "flips": 2}]
    figure = figures.stopped_flips({"one": rows, "another": rows[::-1]})
    one, another = (line.get_ydata() for line in figure.axes[0].lines)
    assert list(one) == [75, 90] and list(another) == [90, 75]
    assert figure.description.endswith("one 90.0 %; another 75.0 %")
