"""Write numbers and tables as people read them, and print them on streams that may fail."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TextIO

from bopkit.errors import BopkitError

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
        At most four digits below 1000, and all digits of the whole part from there on; at most two
        if a power of ten is a factor.

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


def tell_apart(names: Iterable[str], numbered: str = "{} ({})") -> list[str]:
    """Number the names that occur before: Keras calls every kernel that it loads kernel:0.

    Args:
        names: in their order.
        numbered: what becomes of a name and its number.

    Example:
        >>> tell_apart(["kernel:0", "kernel:0", "head/kernel:0"])
        ['kernel:0', 'kernel:0 (2)', 'head/kernel:0']
    """
    seen, found = Counter(), []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else numbered.format(name, seen[name]))
    return found


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


def shell_lines(command: str, width: int = 80) -> str:
    r"""Break a command into lines that a shell joins again when they are pasted.

    Args:
        command: on one line, without comments.
        width: number of characters per line. A longer word is broken at commas only, so a line may
            be longer if a word has none.

    Returns:
        Lines that end in a backslash, but for the last.

    Example:
        >>> print(shell_lines("bopkit train binarynet --hparams epochs=3,gamma=1e-3", 32))
        bopkit train binarynet \
            --hparams \
            epochs=3,gamma=1e-3
    """
    lines, line = [], ""
    for word in map(shlex.quote, shlex.split(command)):
        if line and len(line) + 1 + len(word) > width - 2:
            lines.append(line + " \\")
            line = "    " + word
        else:
            line += " " + word if line else word
        # A blank would end the word, so the next line begins at the margin.
        while (
            len(line) > width and "'" not in word and 0 < (cut := _comma(line, width)) < len(line)
        ):
            lines.append(line[:cut] + "\\")
            line = line[cut:]
    return "\n".join([*lines, line])


def _comma(line, width):
    """Where the last comma that fits ends; else where the first ends, or 0."""
    return (line.rfind(",", 0, width - 1) + 1) or line.find(",") + 1


def open_closed_streams() -> None:
    """Replace each standard stream that is closed by the null device.

    Otherwise the next file that is opened gets the stream's number, and what a library prints is
    written into that file.
    """
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null == number:
                os.set_inheritable(null, True)
            else:  # something else has the number already
                os.close(null)
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (until Python exits)


def note(text: str, stream: TextIO | None = None) -> OSError | None:
    """Print a line on what is being done or has been done.

    Args:
        text: the line.
        stream: where to print it; None is standard output.

    Returns:
        The error if the stream cannot be written. Then later lines go nowhere, and the work that
        they are about continues.
    """
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        discard(stream)
        return error
    return None


def complain(text: object) -> None:
    """Print on standard error what is wrong, in one line whatever it quotes."""
    try:
        print(f"bopkit: {printable(text)}", file=sys.stderr, flush=True)
    except OSError:  # the terminal may be gone; the exit code stays
        discard(sys.stderr)


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Print in the block what a command is for, and nothing else happens there.

    Raises:
        BopkitError: standard output cannot be written.
        SystemExit: nobody reads it any more, as in `bopkit results | head -1`.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
        sys.exit(1)
    except OSError as error:
        discard(sys.stdout)
        raise BopkitError(f"standard output cannot be written: {error.strerror}.") from error


def discard(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere: Python would try, and fail, again at its exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
