"""Run one update as three programs, which average, count and flip, compiled where that pays.

Three programs and not one: within one program, XLA on the CPU copies the weights before it changes
them, because the count still reads them. That copy costs more than two extra launches. A loop over
blocks that stay in the cache is slower still, because XLA copies whole arrays in each iteration.
"""

from __future__ import annotations

from bopkit._tensorflow import can_compile, tf

# A processor compiles the update of a variable with at least this many weights. On some processors
# a smaller one gains nothing, and everywhere each costs a quarter of a second to compile.
LARGE = 2**17


class Programs:
    """Hold the three programs of one optimizer, each in Python and compiled with XLA.

    Every optimizer has its own, because a traced program keeps larq's variables by identity.

    Args:
        rule: the optimizer, for its `update_averages` and its `signal`.
        flip: `bopkit.optimizers.flip`.
        jit_compile: compile the update, or not; `None` compiles it on a GPU, and elsewhere for
            variables of at least `LARGE` weights.
    """

    def __init__(self, rule, flip, jit_compile: bool | None):
        self.rule, self.flip, self.jit_compile = rule, flip, jit_compile
        self._plain = (self._average, self._count, self._flip)
        self._compiled = [tf.function(program, jit_compile=True) for program in self._plain]

    def update(self, averages, gradient, variable, now) -> tf.Tensor:
        """Update the averages and the weights of one variable in place.

        Args:
            averages: the rule's averages of this variable by name, as variables.
            gradient: of the loss with respect to the weights, of the averages' type.
            variable: the weights, without larq's wrapper.
            now: the hyperparameters at this step by name, and `step`.

        Returns:
            How many weights flipped, an int64 scalar.
        """
        average, count, flip = self._compiled if self._compiles(variable) else self._plain
        average(averages, gradient, now)
        # int64, because a layer can have more weights than float32 counts exactly
        flips = tf.reduce_sum(tf.cast(count(averages, variable, now), tf.int64))
        flip(averages, variable, now)
        return flips

    def _compiles(self, variable) -> bool:
        if self.jit_compile is not None:
            return self.jit_compile
        large = variable.shape.num_elements() >= LARGE
        return can_compile() and (large or bool(tf.config.list_logical_devices("GPU")))

    def _average(self, averages, gradient, now):
        for name, value in self.rule.update_averages(_read(averages), gradient, now).items():
            averages[name].assign(value)

    def _count(self, averages, variable, now):
        # Sums over rows, written out: XLA runs a sum of slices on every core and in vectors, but a
        # reduction on one core. In bytes, because the sums have to be written and read again.
        weights = variable.read_value()
        flips = tf.reshape(self._flipped(averages, weights, now) != weights, [-1])
        rows = next(k for k in (16, 8, 4, 2, 1) if flips.shape[0] % k == 0)
        return tf.add_n(tf.unstack(tf.cast(tf.reshape(flips, [rows, -1]), tf.int8)))

    def _flip(self, averages, variable, now):
        variable.assign(self._flipped(averages, variable.read_value(), now))

    def _flipped(self, averages, weights, now):
        return self.flip(weights, self.rule.signal(_read(averages), now), now["threshold"])


def _read(averages):
    return {name: variable.read_value() for name, variable in averages.items()}
