"""Define the errors that a user can correct; each message is one sentence that says how."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class BopkitError(Exception):
    """Group all errors below; the command line shows such an error as one line.

    Example:
        >>> try:
        ...     bopkit.experiments.get("binarynet/bap")
        ... except bopkit.errors.BopkitError as error:
        ...     print(error)
        unknown set of hyperparameters for binarynet 'bap': did you mean bop?
        there are: default, latent_sec52, bop, bop_sec52, bop2ndorder, leaking.
    """


class ConfigError(BopkitError, ValueError):
    """Report a setting that does not exist or is out of range.

    Example:
        >>> bopkit.experiments.check_seed(1.5)
        Traceback (most recent call last):
        bopkit.errors.ConfigError: seed must be a whole number from 0 to 2147483647; got 1.5.
    """


class DataError(BopkitError, ValueError):
    """Report data that is missing or damaged, or an argument that does not fit the data.

    Example:
        >>> bopkit.data.load("digits", channels=2)
        Traceback (most recent call last):
        bopkit.errors.DataError: channels=2 cannot be made from the 1-channel images of digits;
        give None, or 3 if the images are grayscale.
    """


class RecordError(BopkitError, ValueError):
    """Report a record that cannot be read or written.

    Example:
        >>> bopkit.records.collect("nowhere")
        Traceback (most recent call last):
        bopkit.errors.RecordError: there is no folder nowhere; give one that holds run.json files.
    """


class SetupError(BopkitError, ImportError):
    """Report a package that is missing, or was imported in another version.

    Example:
        >>> issubclass(bopkit.errors.SetupError, ImportError)
        True
    """


class TrainingError(BopkitError, RuntimeError):
    """Report training that cannot continue, for example because the loss became NaN.

    Example:
        >>> issubclass(bopkit.errors.TrainingError, RuntimeError)
        True
    """


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
