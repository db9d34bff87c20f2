"""The contract holds bopkit's rules, and finds what is wrong with rules that break it."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import bopkit
from bopkit.optimizers import Bop, Bop2ndOrder, checks
from bopkit.optimizers.base import FlipOptimizer
from bopkit.optimizers.hyper import Hyper
from bopkit.rules import ranges

schedules = tf.keras.optimizers.schedules

RULES = {
    "Bop": lambda: Bop("adam", threshold=0.05, gamma=0.1),
    "Bop, schedules": lambda: Bop(
        "adam",
        threshold=schedules.PolynomialDecay(0.1, 30, 0.01),
        gamma=schedules.ExponentialDecay(0.3, 10, 0.5, staircase=True),
    ),
    "Bop2ndOrder": lambda: Bop2ndOrder("adam", threshold=0.3, gamma=0.1, sigma=0.05),
    "Bop2ndOrder, bias correction, schedules": lambda: Bop2ndOrder(
        "adam",
        threshold=schedules.PolynomialDecay(0.5, 30, 0.1),
        gamma=schedules.PolynomialDecay(0.3, 30, 0.01),
        sigma=schedules.PolynomialDecay(1e-7, 30, 0.01),
        bias_correction=True,
    ),
}


@pytest.mark.parametrize("sentence", checks.CHECKS)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_keeps_the_contract(rule, sentence):
    checks.CHECKS[sentence](RULES[rule])


class Votes(FlipOptimizer):
    """A rule of a reader's own, and a sound one; the broken ones below differ in one thing."""

    gamma = Hyper(ranges.check_gamma)

    def __init__(self, fp_optimizer, threshold=0.3, gamma=0.1, **kwargs):
        super().__init__(fp_optimizer, threshold=threshold, gamma=gamma, **kwargs)

    def update_averages(self, averages, gradient, now):
        m = averages["m"]
        return {"m": m + now["gamma"] * (tf.sign(gradient) - m)}

    def signal(self, averages, now):
        return averages["m"]


def test_the_contract_is_found_without_an_import_of_its_own(monkeypatch):
    monkeypatch.delattr(bopkit.optimizers, "checks")
    assert bopkit.optimizers.checks is checks


def broken(**changes):
    return type("Broken", (Votes,), changes)


def beyond_any_threshold(self, averages, now):
    # Above a threshold of 0.3 and of 1e30 alike, where the average has a size at all.
    return tf.sign(averages["m"]) * tf.where(tf.abs(averages["m"]) > 0.3, 1e35, 0.0)


def outside(self, averages, gradient, now):
    # A Python attribute, which no checkpoint holds.
    self.seen = getattr(self, "seen", 0) + 1
    m = averages["m"]
    return {"m": m + now["gamma"] * (gradient - m) * (-1.0) ** self.seen}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (broken(signal=lambda self, averages, now: -averages["m"]), "flipped against their grad"),
        (broken(signal=lambda self, averages, now: averages["m"] * 0), "no weight flipped"),
        (broken(signal=lambda self, averages, now: averages["m"] + 1), "every gradient was zero"),
        (broken(signal=beyond_any_threshold), "flipped below the threshold"),
        (
            broken(update_averages=outside),
            "flipped against|compiled|restored from a checkpoint|different weights",
        ),
        (broken(get_config=lambda self: Votes("adam").get_config()), "made from its configuration"),
        (broken(flip_counts=lambda self: {"kernel": 0}), r"flip_counts\(\) says 0"),
    ],
)
def test_the_contract_finds_what_is_broken(rule, message):
    with pytest.raises(AssertionError, match=message):
        checks.check(lambda: rule("adam", gamma=0.2))


@pytest.mark.slow
def test_a_rule_of_a_readers_own_passes_and_learns():
    assert checks.check(lambda: Votes("adam")) == list(checks.CHECKS)
    start = tf.Variable(np.where(np.arange(200) % 3, 1.0, -1.0), dtype=tf.float32)
    variable = lq.quantized_variable.QuantizedVariable.from_variable(start, precision=1)
    optimizer = Votes("sgd", threshold=0.1)
    for _ in range(30):
        optimizer.apply_gradients([(tf.ones(variable.shape), variable)])
    np.testing.assert_array_equal(variable.numpy(), -1)


def test_a_rule_says_which_hyperparameters_it_has():
    with pytest.raises(TypeError, match="Votes has the hyperparameters threshold, gamma; got"):
        Votes("adam", sigma=0.1)
