"""What the table of hyperparameters says of a value is what an experiment does with it."""

import re

import pytest

from bopkit import experiments
from bopkit.errors import ConfigError

TABLE = {h.name: h for h in experiments.hyperparameters()}


def an_experiment(hyperparameter):
    """Some experiment that has the hyperparameter, without a schedule that excludes it."""
    method = (hyperparameter.methods or ("bop",))[-1]
    found = next(e for e in experiments.EXPERIMENTS.values() if e.method == method)
    plain = {f: "none" for f in TABLE if f.startswith(("gamma_", "threshold_", "sigma_"))}
    owned = {f: v for f, v in plain.items() if method in TABLE[f].methods}
    return experiments.override(found, owned)


def values(hyperparameter):
    """Values that the words name or that stand at their limits: allowed ones, then refused ones."""
    told = hyperparameter.values
    allowed, refused = [], []
    if limit := re.search(r"at least (\d+)", told):
        allowed.append(limit[1])
        refused.append(str(int(limit[1]) - 1))
    if limit := re.search(r"above (\d+)", told):
        allowed.append(str(float(limit[1]) + 1e-3))
        refused.append(limit[1])
    if limit := re.search(r"at most (\d+)", told):
        allowed.append(limit[1])
        refused.append(str(int(limit[1]) + 1))
    words = re.split(r", | or ", told.partition("above")[0].partition("at least")[0])
    allowed += [word for word in words if word]
    (allowed if "none" in told else refused).append("none")
    refused.append("seven")
    return allowed, refused


def try_out(hyperparameter, value):
    changes = {hyperparameter.name: value}
    # A decay takes two values together.
    rate, decay, part = hyperparameter.name.partition("_decay_")
    if decay and value != "none":
        changes[f"{rate}_decay_epochs" if part == "rate" else f"{rate}_decay_rate"] = (
            "50" if part == "rate" else "0.5"
        )
    experiments.override(an_experiment(hyperparameter), changes)


@pytest.mark.parametrize("name", TABLE)
def test_values_in_the_range_are_taken_and_others_refused(name):
    allowed, refused = values(TABLE[name])
    assert allowed and refused
    for value in allowed:
        try_out(TABLE[name], value)
    if name == "preprocess":  # its names are the data's: bopkit.data.load refuses others
        return
    for value in refused:
        with pytest.raises(ConfigError, match=name):
            try_out(TABLE[name], value)


def test_every_key_of_hparams_is_in_the_table_once():
    keys = {f for f in vars(experiments.get("binarynet/bop")) if f not in experiments.FIXED}
    assert set(TABLE) == keys and len(TABLE) == len(experiments.hyperparameters())
    assert all(h.meaning and h.values for h in TABLE.values())
