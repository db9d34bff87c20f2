"""The lock file: one tested set, with hashes, that lies within the ranges of pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

import declared
import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def locked() -> dict[str, Version]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf8")
    return {
        canonicalize_name(name): Version(version)
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    }


def test_every_requirement_is_locked_within_its_range(locked):
    wanted = declared.core() | declared.extra("all")
    assert len(wanted) > 30
    for name, requirement in wanted.items():
        if requirement.name == "tomli":  # for a Python older than the lock's
            continue
        assert name in locked, f"{requirement.name} is not in requirements.lock"
        assert locked[name] in requirement.specifier, f"{requirement} is not {locked[name]}"


def test_every_locked_package_has_a_version_and_hashes_and_no_place(locked):
    text = (ROOT / "requirements.lock").read_text(encoding="utf8")
    entries = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    assert len(entries) == len(locked) > 200
    for entry in entries:
        assert re.fullmatch(r"[\w.-]+==\S+(\s+--hash=sha256:[0-9a-f]{64})+\s*", entry), entry[:80]
