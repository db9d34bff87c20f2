"""Measure what a flip rule does: how many weights flipped, and how large its signals are."""

from __future__ import annotations

import numpy as np

from bopkit._tensorflow import tf


class Measures:
    """Measure what a rule does; every `FlipOptimizer`, such as `Bop`, has these methods.

    Example:
        >>> weights = lq.quantized_variable.QuantizedVariable.from_variable(
        ...     tf.Variable([1.0, 1.0, -1.0], name="kernel"), precision=1
        ... )
        >>> optimizer = bopkit.Bop("adam", threshold=0.1, gamma=0.5)
        >>> step = optimizer.apply_gradients([(tf.constant([0.4, -0.4, 0.1]), weights)])
        >>> optimizer.total_flips().numpy() / optimizer.binary_weights  # one of three
        0.3333333333333333
    """

    @property
    def binary_weights(self) -> int:
        """The number of binary weights in the model; 0 before the optimizer has met it.

        Example:
            >>> network = bopkit.models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
            >>> optimizer = bopkit.Bop("adam")
            >>> optimizer.build(network.trainable_variables)
            >>> optimizer.binary_weights
            18856
        """
        return sum(kept[0].shape.num_elements() for kept in getattr(self, "_averages", ()))

    def flip_counts(self) -> dict[str, int]:
        """Count the flips since training began, by variable.

        The flip ratio between two moments is the difference of the sums, divided by
        `binary_weights` and by the number of steps between them.

        Returns:
            The name of each binary variable, with its flips so far. Where several variables have
            one name, as in a model that Keras loaded, a number tells them apart: "kernel:0",
            "kernel:0 (2)".

        Example:
            >>> weights = lq.quantized_variable.QuantizedVariable.from_variable(
            ...     tf.Variable([1.0, 1.0, -1.0], name="kernel"), precision=1
            ... )
            >>> optimizer = bopkit.Bop("adam", threshold=0.1, gamma=0.5)
            >>> step = optimizer.apply_gradients([(tf.constant([0.4, -0.4, 0.1]), weights)])
            >>> optimizer.flip_counts()
            {'kernel:0': 1}
        """
        names = getattr(self, "_binary_names", ())
        flips = getattr(self, "_flips", ())  # none before the first model
        return {name: int(count.numpy()) for name, count in zip(names, flips, strict=True)}

    def total_flips(self) -> tf.Tensor:
        """Count the flips since training began, of all variables together.

        Unlike `flip_counts` it can be called within a step that is being traced.

        Returns:
            An int64 scalar.

        Example:
            >>> weights = lq.quantized_variable.QuantizedVariable.from_variable(
            ...     tf.Variable([1.0, 1.0, -1.0], name="kernel"), precision=1
            ... )
            >>> optimizer = bopkit.Bop("adam", threshold=0.1, gamma=0.5)
            >>> step = optimizer.apply_gradients([(tf.constant([0.4, -0.4, 0.1]), weights)])
            >>> optimizer.total_flips().numpy()
            1
        """
        zero = tf.zeros([], tf.int64)  # before the first model
        return tf.add_n([zero, *map(tf.convert_to_tensor, getattr(self, "_flips", ()))])

    def read_averages(self) -> dict[str, dict[str, tf.Tensor]]:
        """Read what the rule keeps of each weight.

        Returns:
            The name of each binary variable, with its averages by their own name (for `Bop`, "m"),
            of the variable's shape; float32, or float64 for a variable of float64.

        Example:
            >>> weights = lq.quantized_variable.QuantizedVariable.from_variable(
            ...     tf.Variable([1.0, 1.0, -1.0], name="kernel"), precision=1
            ... )
            >>> optimizer = bopkit.Bop("adam", threshold=0.1, gamma=0.5)
            >>> step = optimizer.apply_gradients([(tf.constant([0.4, -0.4, 0.1]), weights)])
            >>> optimizer.read_averages()["kernel:0"]["m"].numpy()  # γ g after the first step
            array([ 0.2 , -0.2 ,  0.05], dtype=float32)
        """
        names = getattr(self, "_binary_names", ())
        kept = [map(tf.convert_to_tensor, each) for each in getattr(self, "_averages", ())]
        return {
            name: dict(zip(self.averages, each, strict=True))
            for name, each in zip(names, kept, strict=True)
        }

    def largest_signals(self) -> dict[str, float]:
        """Measure the largest size of the signal among the weights of each binary variable, now.

        No weight of a variable can flip while this size is not above the threshold.

        Returns:
            The name of each binary variable, with its largest signal (for `Bop`, :math:`|m|`);
            infinity if one of its averages is infinite or NaN. After a single such gradient, the
            average never recovers.

        Example:
            >>> weights = lq.quantized_variable.QuantizedVariable.from_variable(
            ...     tf.Variable([1.0, 1.0, -1.0], name="kernel"), precision=1
            ... )
            >>> optimizer = bopkit.Bop("adam", threshold=0.1, gamma=0.5)
            >>> step = optimizer.apply_gradients([(tf.constant([0.4, -0.4, 0.1]), weights)])
            >>> round(optimizer.largest_signals()["kernel:0"], 3)
            0.2
        """
        largest = {}
        for index, name in enumerate(getattr(self, "_binary_names", ())):
            kept = {key: tf.convert_to_tensor(each) for key, each in self._kept(index).items()}
            averages = [kept[key] for key in self.averages]
            signal = self.signal(kept, self._now(self.iterations, averages[0].dtype))
            finite = [tf.math.is_finite(value) for value in (signal, *averages)]
            size = tf.where(tf.reduce_all(finite, axis=0), tf.abs(signal), np.inf)
            largest[name] = float(tf.reduce_max(size))
        return largest
