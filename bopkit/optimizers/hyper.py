"""Give an optimizer hyperparameters: floats that can be set, or schedules of the step."""

from __future__ import annotations

from collections.abc import Callable

from bopkit._tensorflow import tf

Optimizer = tf.keras.optimizers.Optimizer
Schedule = tf.keras.optimizers.schedules.LearningRateSchedule


class Hyper:
    """Declare a hyperparameter of a rule: a float that can be read and set, or a schedule.

    A class that declares ``gamma = Hyper(ranges.check_gamma)`` keeps under that name what its
    constructor passes on, saves it with the optimizer, and gives it to its rule as
    ``now["gamma"]``.

    Args:
        check: raises ValueError for a value out of range; called with the value and its name.

    Example:
        >>> class Rule(bopkit.FlipOptimizer):
        ...     gamma = bopkit.Hyper(bopkit.rules.ranges.check_gamma)
        >>> optimizer = Rule("adam", threshold=0.0, gamma=0.5)
        >>> optimizer.gamma = 0.25
        >>> optimizer.gamma.numpy()
        0.25
        >>> optimizer.gamma = 2
        Traceback (most recent call last):
        ValueError: gamma, the adaptivity rate, must be a number in (0, 1], such as 1e-4; got 2.
    """

    def __init__(self, check: Callable[[float, str], None]):
        self.check = check

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, optimizer, owner=None):
        if optimizer is None:
            return self
        hyper = optimizer._hypers[self.name]
        value = hyper(optimizer.iterations) if isinstance(hyper, Schedule) else hyper
        return tf.cast(value, tf.float32)

    def __set__(self, optimizer, value):
        self.check(value, self.name)
        hyper = optimizer._hypers[self.name]
        if isinstance(hyper, Schedule):
            raise TypeError(
                f"{self.name} follows a schedule; give {type(optimizer).__name__} a float to be "
                "able to set it."
            )
        hyper.assign(value)

    @staticmethod
    def declared(kind: type) -> dict[str, Hyper]:
        """Find the hyperparameters that a class and its bases declare, the bases' first."""
        found = {}
        for base in reversed(kind.__mro__):
            found |= {key: value for key, value in vars(base).items() if isinstance(value, Hyper)}
        return found

    def make(self, value):
        """Keep a schedule as it is; make a float a variable, so that it can be changed."""
        if isinstance(value, Schedule):
            self.check(float(value(0)), f"{self.name} at step 0")
            return value
        self.check(value, self.name)
        with tf.init_scope():
            return tf.Variable(float(value), name=self.name, dtype=tf.float32, trainable=False)

    @staticmethod
    def serialize(hyper):
        """Write what `make` gave as a configuration holds it."""
        if isinstance(hyper, Schedule):
            return tf.keras.optimizers.schedules.serialize(hyper)
        return float(hyper.numpy())
