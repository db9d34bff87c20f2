"""Wrong parameters of a notebook: one sentence, before anything is computed or written."""

from __future__ import annotations

import pytest
import test_wrong_use_api
import test_wrong_use_cli

from bopkit.book import parameters
from bopkit.errors import BopkitError
from bopkit.training import variations

DEFAULTS = {"preset": "smoke", "dataset": None, "data_dir": None, "output_dir": None, "seed": 0}
EXPERIMENT = "binarynet/bop_sec52"

# The parameters that papermill sets, and what the sentence must say.
CASES = [
    ({"gama": 1e-3}, "unknown parameter 'gama': did you mean gamma?"),
    ({"datset": "digits"}, "unknown parameter 'datset': did you mean dataset?"),
    ({"presett": "smoke"}, "unknown parameter 'presett': did you mean preset?"),
    ({"output": "runs"}, "unknown parameter 'output': did you mean output_dir?"),
    ({"network": "xnornet"}, "unknown network 'xnornet': did you mean binarynet?"),
    ({"preset": "laptopp"}, "unknown preset 'laptopp': did you mean laptop?"),
    ({"preset": 3}, "preset must be text; got 3"),
    ({"preset": ["smoke"]}, "preset must be text; got ['smoke']"),
    ({"dataset": "fashion-mnist"}, "did you mean fashion_mnist?"),
    ({"dataset": 10}, "dataset must be text; got 10"),
    ({"data_dir": 3.5}, "data_dir must be text; got 3.5"),
    ({"output_dir": ["runs"]}, "output_dir must be text; got ['runs']"),
    ({"seed": "x"}, "seed must be a whole number"),
    ({"seed": 1.5}, "seed must be a whole number"),
    ({"seed": True}, "seed must be a whole number"),
    ({"seed": -1}, "seed must be a whole number"),
    ({"train_examples": "all"}, "train_examples must be a whole number; got 'all'"),
    ({"validation_examples": 0.5}, "validation_examples must be a whole number; got 0.5"),
    ({"allow_cpu": "no"}, "allow_cpu must be true or false; got 'no'"),
    ({"seeds": "many"}, "seeds must be a whole number; got 'many'"),
    ({"jobs": 0}, "jobs must be at least 1; got 0"),
    ({"scheduler": 8786}, "scheduler must be text; got 8786"),
    ({"epochs": "ten"}, "epochs must be a whole number; got 'ten'"),
    ({"epochs": [1]}, "epochs must be a whole number; got [1]"),
    ({"epochs": True}, "epochs must be a whole number; got True"),
    ({"epochs": 0}, "epochs must be at least 1"),
    ({"gamma": float("nan")}, "must be a number in (0, 1]"),
    ({"gamma": "1e-400"}, "must be a number in (0, 1]"),
    ({"gamma": {"start": 1}}, "gamma must be a number"),
    ({"threshold": "small"}, "threshold must be a number; got 'small'"),
    ({"threshold": float("inf")}, "must be a finite number of at least 0"),
    ({"learning_rate": 1e39}, "learning_rate must be a positive number that float32 can hold"),
    ({"precision": "float16"}, "float16 cannot hold"),
    ({"precision": 16}, "precision must be text; got 16"),
    ({"gamma_end": 1e-6}, "give gamma_end, or gamma_decay_rate"),
]


@pytest.mark.parametrize(("given", "message"), CASES, ids=lambda v: str(v)[:40])
def test_refused_in_one_sentence(given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BopkitError) as caught:
        parameters.settings(DEFAULTS | given, "cifar10").experiment(EXPERIMENT)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# What the notebook of section 5.1 adds; it hands them to `variations.vary`.
LINES = [
    ({"gamma": [1e-2, 2.0]}, "must be a number in (0, 1]"),
    ({"threshold": ["tiny"]}, "threshold must be a number; got 'tiny'"),
    ({"gama": [1e-2]}, "did you mean gamma?"),
    ({"gamma": 1e-2}, "the values of gamma must be a list, such as [0.01, 0.001]; got 0.01"),
    ({"gamma": []}, "the values of gamma must be a list"),
]


@pytest.mark.parametrize(("lines", "message"), LINES, ids=lambda v: str(v)[:40])
def test_a_sweep_refused_in_one_sentence(lines, message):
    base = parameters.settings(DEFAULTS, "hyperparameters").experiment("binarynet/bop")
    with pytest.raises(BopkitError) as caught:
        variations.vary(base, lines)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_at_least_sixty_distinct_mistakes_are_tried_over_the_three_ways_in():
    command_line = {str(arguments) for arguments, _ in test_wrong_use_cli.CASES}
    environment = {str(env) for _, env, _ in test_wrong_use_cli.PROCESSES if env}
    parameters = {str(given) for given, _ in [*CASES, *LINES]}
    api = set(test_wrong_use_api.CASES)
    counts = [len(found) for found in (command_line, environment, parameters, api)]
    assert min(len(command_line), len(parameters), len(api)) >= 20
    assert sum(counts) >= 60


def test_papermill_writes_a_parameters_name_as_it_is():
    """The page warns of it. Once papermill quotes names, the page must say so."""
    from papermill.translators import PythonTranslator

    code = PythonTranslator.codify({"import os; seed": 1})
    assert "\nimport os; seed = 1\n" in code
