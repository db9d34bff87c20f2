"""Build the paper's four networks; their layers, quantizers and initializers are here too.

Attributes:
    NETWORKS: the functions that build the networks, by name: "binarynet", "binary_alexnet",
        "xnornet" and "birealnet".
    METHODS: how a network can keep its binary kernels. In "bop" they hold -1 and +1. In "latent"
        they are the signs of latent weights, which are clipped to [-1, 1]. In "leaking" they are
        the signs of latent weights that start near zero and are not clipped.
    MINIMUM_SIZE: the smallest height and width of the images, in pixels, by the network's name: 10
        for "binarynet", 57 for "binary_alexnet", 217 for "xnornet" and 32 for "birealnet".
"""

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
from bopkit.models.recalibration import recalibrate

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
    "recalibrate",
    "xnornet",
]
