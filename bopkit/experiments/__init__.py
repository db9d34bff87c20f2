"""Look up and change experiments: the methods, their hyperparameters, the papers' settings.

Attributes:
    EXPERIMENTS: the papers' settings, an `Experiment` by its name, such as "binarynet/bop". The
        command `bopkit experiments` lists them.
    NETWORKS: the networks of the experiments: "binarynet", "binary_alexnet", "xnornet" and
        "birealnet".
    ALIASES: other names of networks. "alexnet" stands for "binary_alexnet".
    METHODS: the methods that train binary weights, a `Method` by its name: "bop", "bop2ndorder",
        "latent" or "leaking".
    FIXED: the fields of an `Experiment` that `override` does not change: "name", "network",
        "method" and "dataset".
"""

from bopkit.experiments.experiment import FIXED, Experiment, on_dataset, override
from bopkit.experiments.hyperparameters import Hyperparameter, hyperparameters
from bopkit.experiments.methods import METHODS
from bopkit.experiments.paper import (
    ALIASES,
    EXPERIMENTS,
    NETWORKS,
    changes,
    check_network,
    get,
)
from bopkit.experiments.values import check_seed, parse_hparams

__all__ = [
    "ALIASES",
    "EXPERIMENTS",
    "FIXED",
    "METHODS",
    "NETWORKS",
    "Experiment",
    "Hyperparameter",
    "changes",
    "check_network",
    "check_seed",
    "get",
    "hyperparameters",
    "on_dataset",
    "override",
    "parse_hparams",
]
