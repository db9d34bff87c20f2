"""The table of settings, and what happens to text that should be a number."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bopkit import experiments
from bopkit.errors import ConfigError

BOP = experiments.get("binarynet/bop")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("binarynet/default", ("latent", 100, 256, None, None, 5e-3)),
        ("binarynet/latent_sec52", ("latent", 500, 50, None, None, 1e-3)),
        ("binarynet/bop", ("bop", 100, 100, 1e-6, 1e-3, 1e-2)),
        ("binarynet/bop_sec52", ("bop", 500, 50, 1e-8, 1e-4, 1e-2)),
        ("binary_alexnet/bop", ("bop", 150, 1024, 1e-8, 1e-4, 2.5e-3)),
        ("xnornet/bop", ("bop", 100, 1024, 1e-8, 1e-4, 2.5e-3)),
        ("birealnet/bop", ("bop", 300, 1024, 1e-8, 1e-4, 2.5e-3)),
    ],
)
def test_the_papers_settings(name, expected):
    e = experiments.get(name)
    got = (e.method, e.epochs, e.batch_size, e.threshold, e.gamma, e.learning_rate)
    assert got == expected
    if e.dataset == "imagenet2012":
        assert (e.gamma_end, e.learning_rate_end) == (1e-6, 5e-6)


@pytest.mark.parametrize(
    ("name", "epochs", "batch", "threshold", "gamma", "sigma", "rate"),
    [
        ("binarynet", 500, 50, (1e-5, 1e-8), (1e-2, 1e-5), (1e-7, 1e-2), (1e-2, 1e-3)),
        ("xnornet", 100, 1024, (1e-8, 1e-5), (1e-4, 1e-9), (1e-5, 1e-2), (2.5e-3, 5e-6)),
        ("birealnet", 150, 1024, (1e-8, 1e-5), (1e-4, 1e-9), (1e-5, 1e-2), (2.5e-3, 5e-6)),
    ],
)
def test_the_settings_of_the_second_order_rule(name, epochs, batch, threshold, gamma, sigma, rate):
    e = experiments.get(name, "bop2ndorder")
    assert (e.method, e.epochs, e.batch_size) == ("bop2ndorder", epochs, batch)
    assert (e.threshold, e.threshold_end) == threshold
    assert (e.gamma, e.gamma_end) == gamma
    assert (e.sigma, e.sigma_end) == sigma
    assert (e.learning_rate, e.learning_rate_end) == rate


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("binarynet/bop", {"sigma": 0.1}, "which has no sigma; bop2ndorder has"),
        ("binarynet/bop", {"bias_correction": "true"}, "which has no bias_correction"),
        (
            "binarynet/default",
            {"threshold_end": 1e-8},
            "which has no threshold_end; bop and bop2ndorder have it",
        ),
        ("binarynet/bop2ndorder", {"sigma": 0}, "sigma, the rate of the second moment"),
        ("binarynet/bop2ndorder", {"sigma_end": 2}, "sigma_end, the rate of the second"),
        ("binarynet/bop2ndorder", {"bias_correction": "maybe"}, "must be true or false"),
    ],
)
def test_each_method_has_its_own_rates(name, values, message):
    with pytest.raises(ConfigError, match=message):
        experiments.override(experiments.get(name), values)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), (True, True)])
def test_yes_and_no_may_be_text(text, value):
    changed = experiments.override(
        experiments.get("binarynet/bop2ndorder"), {"bias_correction": text}
    )
    assert changed.bias_correction is value


def test_get_takes_the_released_name_and_a_set():
    assert experiments.get("alexnet", "bop") is experiments.EXPERIMENTS["binary_alexnet/bop"]
    assert experiments.get("binarynet/bop") is BOP
    assert experiments.get("binarynet/bop", "bop") is BOP


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("binarynets", "bop"), "unknown network 'binarynets': did you mean binarynet"),
        (("binarynet", "bopp"), "unknown set of hyperparameters for binarynet 'bopp': did you"),
        (("resnet", "bop"), "there are: binarynet, binary_alexnet, xnornet, birealnet"),
        (("binarynet",), "unknown set of hyperparameters"),
        (
            ("binarynet/bop_sec52", "bop"),
            "set of hyperparameters bop_sec52, but hparams_set is bop",
        ),
    ],
)
def test_unknown_names(arguments, message):
    with pytest.raises(ConfigError, match=message):
        experiments.get(*arguments)


@given(st.floats(1e-12, 1.0))
def test_text_and_numbers_are_the_same(gamma):
    """As a YAML file or a command line gives them: 1e-8 may arrive as text."""
    for given_as in (gamma, repr(gamma), f" {gamma!r} "):
        assert experiments.override(BOP, {"gamma": given_as}).gamma == gamma


def test_override_reads_each_fields_type():
    changed = experiments.override(
        BOP, {"epochs": "3", "batch_size": 50.0, "gamma_end": "1e-6", "precision": "mixed_bfloat16"}
    )
    assert (changed.epochs, changed.batch_size, changed.gamma_end) == (3, 50, 1e-6)
    assert isinstance(changed.batch_size, int) and changed.precision == "mixed_bfloat16"
    assert experiments.override(changed, {"gamma_end": "none"}).gamma_end is None
    assert experiments.override(changed, {"gamma_end": None}).gamma_end is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gama": 1}, "unknown hyperparameter 'gama': did you mean gamma"),
        ({"network": "xnornet"}, "unknown hyperparameter 'network'"),
        ({"epochs": -1}, "epochs must be at least 1; got -1"),
        ({"epochs": 2.5}, "epochs must be a whole number; got 2.5"),
        ({"epochs": True}, "epochs must be a whole number; got True"),
        ({"epochs": "inf"}, "epochs must be a whole number"),
        ({"epochs": "nan"}, "epochs must be a whole number"),
        ({"epochs": [3]}, "epochs must be a whole number"),
        ({"epochs": "none"}, "epochs must be a whole number"),
        ({"gamma": "nan"}, "gamma, the adaptivity rate"),
        ({"gamma": 0}, "gamma, the adaptivity rate"),
        ({"gamma_end": 2}, "gamma_end, the adaptivity rate"),
        ({"threshold": "-1e-8"}, "threshold must be a finite number"),
        ({"threshold": "none"}, "threshold must be a finite number"),
        ({"gamma": None}, "gamma, the adaptivity rate"),
        ({"epochs": None}, "epochs must be a whole number; got None"),
        ({"preprocess": None}, "preprocess must be text; got None"),
        ({"learning_rate": 0}, "learning_rate must be a positive number"),
        ({"learning_rate": "inf"}, "learning_rate must be a positive number"),
        ({"precision": "mixed_float16"}, "float16 cannot hold"),
        ({"precision": "half"}, "precision must be one of"),
        ({"precision": 16}, "precision must be text"),
        ({"gamma_decay_rate": 0.1}, "go together"),
        ({"gamma_decay_rate": 0.1, "gamma_decay_epochs": 1, "gamma_end": 1e-6}, "gamma decays"),
        ({"learning_rate_decay_epochs": 5}, "go together"),
        (
            {"learning_rate_decay_rate": 2, "learning_rate_decay_epochs": 5},
            "must be above 0 and at",
        ),
        (
            {"learning_rate_decay_rate": 1e-9, "learning_rate_decay_epochs": 1},
            "learning_rate decays to 0 by epoch 100",
        ),
        (
            dict.fromkeys(("learning_rate_decay_rate", "learning_rate_end"), 0.1)
            | {"learning_rate_decay_epochs": 1},
            "learning_rate decays linearly or in steps, not both",
        ),
        ({"filters": 0}, "filters must be at least 1"),
    ],
)
def test_override_refuses(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        experiments.override(BOP, values)
    assert "\n" not in str(caught.value)


def test_settings_that_do_not_apply():
    with pytest.raises(ConfigError, match="which has no gamma"):
        experiments.override(experiments.get("binarynet/default"), {"gamma": 1e-3})
    with pytest.raises(ConfigError, match="xnornet has one size"):
        experiments.override(experiments.get("xnornet/bop"), {"filters": 32})


def test_parse_hparams():
    assert experiments.parse_hparams(" epochs=3, gamma=1e-3 ,") == {"epochs": "3", "gamma": "1e-3"}
    assert experiments.parse_hparams("") == {}
    for wrong, message in (("epochs", "takes k=v"), ("=3", "takes k=v"), ("a=1,a=2", "twice")):
        with pytest.raises(ConfigError, match=message):
            experiments.parse_hparams(wrong)


def test_changes_round_trip():
    values = {"epochs": 3, "gamma": 0.5, "gamma_end": 0.1, "filters": 32}
    changed = experiments.override(BOP, values)
    assert experiments.changes(changed) == values
    assert experiments.changes(BOP) == {}
    assert dataclasses.replace(BOP, **values) == changed


def test_changes_of_an_own_experiment_are_all_that_override_takes():
    own = dataclasses.replace(BOP, name="mine/bop", dataset="digits", gamma=0.5)
    assert experiments.override(BOP, experiments.changes(own)).gamma == 0.5
    assert experiments.changes(dataclasses.replace(BOP, dataset="digits")) == {}


def test_an_own_experiment_reads_text_and_whole_numbers_as_its_fields_types():
    own = {"name": "mine/bop", "network": "binarynet", "method": "bop", "dataset": "digits"}
    given = {"epochs": "3", "batch_size": 50.0, "learning_rate": "1e-2", "gamma": 1}
    experiment = experiments.Experiment(**own, **given, threshold=0)
    values = dataclasses.asdict(experiment)
    assert (values["epochs"], values["batch_size"], values["learning_rate"]) == (3, 50, 0.01)
    # A run's identity is this text.
    assert json.dumps([values["gamma"], values["threshold"]]) == "[1.0, 0.0]"
    with pytest.raises(ConfigError, match="epochs must be a whole number; got 'three'"):
        experiments.Experiment(**own, **given | {"epochs": "three"}, threshold=0)
