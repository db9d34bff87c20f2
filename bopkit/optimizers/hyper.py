"""The hyperparameters of an optimizer: floats that can be set, or schedules."""

from __future__ import annotations

from collections.abc import Callable

from bopkit._tensorflow import tf

Schedule = tf.keras.optimizers.schedules.LearningRateSchedule


class Hyper:
    """A hyperparameter of a rule: a float that can be read and set, or a schedule of the step.

    A class that names one, ``gamma = Hyper(ranges.check_gamma)``, keeps what its constructor passes
    on under that name, saves it with the optimizer, and gives it to its rule as ``now["gamma"]``.

    Args:
        check: raises ValueError for what it may not be; called with the value and its name.
    """

    def __init__(self, check: Callable[[float, str], None]):
        self.check = check

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, optimizer, owner=None):
        return self if optimizer is None else optimizer._current(self.name)

    def __set__(self, optimizer, value):
        self.check(value, self.name)
        hyper = optimizer._hypers[self.name]
        if isinstance(hyper, Schedule):
            raise TypeError(
                f"{self.name} follows a schedule; give {type(optimizer).__name__} a float to be "
                "able to set it."
            )
        hyper.assign(value)

    def make(self, value):
        """A schedule as it is; a float as a variable, so that it can be changed."""
        if isinstance(value, Schedule):
            self.check(float(value(0)), f"{self.name} at step 0")
            return value
        self.check(value, self.name)
        with tf.init_scope():
            return tf.Variable(float(value), name=self.name, dtype=tf.float32, trainable=False)

    @staticmethod
    def serialize(hyper):
        """What `make` gave, as a configuration holds it."""
        if isinstance(hyper, Schedule):
            return tf.keras.optimizers.schedules.serialize(hyper)
        return float(hyper.numpy())
