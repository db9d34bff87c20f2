"""Check what the rules take: hyperparameters in range, arrays of one shape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# Networks compute in float32, which holds nothing between 0 and SMALLEST and nothing above LARGEST.
SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)


def check_gamma(gamma: float, name: str = "gamma") -> None:
    """Refuse an adaptivity rate outside (0, 1].

    Args:
        gamma: the rate γ.
        name: what the message calls it.

    Raises:
        ValueError: `gamma` is not a number in (0, 1]; NaN included.

    Example:
        >>> check_gamma(1.5)
        Traceback (most recent call last):
        ValueError: gamma, the adaptivity rate, must be a number in (0, 1], such as 1e-4; got 1.5.
    """
    _check_rate(gamma, f"{name}, the adaptivity rate,")


def check_sigma(sigma: float, name: str = "sigma") -> None:
    """Refuse a rate of the second moment outside (0, 1].

    Args:
        sigma: the rate σ.
        name: what the message calls it.

    Raises:
        ValueError: `sigma` is not a number in (0, 1]; NaN included.

    Example:
        >>> check_sigma(1e-2)
    """
    _check_rate(sigma, f"{name}, the rate of the second moment,")


def check_threshold(threshold: float, name: str = "threshold") -> None:
    """Refuse a threshold that is negative, infinite or NaN.

    Args:
        threshold: the threshold τ.
        name: what the message calls it.

    Raises:
        ValueError: `threshold` is not a finite number of at least 0.

    Example:
        >>> check_threshold(-1.0)
        Traceback (most recent call last):
        ValueError: threshold must be a finite number of at least 0, such as 1e-8; got -1.0.
    """
    possible = is_number(threshold) and (threshold == 0 or SMALLEST <= threshold < LARGEST)
    if not possible:
        raise ValueError(
            f"{name} must be a finite number of at least 0, such as 1e-8"
            f"{_too_small(threshold)}; got {threshold!r}."
        )


def check_positive(value: float, name: str, largest: float = LARGEST) -> None:
    """Refuse a number that float32 cannot hold, or that is 0 or less.

    Args:
        value: the number.
        name: what the message calls it.
        largest: the largest that is allowed.

    Raises:
        ValueError: `value` is not a number in this range; NaN included.

    Example:
        >>> check_positive(0.0, "clip")
        Traceback (most recent call last):
        ValueError: clip must be a positive number that float32 can hold; got 0.0.
    """
    if not (is_number(value) and SMALLEST <= value <= largest):
        raise ValueError(f"{name} must be a positive number that float32 can hold; got {value!r}.")


def _check_rate(value, what):
    if not is_number(value) or not SMALLEST <= value <= 1:
        raise ValueError(
            f"{what} must be a number in (0, 1], such as 1e-4{_too_small(value)}; got {value!r}."
        )


def _too_small(value) -> str:
    if is_number(value) and 0 < value < SMALLEST:
        return f", and float32 rounds numbers below {SMALLEST:.2g} to 0"
    return ""


def is_number(value: object) -> bool:
    """Tell a single real number from anything else; a truth value is none.

    Example:
        >>> is_number(1e-4), is_number([1e-4]), is_number(True)
        (True, False, False)
    """
    if isinstance(value, int | float):  # without NumPy, which `torch.compile` cannot trace here
        return not isinstance(value, bool)
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "fiu"


def check_arrays(weights, gradient, **averages):
    """Make floating arrays of the weights, the gradient and the averages of one update.

    Args:
        weights: each -1 or +1; any shape.
        gradient: finite numbers, the same shape.
        **averages: the averages of the rule by name, finite numbers of the same shape.

    Returns:
        The weights, the gradient and the averages as `check_shapes` makes them, in this order.

    Raises:
        ValueError: the shapes differ, an array does not hold real numbers, a weight is not -1 or
            +1, or a number is not finite.

    Example:
        >>> [array.shape for array in check_arrays([1, -1], [0.5, 0.5], momentum=[0.0, 0.0])]
        [(2,), (2,), (2,)]
    """
    arrays = check_shapes(weights=weights, gradient=gradient, **averages)
    if not (np.abs(arrays["weights"]) == 1).all():
        raise ValueError("weights must all be -1 or +1; take np.where(w >= 0, 1.0, -1.0) first.")
    check_finite(arrays)
    return arrays.values()


def check_shapes(**given) -> dict[str, np.ndarray]:
    """Make floating arrays of one shape.

    Args:
        **given: arrays by the names that the message calls them.

    Returns:
        The arrays by name, in float32 at least: integers would wrap, and squares of float16
        overflow.

    Raises:
        ValueError: the shapes differ, or an array does not hold real numbers.

    Example:
        >>> arrays = check_shapes(latent=np.array([1], np.int8), gradient=[0.5])
        >>> {name: array.dtype.name for name, array in arrays.items()}
        {'latent': 'float32', 'gradient': 'float64'}
    """
    arrays = {name: _as_floats(array, name) for name, array in given.items()}
    if len({array.shape for array in arrays.values()}) > 1:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{', '.join(arrays)} must have one shape; got {found}.")
    return arrays


def _as_floats(array, name):
    array = np.asarray(array)
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must hold real numbers, such as np.float32; got an array of {array.dtype}."
        )
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)


def check_squares(square: np.ndarray) -> None:
    """Refuse an average of squares that is below 0.

    Args:
        square: the average.

    Raises:
        ValueError: an entry is below 0.

    Example:
        >>> check_squares(np.zeros(2))
    """
    if (square < 0).any():
        raise ValueError(
            "square averages squared gradients, so it must be at least 0; start it at zeros; "
            f"got {square.min():g}."
        )


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays that hold NaN or infinity.

    Args:
        arrays: by the names that the message calls them.

    Raises:
        ValueError: an entry is NaN or infinite.

    Example:
        >>> check_finite({"gradient": np.ones(2)})
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity; the step before this one diverged.")
