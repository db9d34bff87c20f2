"""Write numbers and tables as people read them, on a page and in a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def printable(text: object) -> str:
    r"""Write foreign text on one line that moves no terminal's cursor and turns no direction.

    Args:
        text: anything, because a file's name or a record may come from anyone.

    Returns:
        The text with its blanks made single spaces, and with escapes such as ``\x1b`` for what
        does not print.

    Example:
        >>> printable("a\nb \x1b[2J\u202e.")
        'a b \\x1b[2J\\u202e.'
    """
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def number(value: float) -> str:
    """Write a number as a page shows it.

    Args:
        value: any number.

    Returns:
        At most four digits; at most two if a power of ten is a factor.

    Example:
        >>> [number(value) for value in (0.05, 3000, 1e-8, 3e-7)]
        ['0.05', '3,000', '10⁻⁸', '3×10⁻⁷']
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
    """Write a number as a terminal shows it, in ASCII.

    Example:
        >>> plain(3000.0), plain(1e-8)
        ('3000', '1e-08')
    """
    return f"{value:g}"


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]], *, right: int = 0) -> str:
    """Write a table as Markdown.

    Args:
        header: the title of each column.
        rows: the cells of each line, as Markdown that fits on one line.
        right: how many columns, counted from the last, are aligned to the right.

    Returns:
        The header, the rule below it and one line per row.

    Example:
        >>> print(markdown(["rule", "τ"], [["Bop", "10⁻⁸"]]))
        | rule | τ |
        | --- | --- |
        | Bop | 10⁻⁸ |
    """
    header = list(header)
    rule = ["---"] * (len(header) - right) + ["---:"] * right
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *rows])
