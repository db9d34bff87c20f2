"""What was computed once is found again: in the process, and by others if they share a folder."""

import pytest

from bopkit.book import remember

# A process with a new module: returns its argument as an array, and notes that it was called.
CODE = """
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, sys.argv[1])
import work

assert work.double(3.0).tolist() == [6.0] and work.double(3.0).tolist() == [6.0]
"""
WORK = """
from pathlib import Path

import numpy as np

from bopkit.book.remember import remember

@remember
def double(value):
    with (Path(__file__).parent / "calls").open("a") as calls:
        calls.write("x")
    return np.array([2 * value])
"""


@pytest.fixture
def run(tmp_path, run_python):
    """`run(**env)`: computes the same twice in a new process; how often that was done so far."""
    (tmp_path / "work.py").write_text(WORK)

    def run(**env):
        done = run_python(CODE, tmp_path, env={remember.FOLDER: ""} | env)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return len((tmp_path / "calls").read_text())

    return run


def test_a_process_computes_once_and_leaves_nothing(run, tmp_path):
    assert run() == 1
    assert run() == 2
    assert {path.name for path in tmp_path.iterdir()} <= {"work.py", "calls", "__pycache__"}


def test_processes_that_share_a_folder_compute_once(run, tmp_path):
    shared = {remember.FOLDER: str(tmp_path / "shared")}
    assert run(**shared) == run(**shared) == 1


def test_a_change_of_the_source_is_another_folder(monkeypatch, tmp_path):
    found = []
    for text in ("a = 1\n", "a = 2\n", "a = 1\n"):
        (tmp_path / "book").mkdir(exist_ok=True)
        (tmp_path / "rule.py").write_text(text)
        monkeypatch.setattr(remember, "__file__", str(tmp_path / "book" / "remember.py"))
        remember._version.cache_clear()
        found.append(remember._version())
    remember._version.cache_clear()
    assert found[0] == found[2] != found[1]
