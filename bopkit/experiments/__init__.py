"""Look up and change experiments: the methods, their hyperparameters, the papers' settings."""

from bopkit.experiments.experiment import (
    FIXED,
    Experiment,
    check_seed,
    override,
    parse_hparams,
)
from bopkit.experiments.hyperparameters import Hyperparameter, hyperparameters
from bopkit.experiments.methods import METHODS
from bopkit.experiments.paper import (
    ALIASES,
    EXPERIMENTS,
    NETWORKS,
    changes,
    check_network,
    get,
    on_dataset,
)

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
    "override",
    "parse_hparams",
]
    "on_dataset",
