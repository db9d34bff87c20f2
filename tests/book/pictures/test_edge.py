"""The three rules of the picture, held to the code that they stand for."""

import numpy as np
import pytest

from bopkit import rules
from bopkit.book.pictures import edge
from bopkit.book.pictures.edge import EQUATION, OURS, RELEASED, decide

WEIGHTS = np.array([-1.0, 1.0])


@pytest.mark.parametrize("threshold", [0.0, 0.25, 1.0])
def test_ours_is_the_packages_rule(threshold):
    for average in np.linspace(-2, 2, 33):
        update = rules.bop_step(
            WEIGHTS, np.zeros(2), np.full(2, average), threshold=threshold, gamma=1.0
        )
        np.testing.assert_array_equal(decide(WEIGHTS, average, threshold, OURS), update.weights)


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_released_is_larqs(threshold):
    lq = pytest.importorskip("larq")
    tf = pytest.importorskip("tensorflow")
    for average in (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0):
        variable = tf.Variable(WEIGHTS.astype(np.float32))
        optimizer = lq.optimizers.Bop(threshold=threshold, gamma=1.0)
        optimizer.apply_gradients([(tf.fill([2], average), variable)])
        np.testing.assert_array_equal(
            decide(WEIGHTS, average, threshold, RELEASED), variable.numpy()
        )


def test_the_rules_differ_at_equality_alone():
    for threshold in (0.0, 0.5, 1.0):
        averages = np.linspace(-2, 2, 4001)[:, None]
        new = [decide(WEIGHTS, averages, threshold, rule) for rule in (OURS, EQUATION, RELEASED)]
        same = (new[0] == new[1]) & (new[1] == new[2])
        assert np.all(same[np.abs(WEIGHTS * averages - threshold) > 1e-9])


@pytest.mark.parametrize(
    ("rule", "at_the_edge"), [(OURS, [-1, 1]), (EQUATION, [1, -1]), (RELEASED, [1, 1])]
)
def test_what_happens_at_equality(rule, at_the_edge):
    for threshold in (0.0, 0.5):
        average = WEIGHTS * threshold
        np.testing.assert_array_equal(decide(WEIGHTS, average, threshold, rule), at_the_edge)


def test_the_description_says_which_side():
    told = edge.draw(average=-1.0, threshold=1.0, rule=RELEASED).description
    assert "m = −1, |m| is exactly at τ: a weight of −1 flips, one of +1 stays." in told
