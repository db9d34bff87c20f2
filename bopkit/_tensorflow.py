"""TensorFlow with Keras 2, which larq is written for: `from bopkit._tensorflow import tf`.

This module loads TensorFlow only when a module imports `tf` from it, because the command line first
checks what was typed, and that check needs no TensorFlow.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from typing import TYPE_CHECKING

from bopkit.errors import ConfigError, SetupError, did_you_mean

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

if TYPE_CHECKING:
    import tensorflow as tf

_TOO_LATE = (
    "bopkit needs Keras 2 (larq does), but TensorFlow was imported with Keras 3: set "
    "TF_USE_LEGACY_KERAS=1 in the environment, or import bopkit before tensorflow and larq."
)
_TOO_LITTLE_MEMORY = (
    "TensorFlow does not fit into the memory that this process may use: allow it some GB more "
    "(`ulimit -v` shows a limit on the address space)."
)


def __getattr__(name):
    if name == "tf":
        globals()["tf"] = _import_tensorflow()
        return globals()["tf"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _import_tensorflow():
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", "").strip()
    if threads and not (threads.isascii() and threads.isdigit()):
        raise ConfigError(  # TensorFlow aborts the process on a negative one
            "the environment's TF_NUM_INTRAOP_THREADS must be a whole number of threads, 0 for "
            f"TensorFlow's own choice; got {threads!r}: correct it, or unset it."
        )
    try:
        import tensorflow as tf

        keras = tf.keras.optimizers.Optimizer.__module__
    except MemoryError as error:
        raise SetupError(_TOO_LITTLE_MEMORY) from error
    except ImportError as error:
        if any(words in str(error) for words in ("failed to map", "annot allocate memory")):
            raise SetupError(_TOO_LITTLE_MEMORY) from error
        # TensorFlow's own words for a missing Keras 2 are a paragraph.
        raise SetupError(
            "training needs TensorFlow with Keras 2, which cannot be imported: "
            "pip install 'tensorflow>=2.18,<2.22' 'tf-keras>=2.18,<2.22' "
            f"({' '.join(str(error).split())[:160]})."
        ) from error
    if not keras.startswith("tf_keras"):
        raise SetupError(_TOO_LATE)
    try:
        import larq  # noqa: F401
    except AttributeError as error:
        # TensorFlow came first, and nobody had looked at `tf.keras`: that is Keras 2 by now, while
        # what larq finds under `tensorflow.keras` is Keras 3.
        raise SetupError(_TOO_LATE) from error
    return tf


def load_tensorflow() -> None:
    """Import TensorFlow without the notes that its C++ parts print before any log level counts.

    What it prints is shown only if the import fails.

    Raises:
        SetupError: TensorFlow is missing, or Keras 3 was loaded before bopkit.
    """
    # Later messages: only errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            # Listing the devices is what makes TensorFlow look for a GPU, and print notes about it.
            list_devices()
        except SetupError:
            raise
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def list_devices(kind: str | None = None) -> list[str]:
    """List the names of the devices that TensorFlow may use.

    Args:
        kind: "CPU" or "GPU" for the devices of that kind; None for all devices.
    """
    from bopkit._tensorflow import tf

    return [device.name for device in tf.config.get_visible_devices(kind)]


def can_compile() -> bool:
    """Say whether this TensorFlow has XLA. Only the build for Apple's own CPUs has none."""
    return not (platform.system() == "Darwin" and platform.machine() == "arm64")


def optimizers() -> dict[str, type[tf.keras.optimizers.Optimizer]]:
    """List the classes of Keras' optimizers of its current kind by their names.

    Keras' own functions look them up in a table that lacks some of them, and on Apple Silicon it is
    the table of the legacy ones.
    """
    from bopkit._tensorflow import tf

    kind = tf.keras.optimizers.Optimizer
    kinds = [k for k in vars(tf.keras.optimizers).values() if isinstance(k, type)]
    return {k.__name__: k for k in kinds if issubclass(k, kind) and k is not kind}


def find_optimizer(optimizer: tf.keras.optimizers.Optimizer | str) -> tf.keras.optimizers.Optimizer:
    """Make one of Keras' optimizers by its name, in upper or lower case, or pass one on.

    Raises:
        ValueError: Keras has no optimizer of this name.
        TypeError: it is not an optimizer of Keras 2's current kind.
    """
    from bopkit._tensorflow import tf

    if isinstance(optimizer, tf.keras.optimizers.Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        named = {name.lower(): kind for name, kind in optimizers().items()}
        if optimizer.lower() in named:
            return named[optimizer.lower()]()
        raise ValueError(
            f"there is no optimizer {optimizer!r}: {did_you_mean(optimizer, named)}"
            f"there are: {', '.join(sorted(named))}."
        )
    given = type(optimizer)
    of_keras_3 = given.__module__.partition(".")[0] == "keras"
    raise TypeError(
        "fp_optimizer must be a tf.keras.optimizers.Optimizer of Keras 2 (not a legacy one), such "
        f"as tf.keras.optimizers.Adam(0.01) after `import bopkit`; got {given.__name__} "
        f"{'of Keras 3' if of_keras_3 else f'of {given.__module__}'}."
    )
