"""What pyproject.toml declares: the one list of what the project needs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads(
    (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf8")
)["project"]


def named(lines: Iterable[str]) -> dict[str, Requirement]:
    """Requirements by the name that PyPI gives them."""
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def core() -> dict[str, Requirement]:
    """What `pip install bopkit` brings."""
    return named(PROJECT["dependencies"])


def extra(name: str) -> dict[str, Requirement]:
    """What `pip install bopkit[name]` brings beside the core; `all` names other extras."""
    found = named(PROJECT["optional-dependencies"][name])
    for other in sorted(found.pop("bopkit").extras if "bopkit" in found else ()):
        found |= extra(other)
    return found
