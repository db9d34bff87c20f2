"""bopkit: train binarized neural networks with Bop, without latent weights.

Helwegen et al., "Latent Weights Do Not Exist: Rethinking Binarized Neural Network
Optimization", NeurIPS 2019, arXiv:1906.02107.

`import bopkit` does not import TensorFlow: what needs it (`Bop`, `models`, `train`) is loaded
when it is first used.
"""

import importlib
import os
from typing import TYPE_CHECKING

# larq is written for Keras 2, which TensorFlow gives under `tf.keras` only when this
# is set before TensorFlow is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

__version__ = "0.1.0"

if TYPE_CHECKING:  # the same names for editors and type checkers
    from bopkit import (
        book,
        cli,
        data,
        deploy,
        errors,
        experiments,
        models,
        optimizers,
        records,
        rules,
        training,
    )
    from bopkit.deploy.exporting import export
    from bopkit.deploy.loading import load_run
    from bopkit.deploy.packed import load_packed, save_packed
    from bopkit.models.initializers import RandomSign
    from bopkit.models.layers import QuantConv2D
    from bopkit.optimizers.base import FlipOptimizer
    from bopkit.optimizers.bop import Bop
    from bopkit.optimizers.bop2ndorder import Bop2ndOrder
    from bopkit.optimizers.hyper import Hyper
    from bopkit.training.run import train

# Where each public name is defined. All but the packages need TensorFlow.
_LAZY = {
    "Bop": "optimizers.bop",
    "Bop2ndOrder": "optimizers.bop2ndorder",
    "FlipOptimizer": "optimizers.base",
    "Hyper": "optimizers.hyper",
    "export": "deploy.exporting",
    "load_packed": "deploy.packed",
    "load_run": "deploy.loading",
    "save_packed": "deploy.packed",
    "QuantConv2D": "models.layers",
    "RandomSign": "models.initializers",
    "train": "training.run",
}
__all__ = [
    "Bop",
    "Bop2ndOrder",
    "FlipOptimizer",
    "Hyper",
    "QuantConv2D",
    "RandomSign",
    "__version__",
    "book",
    "cli",
    "data",
    "deploy",
    "errors",
    "experiments",
    "export",
    "load_packed",
    "load_run",
    "models",
    "optimizers",
    "records",
    "rules",
    "save_packed",
    "train",
    "training",
]


def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    if name in __all__ or name == "pytorch":  # a package; not in __all__, because torch is optional
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
