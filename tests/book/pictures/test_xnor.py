"""Two vectors that agree where asked, and their product both ways."""

import numpy as np

from bopkit.book.pictures import xnor


def test_a_pair_agrees_in_as_many_places_as_asked():
    for vector in range(1, 6):
        for agree in range(13):
            first, second = xnor.pair(vector, agree)
            assert np.count_nonzero(first == second) == agree
            assert first @ second == 2 * agree - 12
            assert set(first) == {-1, 1}


def test_says_both_results():
    assert "agree in 3 of 12 places" in xnor.draw(3, 1).description
    assert "is −6, and so is 2·3 − 12" in xnor.draw(3, 1).description
