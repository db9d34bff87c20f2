"""TensorFlow with Keras 2, which larq is written for: `from bopkit.keras2 import tf`."""

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tensorflow as tf

if not tf.keras.optimizers.Optimizer.__module__.startswith("tf_keras"):
    raise ImportError(
        "bopkit needs Keras 2 (larq does), but TensorFlow was imported with Keras 3: set "
        "TF_USE_LEGACY_KERAS=1 in the environment, or import bopkit before tensorflow."
    )
