"""Make the pieces that the paper's four networks share."""

from __future__ import annotations

from bopkit._tensorflow import tf  # isort: skip  (before larq, which fails under Keras 3 at length)
import larq as lq

from bopkit.errors import ConfigError, unknown
from bopkit.models.initializers import RandomSign
from bopkit.models.quantizers import SteSign

layers = tf.keras.layers

METHODS = ("bop", "latent", "leaking")


def binary_kernel(method, latent_initializer="glorot_uniform"):
    """Return the arguments of a layer that keep its kernel as a method does."""
    if method == "bop":
        return {
            "kernel_quantizer": lq.quantizers.NoOp(precision=1),
            "kernel_initializer": RandomSign(),
            "use_bias": False,
        }
    if method == "latent":
        return {
            "kernel_quantizer": SteSign(),
            "kernel_constraint": "weight_clip",
            "kernel_initializer": latent_initializer,
            "use_bias": False,
        }
    if method == "leaking":
        # No window in the weights' estimator and no clipping: the derivation of Bop needs that.
        return {
            "kernel_quantizer": SteSign(clip_value=None),
            "kernel_initializer": RandomSign(size=1e-20),
            "use_bias": False,
        }
    raise ConfigError(unknown("method", method, METHODS))


def batch_norm(**kwargs):
    """Make a batch normalization over the global batch."""
    # Over the global batch, so that the number of replicas changes only the rounding. On one device
    # Keras' fused kernel computes the same and is faster.
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return layers.BatchNormalization(synchronized=several, **kwargs)


def softmax():
    """Make the last activation."""
    # float32 whatever the policy: bfloat16 has 8 bits, too few for a loss
    return layers.Activation("softmax", dtype="float32")
