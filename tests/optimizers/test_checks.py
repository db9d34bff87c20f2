"""Both rules held to the contract; and rules that break it, which it must find."""

import numpy as np
import pytest
import tensorflow as tf

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


def broken(**changes):
    return type("Broken", (Votes,), changes)


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
        (broken(signal=lambda self, averages, now: averages["m"] + 1), "no gradient was there"),
        (
            broken(update_averages=outside),
            "flipped against|compiled|went on otherwise|different things",
        ),
        (broken(get_config=lambda self: Votes("adam").get_config()), "another optim|other things"),
        (broken(flip_counts=lambda self: {"kernel": 0}), "flips were made, and 0 counted"),
    ],
)
def test_the_contract_finds_what_is_broken(rule, message):
    with pytest.raises(AssertionError, match=message):
        checks.check(lambda: rule("adam", gamma=0.2))


@pytest.mark.slow
def test_a_rule_of_a_readers_own_passes_and_learns():
    assert checks.check(lambda: Votes("adam")) == list(checks.CHECKS)
    variable = checks._variable()
    optimizer = Votes("sgd", threshold=0.1)
    for _ in range(30):
        optimizer.apply_gradients([(tf.ones(variable.shape), variable)])
    np.testing.assert_array_equal(variable.numpy(), -1)


def test_a_rule_says_which_hyperparameters_it_has():
    with pytest.raises(TypeError, match="Votes has the hyperparameters threshold, gamma; got"):
        Votes("adam", sigma=0.1)
