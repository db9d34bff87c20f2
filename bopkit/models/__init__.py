"""Build the paper's four networks; their layers, quantizers and initializers are here too."""

from bopkit.models.building import build_network
from bopkit.models.initializers import RandomSign
from bopkit.models.layers import QuantConv2D
from bopkit.models.networks import (
    MINIMUM_SIZE,
    NETWORKS,
    binary_alexnet,
    binarynet,
    birealnet,
    check_input,
    count_weights,
    xnornet,
)
from bopkit.models.pieces import METHODS
from bopkit.models.quantizers import ApproxSign, SteSign

__all__ = [
    "METHODS",
    "MINIMUM_SIZE",
    "NETWORKS",
    "ApproxSign",
    "QuantConv2D",
    "RandomSign",
    "SteSign",
    "binary_alexnet",
    "binarynet",
    "birealnet",
    "build_network",
    "check_input",
    "count_weights",
    "xnornet",
]
