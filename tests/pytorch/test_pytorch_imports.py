"""PyTorch is an extra: the core never loads it, and bopkit.pytorch never loads TensorFlow."""

import pytest


@pytest.mark.parametrize("room", ["bopkit", "bopkit.rules", "bopkit.cli", "bopkit.book.toy"])
def test_the_core_does_not_import_pytorch(run_python, room):
    done = run_python(f"import sys, {room}; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_bopkit_pytorch_does_not_import_tensorflow(run_python):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    code = """
import sys
sys.modules["tensorflow"] = sys.modules["larq"] = sys.modules["tf_keras"] = None
import torch
import bopkit
layer = bopkit.pytorch.BinaryLinear(4, 2)  # loaded when it is first used
layer(torch.ones(3, 4)).sum().backward()
bopkit.pytorch.Bop(bopkit.pytorch.split_parameters(layer)[0]).step()
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_without_pytorch_it_says_so_in_one_line(run_python):
    code = """
import importlib.util as util
found = util.find_spec
util.find_spec = lambda name, *rest: None if name == "torch" else found(name, *rest)
import bopkit.pytorch
"""
    assert run_python(code).stderr.splitlines()[-1] == (
        "bopkit.errors.SetupError: bopkit.pytorch needs PyTorch: pip install 'bopkit[pytorch]'."
    )
