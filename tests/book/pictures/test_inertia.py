"""What the sliders of the picture keep and what they change."""

import numpy as np

from bopkit.book.pictures import inertia


def test_scaling_start_and_learning_rate_together_changes_no_flip():
    once, again = inertia.course(0.5, 0.1), inertia.course(4.0, 0.8)
    assert np.array_equal(once.flips, again.flips) and len(once.flips) > 0
    assert np.array_equal(8 * once.latent, again.latent)


def test_clipping_breaks_that():
    once, again = inertia.course(0.5, 0.1, clip=1.0), inertia.course(4.0, 0.8, clip=1.0)
    assert not np.array_equal(once.flips, again.flips)
    assert np.abs(again.latent[1:]).max() == 1


def test_more_inertia_flips_later():
    first = [inertia.course(scale, 0.1).flips[0] for scale in (0.25, 0.5, 1.0, 2.0)]
    assert first == sorted(first) and len(set(first)) == 4


def test_says_what_is_cut_off():
    assert "40, clipped to 10. " in inertia.draw(4.0, 0.1, inertia.CLIPPED).description
    assert "2.5, never above 10. " in inertia.draw(0.25, 0.1, inertia.CLIPPED).description
    assert "never flips" in inertia.draw(4.0, 0.05, inertia.FREE).description
