"""Train binary weights in Keras: the flip, two rules, and the class on which others are built.

Each rule says in two methods what `bopkit.rules` says in NumPy; `FlipOptimizer` has the rest.
"""

import importlib

from bopkit.models import initializers, quantizers  # noqa: F401 -- saved models name them
from bopkit.optimizers.base import FlipOptimizer, flip
from bopkit.optimizers.bop import Bop
from bopkit.optimizers.bop2ndorder import Bop2ndOrder
from bopkit.optimizers.glorot import GlorotAdam
from bopkit.optimizers.hyper import Hyper
from bopkit.optimizers.leaking import LeakingSGD

__all__ = ["Bop", "Bop2ndOrder", "FlipOptimizer", "GlorotAdam", "Hyper", "LeakingSGD", "flip"]


def __getattr__(name):
    if name == "checks":  # only who adds a rule needs it
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
