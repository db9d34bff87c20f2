"""Check what the rules take: hyperparameters in range, arrays that fit each other."""

from __future__ import annotations

import numpy as np

# Networks compute in float32, which holds nothing between 0 and the one, or above the other.
SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)


def check_gamma(gamma: float, name: str = "gamma") -> None:
    """Refuse an adaptivity rate outside (0, 1].

    Raises:
        ValueError: `gamma` is not a number in (0, 1]; NaN included.
    """
    _check_rate(gamma, f"{name}, the adaptivity rate,")


def check_sigma(sigma: float, name: str = "sigma") -> None:
    """Refuse a rate of the second moment outside (0, 1].

    Raises:
        ValueError: `sigma` is not a number in (0, 1]; NaN included.
    """
    _check_rate(sigma, f"{name}, the rate of the second moment,")


def check_threshold(threshold: float, name: str = "threshold") -> None:
    """Refuse a threshold that is negative, infinite or NaN.

    Raises:
        ValueError: `threshold` is not a finite number of at least 0.
    """
    possible = _is_number(threshold) and (threshold == 0 or SMALLEST <= threshold < LARGEST)
    if not possible:
        raise ValueError(
            f"{name} must be a finite number of at least 0, such as 1e-8"
            f"{_too_small(threshold)}; got {threshold!r}."
        )


def _check_rate(value, what):
    if not _is_number(value) or not SMALLEST <= value <= 1:
        raise ValueError(
            f"{what} must be a number in (0, 1], such as 1e-4{_too_small(value)}; got {value!r}."
        )


def _too_small(value) -> str:
    if _is_number(value) and 0 < value < SMALLEST:
        return f", and what is below {SMALLEST:.2g} is 0 in float32"
    return ""


def _is_number(value) -> bool:
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "fiu"


def check_arrays(weights, gradient, **averages):
    """Weights, gradient and averages as arrays, if they can be those of one update."""
    arrays = {"weights": weights, "gradient": gradient, **averages}
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{', '.join(arrays)} must have one shape; got {found}.")
    if not (np.abs(arrays["weights"]) == 1).all():
        raise ValueError("weights must all be -1 or +1; take np.where(w >= 0, 1.0, -1.0) first.")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity; the step before this one diverged.")
    return arrays.values()
