"""A notebook's parameters: what papermill may hand over, and what a reader may mistype."""

import math
import sys
from pathlib import Path

import pytest

from bopkit import notebooks
from bopkit.errors import ConfigError

NOTEBOOK = Path(__file__).resolve().parents[1] / "book" / "reproduction" / "cifar10.ipynb"

DEFAULTS = {
    "preset": "smoke", "dataset": None, "data_dir": None, "output_dir": None, "seed": 0,
    "epochs": None, "gamma": None, "threshold": None,
    "math": math, "_": 3, "In": [], "get_ipython": print,
}  # fmt: skip


def test_defaults_are_the_smoke_preset_on_embedded_data():
    settings = notebooks.settings(DEFAULTS, "cifar10")
    assert settings.dataset == "digits" and settings.hparams == {}
    assert settings.output_dir.is_dir()
    assert str(settings) == "preset smoke: digits, seed 0; nothing overridden"
    bop = settings.experiment("binarynet/bop_sec52")
    assert (bop.epochs, bop.filters, bop.gamma, bop.threshold) == (10, 16, 1e-4, 1e-8)
    assert bop.gamma_decay_epochs == 2  # a fifth of the run, as 100 of 500


def test_a_yaml_file_gives_text_and_it_counts_for_bop_alone():
    settings = notebooks.settings(DEFAULTS | {"threshold": "1e-8", "epochs": "1"}, "cifar10")
    assert settings.experiment("binarynet/bop").threshold == 1e-8
    latent = settings.experiment("binarynet/default")
    assert latent.threshold is None and latent.epochs == 1


def test_paper_preset_is_the_paper():
    settings = notebooks.settings(DEFAULTS | {"preset": "paper"}, "cifar10")
    from bopkit import experiments

    for name in experiments.EXPERIMENTS:
        assert settings.experiment(name) == experiments.get(name)
        assert settings.options(experiments.get(name))["dataset"] == experiments.get(name).dataset
    assert settings.output_dir == Path("runs/cifar10-paper")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gama": 1e-3}, "no parameter 'gama'; did you mean gamma"),
        ({"datset": "digits"}, "no parameter 'datset'; did you mean dataset"),
        ({"zzz": 1}, "no parameter 'zzz'."),
        ({"preset": "fast"}, "preset must be one of: smoke, laptop, paper; got 'fast'"),
        ({"seed": "x"}, "seed must be a whole number"),
    ],
)
def test_refused_at_once(given, message):
    with pytest.raises(ConfigError, match=message):
        notebooks.settings(DEFAULTS | given, "cifar10")


@pytest.mark.parametrize(
    "given", [{"epochs": -1}, {"gamma": 2}, {"threshold": "small"}, {"filters": 0}]
)
def test_values_out_of_range(given):
    with pytest.raises(ConfigError, match=next(iter(given))):
        notebooks.settings(DEFAULTS | given, "cifar10").experiment("binarynet/bop")


def papermill(output, *arguments):
    import subprocess

    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(output), "--no-progress-bar"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=300, cwd=output.parent
    )


@pytest.mark.slow
def test_papermill_refuses_a_misspelt_parameter_in_seconds(tmp_path):
    done = papermill(tmp_path / "out.ipynb", "-p", "gama", "1e-3")
    assert done.returncode != 0
    assert "ConfigError: this notebook has no parameter 'gama'; did you mean gamma?" in done.stderr


@pytest.mark.slow
def test_papermill_with_a_threshold_as_text(tmp_path):
    arguments = ["-y", "{threshold: 1e-8, epochs: 1}", "-p", "output_dir", str(tmp_path / "runs")]
    done = papermill(tmp_path / "out.ipynb", *arguments)
    assert done.returncode == 0, done.stderr
    from bopkit import records

    runs = records.collect(tmp_path / "runs")
    assert [run["config"]["threshold"] for run in runs] == [1e-8, None]
    assert (tmp_path / "out.ipynb").stat().st_size < 1_000_000
