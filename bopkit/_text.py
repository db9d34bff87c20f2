"""How numbers are written: on a page, and in a terminal."""

from __future__ import annotations

import math

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """A number as a page shows it: 0.05, 3,000, 10⁻⁸, 3×10⁻⁷.

    Args:
        value: any number.

    Returns:
        Four digits at most; two where a power of ten is a factor.
    """
    if not math.isfinite(value):
        return plain(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    factor, exponent = f"{value:.1e}".split("e")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    sign, size = ("-" if value < 0 else ""), f"{abs(float(factor)):g}"
    return sign + (power if size == "1" else f"{size}×{power}")


def plain(value: float) -> str:
    """A number as a terminal shows it, in characters that every one has: 0.05, 3000, 1e-08."""
    return f"{value:g}"
