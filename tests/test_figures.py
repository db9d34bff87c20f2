"""Figures are drawn at every corner of what they take, without TensorFlow."""

import itertools
from xml.etree import ElementTree

import pytest
from test_records import record

from bopkit import figures


@pytest.mark.parametrize(
    ("threshold", "gamma"), list(itertools.product([0.0, 1e-8, 0.1, 100.0], [1e-4, 0.05, 1.0]))
)
def test_one_weight_is_drawn_at_every_corner(threshold, gamma):
    figure = figures.one_weight(figures.noisy_signal(60), threshold=threshold, gamma=gamma)
    assert ElementTree.fromstring(figure._repr_svg_()).tag.endswith("svg")


def test_the_picture_follows_the_hyperparameters():
    signal = figures.noisy_signal()
    drawn = {
        figures.one_weight(signal, threshold=t, gamma=g)._repr_svg_()
        for t, g in itertools.product([0.01, 0.1], [0.05, 0.2])
    }
    assert len(drawn) == 4
    again = figures.one_weight(signal, threshold=0.1, gamma=0.2)._repr_svg_()
    assert again in drawn  # the same input is the same picture


def test_training_curves():
    runs = [record(0, (0.5, 0.7)), record(1, (0.6, 0.8)), record(2, (0.4,))]
    for run in runs:
        for row in run["epochs"]:
            row["flip_ratio"] = 1e-3
            row["val_top_5_accuracy"] = 0.9
    assert len(figures.training_curves(runs).axes) == 2
    drawn = figures.training_curves(runs, top_5=True)
    assert [line.get_label() for line in drawn.axes[0].lines] == ["Bop, top-1", "Bop, top-5"]
    with pytest.raises(ValueError, match="no run has finished an epoch"):
        figures.training_curves([record(0, ())])


def test_nothing_here_loads_tensorflow(run_python):
    code = "import sys, bopkit, bopkit.rules, bopkit.figures, bopkit.records, bopkit.cli\n"
    code += "bopkit.figures.one_weight([1, 2], threshold=0.1, gamma=0.5)._repr_svg_()\n"
    code += "sys.exit('tensorflow' in sys.modules)"
    assert run_python(code).returncode == 0
