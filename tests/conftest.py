"""What every test of this repository shares."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports TensorFlow: larq needs Keras 2, and a test log needs no C++ chatter.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")
# Tests expect what a run does on a CPU: its precision, its number of jobs, what it prints.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Before anything imports Typer: these colour a command's help, or cut the names in it.
for name in ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS"):
    os.environ.pop(name, None)
os.environ["COLUMNS"] = "200"

# How long a case takes depends on what else the machine does. Hypothesis' own profile stays below.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_collection_modifyitems(items):
    """Files with the most slow tests first: whichever is last leaves no worker idle for long."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_terminal_summary(terminalreporter):
    """Say at the end what CI cannot require: PyPI alone has no small wheel of PyTorch."""
    if not find_spec("torch"):
        text = "PyTorch is not installed, so nothing of bopkit.pytorch was tested."
        terminalreporter.write_line(text, yellow=True)


@pytest.fixture(scope="session")
def require() -> Callable[[bool, str], None]:
    """`require(condition, reason)`: what a test needs from the machine (data, a browser).

    On a person's machine a test that lacks it is skipped with the reason. Under `CI=true` it
    fails: a check that silently stopped running is worse than none.
    """

    def check(condition: bool, reason: str) -> None:
        if condition:
            return
        if IN_CI:
            pytest.fail(f"CI must be able to run this test: {reason}", pytrace=False)
        pytest.skip(reason)

    return check


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess]:
    """`run_python(code, *arguments, env={})`: a new interpreter, with nothing imported yet."""

    def run(code: str, *arguments: str, env: dict[str, str] | None = None, timeout: float = 120):
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
