"""What the build printed is what the notebooks store, in cells tagged `nbval-check-output`.

The build runs each notebook once. It leaves them with their outputs under _build/jupyter_execute.
"""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXECUTED = ROOT / "_build" / "jupyter_execute"
TAG = "nbval-check-output"
# As nbval: kinds of output that differ from run to run, and the addresses of Python's objects.
DIFFERS = {"application/vnd.jupyter.widget-view+json", "image/png", "image/jpeg"}
ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@pytest.fixture(scope="session")
def newest_source() -> Path:
    """The file of the package that was changed last."""
    return max((ROOT / "bopkit").rglob("*.py"), key=lambda path: path.stat().st_mtime)


def code_cells(path: Path) -> list:
    """The code cells of a notebook."""
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def seen(cell) -> dict[str, str]:
    """What a cell shows, by kind; consecutive pieces of a stream are one text."""
    shown: dict[str, str] = {}
    for output in cell.outputs:
        if output.output_type == "stream":
            pieces = {output.name: output.text}
        elif output.output_type == "error":
            pieces = {"error": f"{output.ename}: {output.evalue}"}
        else:
            pieces = {kind: str(data) for kind, data in output.data.items() if kind not in DIFFERS}
        for kind, text in pieces.items():
            shown[kind] = shown.get(kind, "") + ADDRESS.sub("0x...", text)
    return shown


def test_the_build_printed_what_the_notebook_stores(html, notebook, newest_source):
    path, executed = ROOT / notebook, EXECUTED / notebook
    assert executed.is_file(), f"the build did not run {notebook}: run `make book`"
    built = executed.stat().st_mtime
    for source in (path, newest_source):
        assert source.stat().st_mtime < built, (
            f"{source.relative_to(ROOT)} is newer than the build of {notebook}: run `make book`"
        )
    stored, ran = code_cells(path), code_cells(executed)
    assert [cell.source for cell in ran] == [cell.source for cell in stored]
    for number, (was, now) in enumerate(zip(stored, ran, strict=True), 1):
        where = f"{notebook}, code cell {number}"
        assert "error" not in seen(now), f"{where} failed: {seen(now)['error']}"
        if TAG in was.metadata.get("tags", []):
            assert was.outputs, f"{where} stores no output: run tools/refresh.py {notebook}"
            assert seen(now) == seen(was), (
                f"{where} prints something else than it stores: if the new output is right, run "
                f"tools/refresh.py {notebook}"
            )
