"""The repository itself: nothing of one machine in it, and what the front page shows is true."""

import importlib
import json
import os
import pkgutil
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import bopkit
from bopkit import records
from bopkit.records import schema

ROOT = Path(__file__).resolve().parents[1]

# Written so that this file does not find itself.
MACHINE = re.compile(
    r"(?<![\w.])/(?:wo[r]k|op[t]|hom[e]|roo[t])/\w|"
    r"registry\.npm[j]s|pypi\.or[g]/simple|pythonhoste[d]\.org|index-ur[l]",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def committed(require) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    require(listing.returncode == 0, "not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_committed_file_names_a_machine_or_a_registry(committed):
    found = []
    for path in committed:
        text = path.read_bytes().decode("utf8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE.finditer(text)]
    assert found == []


def test_what_is_fetched_at_build_time_is_pinned_and_not_committed(committed):
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert not any("resolved" in package for package in lock["packages"].values())
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"[\d.]+", version) for version in wanted.values())
    assert not [path for path in committed if {"vendor", "node_modules"} & set(path.parts)]


def test_every_page_of_the_contents_exists():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [page for part in toc["parts"] for page in part["chapters"]]
    below = [page for chapter in chapters for page in chapter.get("sections", [])]
    names = [toc["root"], *(page["file"] for page in chapters + below)]
    missing = [name for name in names if not list(ROOT.glob(f"{name}.*"))]
    assert missing == []


def test_every_public_name_has_its_place_in_the_reference():
    pages = [path.read_text(encoding="utf8") for path in (ROOT / "book/reference/api").iterdir()]
    named = re.findall(r"^\.\. automodule:: (bopkit\S+)$", "\n".join(pages), re.MULTILINE)
    assert len(named) == len(set(named))
    modules = {module.name for module in pkgutil.walk_packages(bopkit.__path__, "bopkit.")}
    assert set(named) <= modules
    for name, module in bopkit._LAZY.items():
        room = f"bopkit.{module.partition('.')[0]}"
        in_room = name in getattr(importlib.import_module(room), "__all__", ())
        assert f"bopkit.{module}" in named or (in_room and room in named), name


def test_the_page_of_the_command_line_says_what_a_record_holds():
    page = (ROOT / "book/reference/cli.md").read_text(encoding="utf8")
    in_rows = {key for run in records.collect(ROOT / "results") for key in run["epochs"][0]}
    for field in {*schema.Record.model_fields, *in_rows, "max_flip_ratio"}:
        assert f"`{field}`" in page, field


def test_the_ten_lines_learn():
    pages = [(ROOT / name).read_text(encoding="utf8") for name in ("README.md", "book/index.md")]
    readme, index = (re.search(r"```python\n(.*?)```", page, re.DOTALL)[1] for page in pages)
    assert readme == index
    names = {}
    exec(readme, names)
    assert names["model"].history.history["val_accuracy"][-1] > 0.9


def test_a_folder_that_is_no_environment_is_not_replaced_by_one(tmp_path):
    kept = tmp_path / "work" / "kept"
    kept.parent.mkdir()
    kept.touch()
    tool = ROOT / "tools" / "venv.sh"
    done = subprocess.run([tool, kept.parent], capture_output=True, text=True)
    assert done.returncode == 1 and kept.exists()
    assert done.stderr.startswith(f"{kept.parent} is not a virtual environment, and not empty")


@pytest.mark.parametrize("python", ["nosuch", "false"])
def test_a_python_that_will_not_do_is_refused_before_anything_is_made(python, tmp_path):
    kept = tmp_path / "venv" / "kept"
    kept.parent.mkdir()
    kept.touch()
    done = subprocess.run(
        [ROOT / "tools" / "venv.sh", kept.parent],
        env=os.environ | {"PYTHON": python},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and kept.exists() and done.stdout == ""
    assert done.stderr.startswith(f"PYTHON={python} is not a Python 3.10, 3.11 or 3.12")
    assert done.stderr.count("\n") == 1 and "leave it out" in done.stderr
