"""What goes wrong through no fault of the code: each message is one sentence for the user."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class BopkitError(Exception):
    """The root of the errors that the command line shows as a line, not as a traceback."""


class ConfigError(BopkitError, ValueError):
    """A setting that does not exist or is out of range."""


class DataError(BopkitError, ValueError):
    """Data that is missing, damaged, or asked for in a way that it cannot be had."""


class RecordError(BopkitError, ValueError):
    """A record that cannot be read or written."""


class SetupError(BopkitError, ImportError):
    """What training needs is not installed, or was imported in another version."""


class TrainingError(BopkitError, RuntimeError):
    """Training that cannot continue."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Suggest the known name that is nearest to a misspelt one.

    Args:
        name: what was given.
        known: the names that exist.

    Returns:
        A question that ends a clause, such as "did you mean gamma? "; empty if none is near.

    Example:
        >>> did_you_mean("gama", ["gamma", "threshold"])
        'did you mean gamma? '
    """
    near = difflib.get_close_matches(str(name).lower(), list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that a name does not exist, which one may be meant, and which exist.

    Example:
        >>> unknown("network", "binarnet", ["binarynet", "xnornet"])
        "unknown network 'binarnet': did you mean binarynet? there are: binarynet, xnornet."
    """
    known = list(known)
    return f"unknown {kind} {name!r}: {did_you_mean(name, known)}there are: {', '.join(known)}."


def one_line(error: BaseException) -> str:
    r"""Quote another library's error within a sentence: its first line, without the full stop.

    Example:
        >>> one_line(ValueError("no such file.\nTraceback ..."))
        'no such file'
    """
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip(".") if lines else type(error).__name__)[:300]


@contextlib.contextmanager
def as_our_error(kind: type[BopkitError], message: str) -> Iterator[None]:
    """Raise another library's error as one of ours, and let ours through.

    Args:
        kind: the class to raise.
        message: a sentence in which `{}` stands for the other error's first line.

    Raises:
        BopkitError: of `kind`, from the original error.
    """
    try:
        yield
    except BopkitError:
        raise
    except Exception as error:
        # Not `format`: a path in the message may hold braces.
        raise kind(message.replace("{}", one_line(error))) from error
