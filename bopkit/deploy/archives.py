"""Read ZIP archives from anyone, and check what they claim before it takes memory."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from bopkit.errors import BopkitError, DataError


@contextlib.contextmanager
def opened(path: Path, otherwise: str) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP archive, and say in one sentence why it or a part of it cannot be read.

    Args:
        path: the file.
        otherwise: what to say after the path where the file is damaged or of another kind.

    Yields:
        The archive.

    Raises:
        DataError: the file cannot be read, or whatever the block raised.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise DataError(f"cannot read {path}: it is a device or a pipe, not a file.")
        with zipfile.ZipFile(path) as archive:
            yield archive
    except BopkitError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or 'it is damaged'}.") from error
    except Exception as error:  # zipfile, NumPy, JSON and HDF5 raise a dozen kinds
        raise DataError(f"{path} {otherwise}") from error


def read_member(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """Read one member of an archive whole, which compares its checksum too.

    Args:
        archive: an open archive.
        name: the member.
        largest: how many bytes the member may have at most.

    Raises:
        ValueError: the member is larger, or compressed in another way than NumPy and Keras do.
        KeyError: there is no such member.
    """
    info = archive.getinfo(name)
    # Of the other kinds, zipfile unpacks all that the member holds, whatever size it claims.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("another kind of compression")
    if info.file_size > largest:
        raise ValueError(f"{info.file_size:,} bytes, more than {largest:,}")
    with archive.open(info) as file:
        return file.read(info.file_size)


def require_finite(source: object, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Refuse weights that are NaN or infinite.

    Args:
        source: the file, or whatever else the weights are of.
        arrays: pairs of a weight's name and its values.

    Raises:
        DataError: a weight is not finite.
    """
    for name, values in arrays:
        if not np.isfinite(values).all():
            raise DataError(f"{source} holds NaN or infinity in {name}: train the network again.")
