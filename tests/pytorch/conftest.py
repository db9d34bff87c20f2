"""Without PyTorch, the files that import it are skipped: not every package index has its wheel."""

from importlib.util import find_spec

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path, parent):
    """Skip a file of this folder before its imports fail; one file tests what is without them."""
    if not find_spec("torch") and module_path.name != "test_pytorch_imports.py":
        return Skipped.from_parent(parent, path=module_path)
    return None


class Skipped(pytest.Module):
    """A file that is not imported."""

    def collect(self):
        """Say why."""
        pytest.skip(
            "PyTorch is not installed: pip install torch, or its CPU wheel from PyTorch's own index"
        )


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Compute in one thread, because threads that wait for each other slow small networks down."""
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
