"""The two programs of the picture: where they agree, where they round apart, and how often."""

import numpy as np
import pytest

from bopkit import rules
from bopkit.book.pictures import ties
from bopkit.book.pictures.ties import FUSED, HALF, PLAIN, apart, edge, sums, two_programs

GENERIC = {"mean": -0.7, "spread": 57.3, "shift": 0.1}


def test_sums_are_even_whole_numbers_of_64_products():
    assert sums().shape == (1797,) and sums().dtype.kind == "i"
    assert not np.any(sums() % 2) and np.abs(sums()).max() <= 64


@pytest.mark.parametrize("second", [PLAIN, FUSED, HALF])
def test_both_programs_compute_batch_normalization(second):
    x = np.arange(-64, 65, 2)
    exact = (x - GENERIC["mean"]) / np.sqrt(GENERIC["spread"] + ties.EPSILON) + GENERIC["shift"]
    first, other = two_programs(x, *GENERIC.values(), second)
    assert first.dtype == other.dtype == np.float32
    np.testing.assert_allclose(first, exact, atol=1e-5)
    np.testing.assert_allclose(other, exact, atol=1e-2 if second == HALF else 1e-5)


def test_the_first_is_what_keras_computes_within_rounding():
    tf = pytest.importorskip("tensorflow")
    x = np.arange(-64, 65, 2).astype(np.float32)
    first, _ = two_programs(x, *GENERIC.values(), PLAIN)
    keras = tf.nn.batch_normalization(
        x, GENERIC["mean"], GENERIC["spread"], GENERIC["shift"], None, ties.EPSILON
    )
    np.testing.assert_allclose(first, keras, atol=1e-5)


def test_fused_rounds_the_exact_value_once():
    """By whole numbers, which have no rounding at all."""
    from fractions import Fraction

    x = np.arange(-64, 65, 2)
    one = np.ones(1, np.float32)
    scale = one / np.sqrt(np.float32(GENERIC["spread"]) + np.float32(ties.EPSILON))
    offset = np.float32(GENERIC["shift"]) - np.float32(GENERIC["mean"]) * scale
    exact = [int(v) * Fraction(float(scale[0])) + Fraction(float(offset[0])) for v in x]
    _, fused = two_programs(x, *GENERIC.values(), FUSED)
    np.testing.assert_array_equal(fused, np.array([float(v) for v in exact], np.float32))


def test_an_exact_tie_rounded_twice_is_exactly_zero_in_both():
    spread = np.random.RandomState(1).uniform(16, 256, 1000)
    for x in (-2, 6, 26):
        first, twice = two_programs(x, x, spread, 0.0, PLAIN)
        assert not first.any() and not twice.any()  # and the sign of 0 is +1
        assert apart(x, 0.0, 0.0, PLAIN) == 0


def test_an_exact_tie_rounded_once_is_what_rounding_the_product_has_lost():
    assert 0.2 < apart(6, 0.0, 0.0, FUSED) < 0.5 and 0.2 < apart(10, 0.0, 0.0, FUSED) < 0.5
    for x in (0, 2, -4, 8):  # a product with a power of two is exact
        assert apart(x, 0.0, 0.0, FUSED) == 0


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.1, 0.5])
def test_close_to_a_sum_float32_is_a_coin_and_far_from_it_none(shift):
    for second in (PLAIN, FUSED):
        assert apart(6, 0.0, shift, second) > 0.1
        assert apart(6, 1e-4, shift, second) == 0
    assert apart(6, 1e-4, shift, HALF) > 0.2 and apart(6, 0.5, shift, HALF) == 0


def test_the_edge_is_where_batch_normalization_turns():
    for mean, shift in ((6.0, 0.0), (5.4, 0.1), (4.0, -0.5)):
        found = edge(mean, shift, PLAIN)
        first, _ = two_programs(sums(), mean, ties.variance(), shift, PLAIN)
        np.testing.assert_array_equal(rules.sign(first) > 0, sums() >= found.place)
        assert found.nearest % 2 == 0 and found.distance <= 1
        assert found.images == np.sum(sums() == found.nearest)


def test_only_the_digits_with_the_nearest_sum_can_turn():
    for values in ties.SCENE.grid():
        found = edge(**values)
        assert found.turned in (0, found.images)


def test_the_description_says_where_the_edge_lies():
    told = ties.draw(mean=6.0, shift=0.0, second=PLAIN).description
    assert "μ = 6, β = 0: the edge lies exactly on 6, which" in told
    assert "0 give that sum another sign in the second program (rounded twice)" in told
    assert "in this unit no digits change" in told
    told = ties.draw(mean=0.0, shift=0.5, second=PLAIN).description
    assert "μ = 0, β = 0.5: the edge is at −2.77, 0.77 from the possible sum −2, which" in told
