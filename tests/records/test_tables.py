"""Tables say what the records say, and keep apart what must not be mixed."""

import copy
import re

import pytest
from small_records import record

from bopkit import experiments, records
from bopkit.errors import ConfigError
from bopkit.experiments import methods
from bopkit.records import tables


def test_rows_group_seeds_and_nothing_else(tmp_path):
    runs = [record(0, (0.5, 0.70)), record(1, (0.5, 0.80))]
    other = copy.deepcopy(record(0, (0.5, 0.9)))
    other["config"]["gamma"] = 1e-4
    half = record(2, (0.6,), status="failed")
    for name, run in zip("abcd", [*runs, other, half], strict=True):
        (tmp_path / name).mkdir()
        records.write(tmp_path / name, run)
    rows = tables.rows(records.collect(tmp_path))
    assert [(r["n"], r["top-1 %"], r["epochs"]) for r in rows] == [
        ("2", "75.00 ± 7.07", "2"),
        ("1", "90.00", "2"),
        ("1", "60.00", "1/2"),
    ]


def test_schedules_as_text():
    texts = {
        name: tables.schedule(vars(experiments.get(name)), "gamma")
        for name in experiments.EXPERIMENTS
    }
    assert texts["binarynet/default"] == "–"
    assert texts["binarynet/bop"] == "0.001"
    assert texts["binarynet/bop_sec52"] == "0.0001, ×0.1 every 100 epochs"
    assert texts["xnornet/bop"] == "0.0001 → 1e-06"


def test_markdown_table():
    lines = tables.markdown_table([record()], ["experiment", "top-1 %"]).splitlines()
    assert lines == ["| experiment | top-1 % |", "| --- | ---: |", "| binarynet/bop | 75.00 |"]


def test_settings_table_shows_what_one_of_the_experiments_has():
    bop = experiments.override(experiments.get("binarynet/bop"), {"threshold": 0})
    lines = tables.settings_table([bop, experiments.get("binarynet/default")]).splitlines()
    assert "| τ | 0 | – |" in lines and "| Adam's learning rate | 0.01 | 0.005 |" in lines
    assert not any(line.startswith("| σ") for line in lines)


def test_each_rate_of_each_method_has_a_column():
    symbols = [rate.symbol for rate in methods.RATES.values()]
    assert [column for column in tables.COLUMNS if column in symbols] == symbols
    (row,) = tables.rows([record(), record(seed=1)])
    assert set(row) == {*tables.COLUMNS, "method"}
    listed = tables.experiment_rows()[0]
    assert set(symbols) <= set(listed)


def test_each_experiment_is_listed_with_its_method():
    found = {row["experiment"]: row["method"] for row in tables.experiment_rows()}
    assert found == {name: one.method for name, one in experiments.EXPERIMENTS.items()}
    assert found["binarynet/default"] == "latent" and found["xnornet/bop2ndorder"] == "bop2ndorder"


def paper_run(**config):
    """A complete run of section 5.3's setting; `config` changes it."""
    settings = vars(experiments.get("birealnet/bop")) | {"holdout": 0, "seed": 0}
    settings["precision"] = "float32"
    images = {"train_examples": 1_281_167, "validation_examples": 50_000}
    row = {"epoch": 1, "seconds": 10.0, "val_accuracy": 0.5, "val_top_5_accuracy": 0.75}
    return record(
        experiment="birealnet/bop",
        dataset=config.get("dataset", "imagenet2012"),
        config=settings | images | config,
        epochs=[row] * config.get("epochs", 300),
    )


def test_columns_that_do_not_exist_are_refused():
    columns = [*tables.COLUMNS, "method"]
    assert tables.markdown_table([], columns).startswith("| experiment | data |")
    for columns, message in (
        (["γ", "gamma"], "unknown column 'gamma': there are: experiment, data,"),
        (["methods"], "unknown column 'methods': did you mean method?"),
        ([], "columns must name at least one of: experiment,"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            tables.markdown_table([], columns)


def test_numbers_that_belong_together_stay_on_one_line():
    line = "| `a 1 → 2` | 0.1 → 10⁻⁵ | 89.9 ± 0.1 | 10⁻⁴, ×0.1 every 2 epochs | 3 |"
    whole = tables.unbroken(line)
    assert whole.count('<span class="nowrap">') == 3 and "`a 1 → 2`" in whole
    assert re.sub("<[^>]*>", "", whole) == line


def test_results_table_keeps_the_paper_what_was_measured_and_what_was_not_run_apart():
    paper = {"bop": (56.6, 79.4), "latent": (56.4, 79.5)}
    laptop = paper_run(dataset="fashion_mnist", train_examples=2000, epochs=3)
    lines = tables.results_table([laptop], paper, "ImageNet").splitlines()
    assert lines[0] == (
        "| method | paper, ImageNet: top-1 / top-5 % | measured here: top-1 / top-5 % "
        "| n | data | epochs | not yet run |"
    )
    assert lines[2:] == [
        "| Bop | 56.6 / 79.4 | 50.00 / 75.00 | 1 | fashion_mnist, 2,000 images | 3 "
        "| ImageNet, the paper's setting |",
        "| latent weights, Adam | 56.4 / 79.5 | – | – | – | – | ImageNet, the paper's setting |",
    ]
    whole = tables.results_table([paper_run()], paper, "ImageNet").splitlines()[2]
    assert whole.endswith("| imagenet2012, 1,281,167 images | 300 | – |")
    without = tables.results_table([laptop], {"latent": (56.4, 79.5)}, "ImageNet")
    assert without.splitlines()[2:] == lines[3:]  # the paper has nothing to say of Bop
    top_1 = tables.results_table([], {"bop": (91.3,)}, "CIFAR-10").splitlines()
    assert top_1[0].startswith("| method | paper, CIFAR-10: top-1 % | measured here: top-1 % |")
    assert top_1[2:] == ["| Bop | 91.3 | – | – | – | – | CIFAR-10, the paper's setting |"]


def test_a_paper_run_is_the_papers_setting_on_all_its_data():
    assert tables.is_paper_run(paper_run())
    assert not tables.is_paper_run(paper_run() | {"status": "failed"})
    for change in (
        {"epochs": 3},
        {"gamma": 1e-3},
        {"precision": "mixed_bfloat16"},
        {"dataset": "fashion_mnist"},
        {"train_examples": 1_271_167},
        {"validation_examples": 100},
    ):
        assert not tables.is_paper_run(paper_run(**change)), change
