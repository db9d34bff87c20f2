"""Every public name has an example in its docstring, and every example gives what it says."""

import doctest
import importlib
import importlib.util
import inspect
import json
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import bopkit

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq

REFERENCE = Path(__file__).resolve().parents[1] / "book" / "reference"
# What the reference's first page says that its examples assume.
GLOBALS = {"bopkit": bopkit, "lq": lq, "np": np, "tf": tf}
ROOMS = ("data", "experiments", "models", "optimizers", "records", "rules")

# Examples that are shown and not run, and why.
NOT_RUN = {"bopkit.data.imagenet.drawn.prepare_imagenet_sample": "TFDS takes ten seconds"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the run that the examples read: `runs/digits`, from the example of `train`."""
    folder = tmp_path_factory.mktemp("examples")
    hparams = {"epochs": 2, "filters": 8, "dense_units": 16, "batch_size": 50}
    output_dir = folder / "runs" / "digits"
    bopkit.train("binarynet/bop", output_dir=output_dir, hparams=hparams, progress=False)
    return folder


def modules_with_examples():
    names = [module.name for module in pkgutil.walk_packages(bopkit.__path__, "bopkit.")]
    origins = {name: importlib.util.find_spec(name).origin for name in names}
    return [name for name in names if ">>>" in Path(origins[name]).read_text(encoding="utf8")]


def documented():
    """Each module that the reference documents, and the names that it leaves out."""
    for page in sorted((REFERENCE / "api").glob("*.md")):
        if page.stem == "pytorch" and not importlib.util.find_spec("torch"):
            continue
        text = page.read_text(encoding="utf8")
        for name, options in re.findall(r"automodule:: (\S+)\n((?: +:.*\n)*)", text):
            left_out = re.search(r":exclude-members: (.*)", options)
            yield name, set(left_out[1].split(", ") if left_out else ())


def members(holder, left_out, names):
    """The functions and classes of a module or class that a reader may use, without constants."""
    for name in names:
        member = inspect.getattr_static(holder, name)
        member = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if name not in left_out and name[0] != "_" and callable(member):
            yield member


def public():
    """By its full name, everything public that can have a docstring."""
    pages = {f"bopkit.{room}": set() for room in ROOMS} | dict(documented())
    found = {}
    for name in bopkit._LAZY:
        member = getattr(bopkit, name)
        found[f"{member.__module__}.{member.__qualname__}"] = member
    for module_name, left_out in pages.items():
        module = importlib.import_module(module_name)
        own = [n for n, m in vars(module).items() if getattr(m, "__module__", "") == module_name]
        for member in members(module, left_out, getattr(module, "__all__", own)):
            found[f"{member.__module__}.{member.__qualname__}"] = member
            if inspect.isclass(member):
                for method in members(member, left_out, vars(member)):
                    found[f"{member.__module__}.{method.__qualname__}"] = method
    return found


def is_property(member):
    holder = importlib.import_module(member.__module__)
    for name in member.__qualname__.split("."):
        holder = inspect.getattr_static(holder, name)
    return isinstance(holder, property)


def test_every_first_line_is_an_imperative():
    """Properties are named instead."""
    texts = {name: m.__doc__ or "" for name, m in public().items() if not is_property(m)}
    texts |= {name: importlib.import_module(name).__doc__ for name, _ in documented()}
    other = re.compile(r"[A-Z][a-z]*[^s]s$|(An?|One|The|What|Whether|How|Where|Every)$")
    firsts = {name: text.split(maxsplit=1)[0] for name, text in texts.items()}
    assert {name: first for name, first in firsts.items() if other.match(first)} == {}


def untyped(member):
    """The parameters of a function or class that have no type, and "return" if it has none."""
    call = vars(member).get("__init__") if inspect.isclass(member) else member
    if not inspect.isfunction(call):  # it takes what its base takes
        return []
    signature = inspect.signature(call)
    various = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.annotation is parameter.empty
        and name not in ("self", "cls")
        and parameter.kind not in various
    ]
    is_open = call is member and signature.return_annotation is signature.empty
    return found + ["return"] * is_open


def test_everything_public_is_typed():
    """The package says that it is (py.typed), and editors complete by the types."""
    found = {name: untyped(member) for name, member in public().items()}
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_every_public_name_has_an_example():
    found = public()
    assert len(found) > 140
    texts = {name: member.__doc__ or "" for name, member in found.items()}
    assert [name for name, text in texts.items() if ">>>" not in text] == []
    assert {name for name, text in texts.items() if "+SKIP" in text} == NOT_RUN.keys()


def imported_by_pages():
    """Page, module and name of what visible cells import, without the book's own helpers."""
    wanted = re.compile(r"^from (bopkit(?!\.(?:_|book|pytorch))\S*) import ([\w, ]+)", re.MULTILINE)
    for page in sorted(REFERENCE.parent.rglob("*.ipynb")):
        for cell in json.loads(page.read_text(encoding="utf8"))["cells"]:
            unseen = any(t.startswith(("hide", "remove")) for t in cell["metadata"].get("tags", []))
            if cell["cell_type"] == "code" and not unseen:
                for module, names in wanted.findall("".join(cell["source"])):
                    yield from ((page.name, module, name) for name in re.findall(r"\w+", names))


def test_the_reference_documents_what_a_page_imports():
    found, imported = public(), set(imported_by_pages())
    pages = {name for name, _ in documented()} | {f"bopkit.{room}" for room in ROOMS}
    assert len(imported) > 20
    missing = []
    for page, module, name in imported:
        member = getattr(importlib.import_module(module), name, None)
        if member is None or inspect.ismodule(member):
            known = f"{module}.{name}" in pages
        else:
            known = f"{member.__module__}.{member.__qualname__}" in found
        if not known:
            missing.append(f"{page}: {module}.{name}")
    assert missing == []


def constants():
    """Each constant that the reference documents, with the text that documents it."""
    modules = [(name, importlib.import_module(name).__doc__) for name, _ in documented()]
    text = (REFERENCE / "api" / "networks.md").read_text(encoding="utf8")
    modules.append(
        ("bopkit.deploy.exporting", re.sub(r"\n\.\. py:data:: (\w+)", r"\n    \1: ", text))
    )
    for module, text in modules:
        for entry in re.split(r"\n    (?=[A-Z][A-Z0-9_]*: )", text)[1:]:
            yield getattr(importlib.import_module(module), entry.partition(":")[0]), entry


def test_what_an_argument_may_be_is_documented():
    """A constant that a docstring names, as in "a name of `GPUS`", is documented with its names."""
    texts = {id(constant): text for constant, text in constants()}
    found = set()
    for member in public().values():
        named = re.findall(r"(?<!`)`([\w.]*\b[A-Z][A-Z0-9_]+)`(?!`)", member.__doc__)
        for holder, _, name in (constant.rpartition(".") for constant in named):
            module = importlib.import_module(holder or member.__module__)
            constant = getattr(module, name, None)
            if constant is None or callable(constant):
                continue  # an environment variable, or a class
            assert id(constant) in texts, f"{name}, which {member.__qualname__} names"
            if name != "EXPERIMENTS":  # `bopkit experiments` lists them
                assert [each for each in constant if f'"{each}"' not in texts[id(constant)]] == []
            found.add(name)
    assert {"COLUMNS", "DATASETS", "EXPERIMENTS", "FORMATS", "GPUS", "NAMES", "NETWORKS"} <= found


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_are_right(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    module = importlib.import_module(name)
    # A long message or line of output may be wrapped.
    flags = doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(module, extraglobs=GLOBALS, optionflags=flags).failed == 0
