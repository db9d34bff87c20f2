"""A notebook's parameters: what papermill may hand over, and what a reader may mistype."""

import math
import sys
from pathlib import Path

import pytest

from bopkit import experiments
from bopkit.book import parameters
from bopkit.errors import ConfigError

NOTEBOOK = Path(__file__).resolve().parents[2] / "book" / "reproduction" / "cifar10.ipynb"
IMAGENET = ("binary_alexnet", "xnornet", "birealnet")

DEFAULTS = {
    "preset": "smoke", "dataset": None, "data_dir": None, "output_dir": None, "seed": 0,
    "epochs": None, "gamma": None, "threshold": None,
    "math": math, "_": 3, "In": [], "get_ipython": print,
}  # fmt: skip


def test_defaults_are_the_smoke_preset_on_embedded_data():
    settings = parameters.settings(DEFAULTS, "cifar10")
    assert settings.dataset == "digits" and settings.hparams == {}
    assert settings.output_dir.is_dir()
    assert str(settings) == "preset smoke: digits, seed 0; nothing overridden"
    bop = settings.experiment("binarynet/bop_sec52")
    assert (bop.epochs, bop.filters, bop.gamma, bop.threshold) == (10, 16, 1e-4, 1e-8)
    assert bop.gamma_decay_epochs == 2  # a fifth of the run, as 100 of 500


def test_a_yaml_file_gives_text_and_it_counts_for_bop_alone():
    settings = parameters.settings(DEFAULTS | {"threshold": "1e-8", "epochs": "1"}, "cifar10")
    assert settings.experiment("binarynet/bop").threshold == 1e-8
    latent = settings.experiment("binarynet/default")
    assert latent.threshold is None and latent.epochs == 1


def test_paper_preset_is_the_paper():
    settings = parameters.settings(DEFAULTS | {"preset": "paper", "allow_cpu": True}, "cifar10")
    for name in experiments.EXPERIMENTS:
        assert settings.experiment(name) == experiments.get(name)
        assert settings.options(experiments.get(name))["dataset"] == experiments.get(name).dataset
    assert settings.output_dir == Path("runs/cifar10-paper")


def test_paper_preset_without_a_gpu_asks_for_an_explicit_yes():
    settings = parameters.settings(DEFAULTS | {"preset": "paper"}, "cifar10")
    with pytest.raises(ConfigError, match=r"TensorFlow sees none.*allow_cpu True"):
        settings.options(settings.experiment("binarynet/bop"))


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
        parameters.settings(DEFAULTS | given, "cifar10")


def with_methods(**given):
    return parameters.settings(DEFAULTS | given, "cifar10", methods=("bop", "bop2ndorder"))


def test_the_method_is_a_parameter_and_brings_its_own_rates():
    assert with_methods().method == "bop"
    settings = with_methods(method="bop2ndorder", sigma="1e-3", bias_correction=True)
    second = settings.experiment("binarynet/bop2ndorder")
    assert (second.sigma, second.bias_correction, second.gamma_end) == (1e-3, True, 1e-5)
    # What the baseline does not have is left out for it.
    assert settings.experiment("binarynet/default").sigma is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "bop2"}, "method must be one of: bop, bop2ndorder; got 'bop2'; did you mean"),
        ({"method": 2}, "method must be one of: bop, bop2ndorder; got 2"),
        ({"sigma": 0.1}, "sigma is a hyperparameter of bop2ndorder, and method is bop"),
    ],
)
def test_a_method_that_is_not_there_or_not_meant(given, message):
    with pytest.raises(ConfigError, match=message):
        with_methods(**given)
    with pytest.raises(ConfigError, match="this notebook has no parameter 'method'"):
        parameters.settings(DEFAULTS | {"method": "bop"}, "cifar10")


def imagenet(**given):
    return parameters.settings(
        DEFAULTS | {"network": "birealnet"} | given, "imagenet", networks=IMAGENET
    )


def test_the_network_is_a_parameter_where_a_notebook_has_several():
    assert imagenet(network="alexnet").network == "binary_alexnet"
    with pytest.raises(ConfigError, match="unknown network 'xnor': did you mean xnornet"):
        imagenet(network="xnor")
    with pytest.raises(ConfigError, match="unknown network 'binarynet'"):
        imagenet(network="binarynet")
    with pytest.raises(ConfigError, match="this notebook has no parameter 'network'"):
        parameters.settings(DEFAULTS | {"network": "xnornet"}, "cifar10")


@pytest.mark.parametrize("network", IMAGENET)
@pytest.mark.parametrize(
    ("preset", "dataset", "examples", "epochs"),
    [
        ("smoke", "imagenet2012", (16, 12), 2),
        ("laptop", "fashion_mnist", (2000, 500), 3),
        ("paper", None, (None, None), None),
    ],
)
def test_presets_of_the_imagenet_networks(network, preset, dataset, examples, epochs):
    settings = imagenet(network=network, preset=preset)
    assert settings.dataset == dataset
    assert (settings.train_examples, settings.validation_examples) == examples
    run = settings.experiment(f"{network}/bop")
    # The sizes alone differ from the paper's setting.
    assert set(experiments.changes(run)) == ({"epochs", "batch_size"} if epochs else set())
    assert run.epochs == (epochs or run.epochs)


def test_numbers_of_images():
    given = {"train_examples": 100, "validation_examples": 50}
    settings = imagenet(preset="laptop", **given)
    assert str(settings).startswith("preset laptop: fashion_mnist (100 + 50 images), seed 0;")
    options = settings.options(settings.experiment("birealnet/bop"))
    assert given.items() <= options.items()
    # The preset's numbers are for its own data; of the reader's, everything is used.
    own = imagenet(preset="laptop", dataset="imagenet2012", data_dir="here")
    options = own.options(own.experiment("birealnet/bop"))
    assert (options["train_examples"], options["data_dir"]) == (None, "here")
    with pytest.raises(ConfigError, match="train_examples must be a whole number; got '100'"):
        imagenet(train_examples="100")


def test_smoke_prepares_a_sample_of_imagenet_unless_it_is_told_where_one_is(tmp_path):
    settings = imagenet(output_dir=str(tmp_path))
    options = settings.options(settings.experiment("birealnet/bop"))
    from bopkit import data

    sample = data.load("imagenet2012", data_dir=options["data_dir"])
    assert (sample.train_examples, sample.validation_examples) == (16, 12)
    assert Path(options["data_dir"]).is_relative_to(tmp_path)
    given = imagenet(data_dir="here")
    assert given.options(given.experiment("birealnet/bop"))["data_dir"] == "here"


def test_a_smoke_run_leaves_nothing_behind(run_python):
    code = "from bopkit.book import parameters\n"
    code += "folder = parameters.settings({}, 'cifar10').output_dir\n"
    code += "assert folder.is_dir()\nprint(folder)"
    done = run_python(code)
    assert done.returncode == 0 and not Path(done.stdout.strip()).exists()


@pytest.mark.parametrize(
    "given", [{"epochs": -1}, {"gamma": 2}, {"threshold": "small"}, {"filters": 0}]
)
def test_values_out_of_range(given):
    with pytest.raises(ConfigError, match=next(iter(given))):
        parameters.settings(DEFAULTS | given, "cifar10").experiment("binarynet/bop")


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
