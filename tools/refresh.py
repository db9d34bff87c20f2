"""Runs notebooks and stores what the tests compare: tools/refresh.py NOTEBOOK.ipynb ...

Only the cells tagged `nbval-check-output` keep their outputs: those are the same on every
machine. The others are made anew whenever the book is built.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TAG = "nbval-check-output"

# As the Makefile has it for the tests: no TensorFlow log lines, which differ everywhere.
os.environ["IPYTHONDIR"] = str(Path(__file__).resolve().parent / "ipython")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

for path in map(Path, sys.argv[1:]):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": path.parent}},
    ).execute()
    notebook.metadata["language_info"] = {"name": "python"}  # not the version of this machine
    for cell in notebook.cells:
        # A cell that was never run may have no outputs: nbval takes that for a mistake.
        if cell.cell_type == "code" and TAG not in cell.metadata.get("tags", []):
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)
