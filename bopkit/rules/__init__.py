r"""Update binary weights in NumPy, by pure functions that are the reference for everything else.

Each function takes arrays and returns new ones. No function keeps state or changes its arguments.
The tests hold the Keras optimizers in `bopkit.optimizers` to these functions, and the book draws
its figures and widgets from them.

The rules and the book share one notation. :math:`w \in \{-1, +1\}` is a binary weight,
:math:`g` the gradient of the loss with respect to it, and :math:`m` the gradient's exponential
moving average. :math:`\gamma` is the adaptivity rate and :math:`\tau` the threshold.
:math:`\tilde w` is a real-valued latent weight and :math:`\eta` a learning rate.
"""

from bopkit.rules.bop import BopUpdate, bop_step
from bopkit.rules.bop2ndorder import EPSILON, Bop2ndOrderUpdate, bop2ndorder_step
from bopkit.rules.latent import (
    AdamMoments,
    latent_adam_step,
    latent_momentum_step,
    latent_sgd_step,
    log_flip_ratio,
    sign,
    ste_sign_gradient,
)

__all__ = [
    "EPSILON",
    "AdamMoments",
    "Bop2ndOrderUpdate",
    "BopUpdate",
    "bop2ndorder_step",
    "bop_step",
    "latent_adam_step",
    "latent_momentum_step",
    "latent_sgd_step",
    "log_flip_ratio",
    "sign",
    "ste_sign_gradient",
]
