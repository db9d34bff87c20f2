"""What only the pages need: style, figures, the small network, widgets, pictures."""

from importlib.util import find_spec
from pathlib import Path

from bopkit.errors import SetupError

# Looked for before any is imported, so that the first line to fail is this one.
_NEEDED = ("anywidget", "ipywidgets", "matplotlib", "threadpoolctl")
_missing = [name for name in _NEEDED if not find_spec(name)]
if _missing:
    raise SetupError(f"bopkit.book needs {', '.join(_missing)}: pip install 'bopkit[book]'.")

# Found from this file: a notebook may be run in any folder. An ordinary installation leaves the
# pages and the records of the repository behind.
REPOSITORY = Path(__file__).resolve().parents[2]
HOW_TO_GET = "in a copy of the repository, run: pip install -e '.[book]'."


def __getattr__(name):
    """Name the folder of the committed records, `RESULTS`, if it is there."""
    if name != "RESULTS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return folder("results")


def folder(name: str) -> Path:
    """Find a folder of the repository that bopkit was installed from.

    Raises:
        SetupError: bopkit was installed without the repository.
    """
    if not (REPOSITORY / name).is_dir():
        raise SetupError(f"the folder {name} is not beside the package bopkit; {HOW_TO_GET}")
    return REPOSITORY / name
