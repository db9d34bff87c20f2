"""A notebook's parameters: what papermill may hand over, and what a reader may mistype."""

import ast
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bopkit import experiments
from bopkit.book import parameters
from bopkit.errors import ConfigError

NOTEBOOK = Path(__file__).resolve().parents[2] / "book" / "reproduction" / "cifar10.ipynb"
IMAGENET = ("binary_alexnet", "xnornet", "birealnet")

DEFAULTS = {
    "preset": "smoke", "dataset": None, "data_dir": None, "output_dir": None, "seed": 0,
    "epochs": None, "gamma": None, "threshold": None,
}  # fmt: skip


def test_defaults_are_the_smoke_preset_on_embedded_data():
    settings = parameters.settings(DEFAULTS, "cifar10")
    assert settings.dataset == "digits" and settings.hparams == {}
    assert settings.output_dir.is_dir()
    assert str(settings) == "preset smoke: digits, seed 0; nothing overridden"
    assert "seeds 2 to 4;" in str(dataclasses.replace(settings, seed=2, seeds=3))
    bop = settings.experiment("binarynet/bop_sec52")
    assert (bop.epochs, bop.filters, bop.gamma, bop.threshold) == (10, 16, 1e-4, 1e-8)
    assert bop.gamma_decay_epochs == 2  # a fifth of the run, as 100 of 500
    assert settings.experiment("binarynet/latent_sec52").learning_rate_decay_epochs == 2


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
        ({"gama": 1e-3}, "unknown parameter 'gama': did you mean gamma"),
        ({"datset": "digits"}, "unknown parameter 'datset': did you mean dataset"),
        ({"zzz": 1}, "unknown parameter 'zzz': there are: preset,"),
        ({"preset": "fast"}, "unknown preset 'fast': there are: smoke, laptop, paper"),
        ({"network": "xnornet"}, "unknown network 'xnornet': did you mean binarynet"),
        ({"seeds": 0}, "seeds must be at least 1; got 0"),
        ({"seed": "x"}, "seed must be a whole number"),
    ],
)
def test_refused_at_once(given, message):
    with pytest.raises(ConfigError, match=message):
        parameters.settings(DEFAULTS | given, "cifar10")


def test_preprocess_is_the_papers_on_its_own_data_and_on_others_the_given_one():
    def trained(name, **given):
        settings = parameters.settings(DEFAULTS | given, "cifar10")
        experiment = settings.experiment(name)
        options = settings.options(experiment)
        return experiments.on_dataset(experiment, options["dataset"], {})

    for name in ("binarynet/bop", "binarynet/default"):
        assert trained(name).preprocess == "default"
        asked = trained(name, preprocess="resize_and_flip")
        assert (asked.dataset, asked.preprocess) == ("digits", "resize_and_flip")
        assert trained(name, dataset="cifar10").preprocess == "resize_and_flip"
        assert trained(name, dataset="cifar10", preprocess="default").preprocess == "default"


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
        ({"method": "bop2"}, "unknown method 'bop2': did you mean bop.* there are: bop, bop2ndo"),
        ({"method": 2}, "method must be text; got 2"),
        ({"sigma": 0.1}, "sigma is a hyperparameter of bop2ndorder, and method is bop"),
    ],
)
def test_a_method_that_is_not_there_or_not_meant(given, message):
    with pytest.raises(ConfigError, match=message):
        with_methods(**given)
    with pytest.raises(ConfigError, match="unknown method 'bop2ndorder'"):
        parameters.settings(DEFAULTS | {"method": "bop2ndorder"}, "cifar10")


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
    # The sizes alone differ from the paper's setting, and smoke is the same on every CPU.
    changed = {"epochs", "batch_size"} if epochs else set()
    changed |= {"precision"} if preset == "smoke" else set()
    assert set(experiments.changes(run)) == changed
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
    with pytest.raises(ConfigError, match="train_examples must be a whole number; got 'all'"):
        imagenet(train_examples="all")


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


# What a kernel runs before the cell that calls `settings`, and what that cell then says.
HELPER = "threads = 2\nfilters = 'a helper above'"
PARAMETERS = "preset: str = 'smoke'\nseed: int = 0\nepochs: int = None\noutput_dir: str = 'runs'"
CELL = """
try:
    found = parameters.settings(globals(), "cifar10")
    print(found.seed, dict(found.hparams))
except Exception as error:
    print(error)
"""
SHELL = """
import sys
from traitlets.config import Config
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
shell.run_cell("from bopkit.book import parameters", store_history=True)
for cell in sys.argv[2:]:
    shell.run_cell(cell, store_history=sys.argv[1] == "history")
"""


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([HELPER, PARAMETERS, CELL], "0 {}"),
        # As papermill adds them: text for a number of NumPy, and a name that is not declared.
        ([HELPER, PARAMETERS, "# Parameters\nseed = '3'\nepochs = '2'", CELL], "3 {'epochs': '2'}"),
        ([PARAMETERS, "# Parameters\ngamma_end = 1e-5\n", CELL], "0 {'gamma_end': 1e-05}"),
        (
            [PARAMETERS, "# Parameters\ngama = 0.1\n", CELL],
            "unknown parameter 'gama': did you mean gamma? there are: preset, seed, epochs,",
        ),
        ([PARAMETERS, "# Parameters\nseeds = 3\n", CELL], "unknown parameter 'seeds': did you"),
        # By hand; then mended, and both cells run again.
        ([PARAMETERS + "\ngama = 0.1", CELL], "unknown parameter 'gama': did you mean gamma?"),
        (["pre = (", PARAMETERS + "\ngama = 0.1", CELL, PARAMETERS, CELL], "0 {}"),
        ([PARAMETERS, CELL, "runs = [1]", CELL], "0 {}"),
    ],
)  # fmt: skip
def test_in_a_notebook_the_names_count_that_its_parameters_cells_set(cells, said, run_python):
    done = run_python(SHELL, "history", *cells, env={"IPYTHONDIR": "/nonexistent"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(said), done.stdout


def test_a_notebook_that_is_run_without_a_history_finds_its_parameters(run_python):
    cells = ["threads = 2", PARAMETERS.replace("seed: int = 0", "seed: int = 4"), CELL]
    done = run_python(SHELL, "none", *cells, env={"IPYTHONDIR": "/nonexistent"})
    assert done.stdout.splitlines()[-1] == "4 {}", done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(NOTEBOOK.parent.glob("*.ipynb")), ids=lambda p: p.stem)
def test_the_notebooks_declare_parameters_that_are_read(path):
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    (cell,) = (c for c in cells if "parameters" in c["metadata"].get("tags", []))
    names = [line.partition(":")[0] for line in cell["source"]]
    assert "preset" in names and len(set(names)) == len(names)
    assert set(names) <= {*parameters.DEFAULTS, *parameters.HPARAMS}
    # Every one has its type and a comment, which papermill's help shows.
    assert all(": " in line and " = " in line and "  # " in line for line in cell["source"])


@pytest.mark.parametrize("name", ["seed", "train_examples", "seeds", "epochs"])
def test_a_number_of_numpy_arrives_as_text(name):
    from papermill.translators import PythonTranslator

    (assignment,) = ast.parse(PythonTranslator.codify({name: np.int64(3)})).body
    value = ast.literal_eval(assignment.value)
    assert value == "3"
    settings = parameters.settings(DEFAULTS | {name: value}, "cifar10")
    read = vars(settings.experiment("binarynet/bop")) | vars(settings)
    assert read[name] == 3


@pytest.mark.parametrize(("text", "value"), [("false", False), ("True", True), (True, True)])
def test_yes_and_no_may_be_text(text, value):
    assert parameters.settings({"allow_cpu": text}, "cifar10").allow_cpu is value


def papermill(output, *arguments):
    import subprocess

    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(output), "--no-progress-bar"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=300, cwd=output.parent
    )


@pytest.mark.slow
def test_papermill_with_a_threshold_as_text(tmp_path):
    arguments = ["-y", "{threshold: 1e-8, epochs: 1}", "-p", "output_dir", str(tmp_path / "runs")]
    done = papermill(tmp_path / "out.ipynb", *arguments)
    assert done.returncode == 0, done.stderr
    from bopkit import records

    runs = records.collect(tmp_path / "runs")
    assert [run["config"]["threshold"] for run in runs] == [1e-8, None]
    assert (tmp_path / "out.ipynb").stat().st_size < 1_000_000
