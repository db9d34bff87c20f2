"""TensorFlow with Keras 2, which larq is written for: `from bopkit.keras2 import tf`."""

import difflib
import os
import platform

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

from bopkit.errors import SetupError

try:
    import tensorflow as tf

    _keras = tf.keras.optimizers.Optimizer.__module__
except ImportError as error:
    # TensorFlow's own words for a missing Keras 2 are a paragraph.
    raise SetupError(
        "training needs TensorFlow with Keras 2, which cannot be imported: "
        "pip install -r requirements.txt, or 'tensorflow>=2.18,<2.22' and 'tf-keras>=2.18,<2.22' "
        f"({' '.join(str(error).split())[:160]})."
    ) from error

_TOO_LATE = (
    "bopkit needs Keras 2 (larq does), but TensorFlow was imported with Keras 3: set "
    "TF_USE_LEGACY_KERAS=1 in the environment, or import bopkit before tensorflow and larq."
)
if not _keras.startswith("tf_keras"):
    raise SetupError(_TOO_LATE)
try:
    import larq  # noqa: F401
except AttributeError as error:
    # TensorFlow came first, and nobody had looked at `tf.keras`: that is Keras 2 by now, while what
    # larq finds under `tensorflow.keras` is Keras 3.
    raise SetupError(_TOO_LATE) from error


def can_compile() -> bool:
    """Whether this TensorFlow has XLA: every one but that for Apple's own processors."""
    return not (platform.system() == "Darwin" and platform.machine() == "arm64")


def find_optimizer(name: str) -> tf.keras.optimizers.Optimizer:
    """An optimizer of Keras' by its name, in any case.

    Raises:
        ValueError: there is none of this name.
    """
    optimizer = tf.keras.optimizers.Optimizer
    kinds = vars(tf.keras.optimizers).values()
    names = {k.__name__.lower() for k in kinds if isinstance(k, type) and issubclass(k, optimizer)}
    names -= {"optimizer"}
    if name.lower() not in names:
        near = difflib.get_close_matches(name.lower(), names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(
            f"there is no optimizer {name!r}: {hint}there are: {', '.join(sorted(names))}."
        )
    return tf.keras.optimizers.get(name)
