"""Build one of the four networks from the settings of an experiment or of a run's record."""

from __future__ import annotations

from collections.abc import Sequence

from bopkit._tensorflow import tf
from bopkit.errors import ConfigError, unknown
from bopkit.models.networks import NETWORKS


def build_network(
    network: str,
    image_shape: Sequence[int],
    num_classes: int,
    *,
    method: str = "bop",
    precision: str = "float32",
    filters: int | None = None,
    dense_units: int | None = None,
) -> tf.keras.Model:
    """Build a network by its name, and compute in a precision without changing Keras' own.

    Args:
        network: a name of `NETWORKS`.
        image_shape: (height, width, channels), in pixels.
        num_classes: the number of classes.
        method: how the network keeps binary kernels, "bop", "latent" or "leaking".
        precision: a Keras policy, "float32" or "mixed_bfloat16".
        filters: channels of the first convolution of binarynet; None is the paper's 128. The other
            networks have one size.
        dense_units: units of the dense layers of binarynet; None is the paper's 1024.

    Returns:
        A Keras model, not compiled.

    Raises:
        ConfigError: the network or the method is unknown, a number is out of range, the images are
            too small for the network, or a network other than binarynet is given `filters` or
            `dense_units`.
        ValueError: Keras has no such policy.

    Example:
        >>> build_network("binarynet", (16, 16, 1), 10, filters=8, dense_units=16).name
        'binarynet'
    """
    sizes = {"filters": filters, "dense_units": dense_units}
    sizes = {name: size for name, size in sizes.items() if size is not None}
    if network not in NETWORKS:
        raise ConfigError(unknown("network", network, NETWORKS))
    if sizes and network != "binarynet":
        raise ConfigError(f"{network} has one size; only binarynet takes {' and '.join(sizes)}.")
    policy = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(precision)
    try:
        return NETWORKS[network](image_shape, num_classes, method=method, **sizes)
    finally:
        tf.keras.mixed_precision.set_global_policy(policy)
