"""What only the pages need: style, figures, the small network, widgets, pictures."""

from importlib.util import find_spec
from pathlib import Path

from bopkit.errors import SetupError

# Looked for before any is imported, so that the first line to fail is this one.
_NEEDED = ("anywidget", "ipywidgets", "matplotlib", "threadpoolctl")
_missing = [name for name in _NEEDED if not find_spec(name)]
if _missing:
    raise SetupError(f"bopkit.book needs {', '.join(_missing)}: pip install 'bopkit[book]'.")

# The repository's records, found from this file: a notebook may be run in any folder.
RESULTS = Path(__file__).resolve().parents[2] / "results"
