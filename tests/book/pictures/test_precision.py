"""The rounding that the picture of the number formats rests on, held to NumPy's and bfloat16's."""

import numpy as np
import pytest

from bopkit import rules
from bopkit.book.pictures import precision
from bopkit.book.pictures.precision import FORMATS, average, gradients, rounded, spacing, weights

rng = np.random.default_rng(0)
# Of every size that the picture speaks of, and halfway between neighbours.
VALUES = np.concatenate(
    [
        rng.choice([-1, 1], 20_000) * 10 ** rng.uniform(-12, 0, 20_000),
        np.arange(-4096, 4097) * 2.0**-25,
        [0.0, 2.0**-14, 2.0**-24, 2.0**-25, 3 * 2.0**-25, 1 + 2.0**-8, 1 + 3 * 2.0**-8],
    ]
).astype(np.float32)


def test_float16_and_float32_round_as_numpy_does():
    for name in ("float16", "float32"):
        # float64 on the way in: float32 has bits to lose too
        values = VALUES.astype(np.float64) * (1 + 1e-9)
        ours = [rounded(v, FORMATS[name]) for v in values.tolist()]
        np.testing.assert_array_equal(ours, values.astype(name).astype(np.float64))


def test_bfloat16_rounds_as_the_stacks_own_type_does():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    ours = [rounded(v, FORMATS["bfloat16"]) for v in VALUES.tolist()]
    np.testing.assert_array_equal(ours, VALUES.astype(bfloat16).astype(np.float64))


def test_bfloat16_is_the_upper_half_of_float32():
    bits = VALUES.view(np.uint32)
    # nearest, ties to even: half of the lower part's range, less one where the upper is even
    upper = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    ours = [rounded(v, FORMATS["bfloat16"]) for v in VALUES.tolist()]
    np.testing.assert_array_equal(ours, upper.view(np.float32))


def test_float64_is_exact():
    assert all(rounded(v, FORMATS["float64"]) == v for v in (0.1, -1e-300, 5e-324, 0.0))


def test_spacing_is_numpys():
    for value in (1.0, 1e-4, 3e-7, 0.0):
        assert spacing(value, FORMATS["float16"]) == float(np.spacing(np.float16(value)))
    assert FORMATS["float16"].smallest == float(np.finfo(np.float16).smallest_subnormal)


def test_tau_of_the_paper_is_nothing_in_float16():
    assert rounded(1e-8, FORMATS["float16"]) == 0
    assert rounded(1e-8, FORMATS["bfloat16"]) == pytest.approx(1e-8, rel=2**-8)


@pytest.mark.parametrize("threshold", [0.0, 1e-6, 1e-5, 1.0])
def test_weights_follow_the_rule(threshold):
    signal = gradients(0.01)
    weight, momentum, history = np.array([-1.0]), np.zeros(1), []
    for gradient in signal:
        weight, momentum, _ = rules.bop_step(
            weight, momentum, np.array([gradient]), threshold=threshold, gamma=0.01
        )
        history.append(weight[0])
    exact = average(signal.tolist(), 0.01, FORMATS["float64"], FORMATS["float64"])
    np.testing.assert_array_equal(weights(exact.averages, threshold), history)


def test_sixteen_bits_lose_updates_that_float32_keeps():
    lost = {kept: precision.course(1e-3, kept).lost for kept in precision.KEPT}
    assert lost["float32"] < 1e-3 and lost["mixed_bfloat16"] < 1e-3
    assert lost["bfloat16"] > 0.1 and lost["float16"] > 0.1
