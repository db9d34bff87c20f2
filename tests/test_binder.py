"""What mybinder.org builds from binder/: the one list's versions, and a chapter to open.

`tools/try_binder.sh` builds it and runs the notebooks; that takes minutes and a download.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]

# Under "The module" in the one list, and not asked for here.
ELSEWHERE = {
    "tensorflow",  # as tensorflow-cpu, half its size
    "tf-keras",  # binder/postBuild: without its dependencies, which are `tensorflow` again
    "h5py",  # comes with tensorflow-cpu
}


def lines(path: str) -> list[str]:
    text = re.sub(r"(^|\s)#.*", "", (ROOT / path).read_text(encoding="utf8"), flags=re.MULTILINE)
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_ranges_stand_in_the_one_list():
    listed = {r.name: r.specifier for r in map(Requirement, lines("requirements.txt"))}
    constraint, *wanted = lines("binder/requirements.txt")
    assert constraint == "-c ../requirements.txt"
    ranges = {r.name: r.specifier for r in map(Requirement, wanted)}
    assert ranges.pop("tensorflow-cpu") == listed["tensorflow"]
    assert all(name in listed and not ranges[name] for name in ranges)


def test_it_has_all_that_the_module_needs():
    text = (ROOT / "requirements.txt").read_text(encoding="utf8")
    module = text.split("# The module: bopkit\n")[1].split("\n\n")[0]
    needed = {Requirement(re.sub(r"\s#.*", "", line)).name for line in module.splitlines()}
    wanted = {Requirement(line).name for line in lines("binder/requirements.txt")[1:]}
    assert needed > ELSEWHERE
    assert needed - ELSEWHERE <= wanted
    assert "tf-keras" in (ROOT / "binder/postBuild").read_text()


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
