"""bopkit: train binarized neural networks with Bop, without latent weights.

Helwegen et al., "Latent Weights Do Not Exist: Rethinking Binarized Neural Network
Optimization", NeurIPS 2019, arXiv:1906.02107.

`import bopkit` does not import TensorFlow: what needs it (`Bop`, `models`, `data`,
`train`) is loaded when it is first used.
"""

import importlib
import os

# larq is written for Keras 2, which TensorFlow gives under `tf.keras` only when this
# is set before TensorFlow is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

__version__ = "0.1.0"

_LAZY = {
    "Bop": "optimizers",
    "Bop2ndOrder": "optimizers",
    "FlipOptimizer": "flipping",
    "Hyper": "hyper",
    "export": "exporting",
    "load_model": "loading",
    "load_packed": "packed",
    "save_packed": "packed",
    "QuantConv2D": "layers",
    "RandomSign": "initializers",
    "train": "training",
}
_MODULES = (
    "cli",
    "contract",
    "cost",
    "data",
    "errors",
    "experiments",
    "figures",
    "flipping",
    "initializers",
    "layers",
    "loading",
    "models",
    "notebooks",
    "optimizers",
    "packed",
    "pictures",
    "presets",
    "quantizers",
    "ranges",
    "records",
    "rules",
    "samples",
    "schema",
    "style",
    "tables",
    "toy",
    "training",
    "widgets",
)

__all__ = ["__version__", *_LAZY, *_MODULES]


def __getattr__(name):
    if name in _LAZY:
        importlib.import_module(f"{__name__}.keras2")  # says what is missing, or imported too early
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
