"""Initialize binary weights."""

from __future__ import annotations

from bopkit._tensorflow import tf


@tf.keras.utils.register_keras_serializable("bopkit")
class RandomSign(tf.keras.initializers.Initializer):
    """Draw each weight from {-1, +1} with equal odds: the start that Bop needs.

    The sign of a Glorot draw, uniform or normal, has the same distribution, so the binarized latent
    weights of the paper's baseline start here too.

    Args:
        seed: an integer for the same draw at every call; `None` draws other signs at each call,
            repeatably after `tf.keras.utils.set_random_seed`.
        size: the size of each weight. 1 is for binary weights; a tiny size is for latent weights
            that start at zero except for their signs.

    Example:
        >>> bopkit.RandomSign(seed=0)((2, 3)).numpy()
        array([[-1.,  1.,  1.],
               [ 1., -1.,  1.]], dtype=float32)
    """

    def __init__(self, seed: int | None = None, size: float = 1.0):
        self.seed, self.size = seed, size

    def __call__(self, shape, dtype=None, **kwargs):
        """Draw an array of -1 and +1 of this shape and type."""
        dtype = tf.as_dtype(dtype or tf.keras.backend.floatx())
        if self.seed is None:
            # Not Keras' RandomUniform: unseeded, it gives every layer that shares the
            # initializer the same draw.
            draw = tf.random.uniform(shape)
        else:
            draw = tf.random.stateless_uniform(shape, (self.seed, 0))
        size = tf.constant(self.size, dtype)
        return tf.where(draw < 0.5, -size, size)

    def get_config(self):
        """Return what `from_config` needs."""
        return {"seed": self.seed, "size": self.size}
