"""Train binary weights with Bop in PyTorch; TensorFlow is not needed, and not imported.

`Bop` and `Bop2ndOrder` are optimizers only for the binary parameters. Any other optimizer of
PyTorch trains the rest. `split_parameters` tells the two kinds apart.
"""

from importlib.util import find_spec

from bopkit.errors import SetupError

if not find_spec("torch"):
    raise SetupError("bopkit.pytorch needs PyTorch: pip install 'bopkit[pytorch]'.")

from bopkit.pytorch.base import FlipOptimizer
from bopkit.pytorch.layers import (
    BinaryConv2d,
    BinaryLinear,
    binarize_,
    sign_ste,
    split_parameters,
)
from bopkit.pytorch.optimizers import Bop, Bop2ndOrder
from bopkit.pytorch.packed import load_packed, save_packed

__all__ = [
    "BinaryConv2d",
    "BinaryLinear",
    "Bop",
    "Bop2ndOrder",
    "FlipOptimizer",
    "binarize_",
    "load_packed",
    "save_packed",
    "sign_ste",
    "split_parameters",
]
