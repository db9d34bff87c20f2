"""What every optimizer of binary weights needs but its rule.

A rule keeps averages of a weight's gradients and makes of them a *signal*; a weight w flips where
w times its signal is above the threshold. `bopkit.optimizers` has two rules. Everything else is
here, once: which variables are binary, schedules, flip counts, replicas, saving, and an update that
is compiled where that pays.

Binary variables are those that larq marks with precision 1
(``kernel_quantizer=lq.quantizers.NoOp(precision=1)``); every other variable goes to an
ordinary optimizer, given as `fp_optimizer`.
"""

from __future__ import annotations

import copy

import numpy as np

from bopkit._tensorflow import can_compile, find_optimizer, tf
from bopkit.optimizers.hyper import Hyper, Schedule
from bopkit.optimizers.variables import is_binary_variable, require_signs, unwrap
from bopkit.rules import ranges

# Weights of a variable from which on a processor's update is compiled. Smaller ones take as long or
# longer than uncompiled ones, and each costs a quarter of a second to compile: `make bench`.
LARGE = 2**17


class FlipOptimizer(tf.keras.optimizers.Optimizer):
    r"""An optimizer of binary weights: averages, a signal, a threshold.

    .. math::

        w_t = \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, s_t > \tau \\
                             \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    for each binary variable, with the signal :math:`s_t` of the rule; all other variables are
    updated by `fp_optimizer`. Learning-rate callbacks act on `fp_optimizer` too: its rate is this
    optimizer's `learning_rate`.

    A subclass is a rule. It names its averages and its hyperparameters beside `threshold`, and has
    two methods, `update_averages` and `signal`, which are pure functions of tensors.

    Args:
        fp_optimizer: a `tf.keras.optimizers.Optimizer` for everything that is not binary
            (batch normalization, real-valued layers), or its name.
        jit_compile: compile the update with XLA, or not; `None` does on a GPU, and elsewhere for
            variables of at least 131,072 weights.
        name: the optimizer's name; `None` for the rule's.
        **hypers: the rule's hyperparameters, each a float or a `LearningRateSchedule` of the
            step.

    Raises:
        ValueError: a hyperparameter is out of range or NaN; when it first meets a model: no
            variable is binary, or a binary one holds anything but -1 and +1.
        TypeError: `fp_optimizer` is not an optimizer of Keras 2's current kind, or a
            hyperparameter is none of the rule's; or, at an update, a binary variable's gradient
            is sparse.
    """

    averages: tuple[str, ...] = ("m",)  # what the rule keeps of each weight, float32, from zero
    signal_name = "|m|"  # the size of the signal, as messages write it
    threshold = Hyper(ranges.check_threshold)

    def update_averages(self, averages, gradient, now):
        """The averages after one more gradient.

        Args:
            averages: by name, tensors of the gradient's shape.
            gradient: of the loss with respect to the weights, float32.
            now: the hyperparameters at this step by name, and `step`, the number of this update
                from 1; all float32 scalars.

        Returns:
            The new averages by name.
        """
        raise NotImplementedError

    def signal(self, averages, now):
        """What argues for w = -1 where it is positive and for +1 where it is negative.

        Args:
            averages: by name, this step's.
            now: as for `update_averages`.

        Returns:
            A tensor of the weights' shape: what w is multiplied by and held against the threshold.
        """
        raise NotImplementedError

    def __init__(self, fp_optimizer, *, jit_compile=None, name=None, **hypers):
        super().__init__(name=name or type(self).__name__, weight_decay=None, jit_compile=False)
        if isinstance(fp_optimizer, str):
            fp_optimizer = find_optimizer(fp_optimizer)
        if not isinstance(fp_optimizer, tf.keras.optimizers.Optimizer):
            raise TypeError(
                "fp_optimizer must be a tf.keras.optimizers.Optimizer (not a legacy one), "
                f"such as tf.keras.optimizers.Adam(0.01); got {type(fp_optimizer).__name__}."
            )
        self.fp_optimizer = fp_optimizer
        self._learning_rate = None  # Keras looks for it; the rate is fp_optimizer's
        own = self._own_hypers()
        if hypers.keys() != own.keys():
            raise TypeError(
                f"{type(self).__name__} has the hyperparameters {', '.join(own)}; got "
                f"{', '.join(hypers) or 'none'}."
            )
        self._hypers = {name: own[name].make(value) for name, value in hypers.items()}
        self._compile = jit_compile
        # Three programs and not one: within one, XLA on the CPU copies the weights before it
        # changes them, because the count still reads them, and that copy costs more than the two
        # extra launches.
        parts = (self._average, self._count, self._flip)
        self._parts = self._no_dependency(parts)
        # For each optimizer anew: traces hold on to larq's variables by identity.
        programs = [tf.function(part, jit_compile=True) for part in parts]
        self._programs = self._no_dependency(programs)

    def _compiles(self, variable) -> bool:
        if self._compile is not None:
            return self._compile
        large = variable.shape.num_elements() >= LARGE
        return can_compile() and (large or bool(tf.config.list_logical_devices("GPU")))

    @classmethod
    def _own_hypers(cls) -> dict[str, Hyper]:
        found = {}
        for base in reversed(cls.__mro__):
            found |= {key: value for key, value in vars(base).items() if isinstance(value, Hyper)}
        return found

    def _current(self, name):
        hyper = self._hypers[name]
        value = hyper(self.iterations) if isinstance(hyper, Schedule) else hyper
        return tf.cast(value, tf.float32)

    @property
    def learning_rate(self):
        """The learning rate of `fp_optimizer`."""
        return self.fp_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.fp_optimizer.learning_rate = value

    @property
    def variables(self):
        """The step, the averages and the flip counts, then the variables of `fp_optimizer`."""
        own = super().variables
        return type(own)([*own, *self.fp_optimizer.variables])

    @property
    def binary_weights(self) -> int:
        """How many binary weights the model has; 0 before the optimizer has met it."""
        return sum(kept[0].shape.num_elements() for kept in getattr(self, "_averages", ()))

    def flip_counts(self) -> dict[str, int]:
        """How often weights flipped since training began, by variable.

        The flip ratio between two moments is the difference of the sums, divided by
        `binary_weights` and by the number of steps between them.

        Returns:
            The name of each binary variable, with its flips so far.
        """
        names = getattr(self, "_binary_names", ())
        flips = getattr(self, "_flips", ())  # none before the first model
        return {name: int(count.numpy()) for name, count in zip(names, flips, strict=True)}

    def total_flips(self) -> tf.Tensor:
        """How often weights flipped since training began, of all variables together.

        Unlike `flip_counts` it can be called within a step that is being traced.

        Returns:
            An int64 scalar.
        """
        zero = tf.zeros([], tf.int64)  # before the first model
        return tf.add_n([zero, *map(tf.convert_to_tensor, getattr(self, "_flips", ()))])

    def largest_signals(self) -> dict[str, float]:
        """The largest size of the signal among the weights of each binary variable, now.

        Where it is not above the threshold, none of them can flip.

        Returns:
            The name of each binary variable, with its largest signal (for `Bop`, :math:`|m|`):
            infinity if one of its averages is infinite or NaN, which it stays for ever after a
            single gradient that was.
        """
        names = getattr(self, "_binary_names", ())
        now = self._now(self.iterations)
        return {
            name: float(self._largest(self._named(kept), now))
            for name, kept in zip(names, getattr(self, "_averages", ()), strict=True)
        }

    def _largest(self, averages, now):
        averages = {key: tf.convert_to_tensor(value) for key, value in averages.items()}
        signal = self.signal(averages, now)
        finite = [tf.math.is_finite(value) for value in (signal, *averages.values())]
        return tf.reduce_max(tf.where(tf.reduce_all(finite, axis=0), tf.abs(signal), np.inf))

    def _now(self, step):
        now = {name: self._current(name) for name in self._hypers}
        return now | {"step": tf.cast(tf.maximum(step, 1), tf.float32)}

    def _named(self, kept):
        return dict(zip(self.averages, kept, strict=True))

    def build(self, var_list):
        """Create the averages and flip counts for the binary variables, the rest for the others.

        Args:
            var_list: all trainable variables of the model.
        """
        if getattr(self, "_built", False):
            return
        binary = [v for v in var_list if is_binary_variable(v)]
        if not binary:
            raise ValueError(
                f"{type(self).__name__} found no binary variable; mark the layers it shall train "
                "with kernel_quantizer=larq.quantizers.NoOp(precision=1)."
            )
        for variable in binary:
            require_signs(variable)
        super().build(binary)
        self._binary_names = [v.name for v in binary]
        self._averages = [
            [self.add_variable_from_reference(v, key) for key in self.averages] for v in binary
        ]
        self._flips = [
            self.add_variable([], tf.int64, name=f"flips/{name}") for name in self._binary_names
        ]
        self.fp_optimizer.build([v for v in var_list if not is_binary_variable(v)])
        self._built = True

    def apply_gradients(
        self, grads_and_vars, name=None, skip_gradients_aggregation=False, **kwargs
    ):
        """Flip the binary variables, and hand the others to `fp_optimizer`.

        Args:
            grads_and_vars: pairs of gradient and variable, each gradient of its variable's
                shape.
            name: a name scope for the operations.
            skip_gradients_aggregation: true where the gradients have been summed over the
                replicas already.
            **kwargs: `experimental_aggregate_gradients`, the same the other way round, as older
                code passes it.

        Returns:
            The step counter.
        """
        grads_and_vars = list(grads_and_vars)
        for gradient, variable in grads_and_vars:
            if isinstance(gradient, tf.IndexedSlices) and is_binary_variable(variable):
                raise TypeError(
                    f"the gradient of the binary variable {variable.name} is sparse; "
                    f"{type(self).__name__} averages every weight's gradient and needs it dense."
                )
        aggregate = kwargs.pop("experimental_aggregate_gradients", True)
        if aggregate and not skip_gradients_aggregation:
            grads_and_vars = self.aggregate_gradients(grads_and_vars)
        with tf.name_scope(name or self.name), tf.init_scope():
            self.build([variable for _, variable in grads_and_vars])
        binary = [pair for pair in grads_and_vars if is_binary_variable(pair[1])]
        others = [pair for pair in grads_and_vars if not is_binary_variable(pair[1])]
        if others:
            self.fp_optimizer.apply_gradients(others, skip_gradients_aggregation=True)
        return super().apply_gradients(binary, name=name, skip_gradients_aggregation=True)

    def update_step(self, gradient, variable):
        """One update of one binary variable; Keras calls it."""
        index = self._index_dict[self._var_key(variable)]
        averages, flips = self._named(self._averages[index]), self._flips[index]
        now = self._now(self.iterations + 1)
        variable = unwrap(variable)
        average, count, flip = self._programs if self._compiles(variable) else self._parts
        average(averages, tf.cast(gradient, tf.float32), now)
        # summed as integers: a layer can have more weights than float32 counts exactly
        flips.assign_add(tf.reduce_sum(tf.cast(count(averages, variable, now), tf.int64)))
        flip(averages, variable, now)

    def _average(self, averages, gradient, now):
        read = {name: variable.read_value() for name, variable in averages.items()}
        for name, value in self.update_averages(read, gradient, now).items():
            averages[name].assign(value)

    def _pushed(self, averages, weights, now):
        # flip where w·s > τ, strictly
        read = {name: variable.read_value() for name, variable in averages.items()}
        return weights * self.signal(read, now) > now["threshold"]

    def _count(self, averages, variable, now):
        # Sums over rows, written out: XLA runs a sum of slices on every core and in vectors, a
        # reduction on one core. In bytes, because what is left over has to be written and read
        # again.
        flips = tf.reshape(self._pushed(averages, variable.read_value(), now), [-1])
        rows = next(k for k in (16, 8, 4, 2, 1) if flips.shape[0] % k == 0)
        return tf.add_n(tf.unstack(tf.cast(tf.reshape(flips, [rows, -1]), tf.int8)))

    def _flip(self, averages, variable, now):
        weights = variable.read_value()
        variable.assign(tf.where(self._pushed(averages, weights, now), -weights, weights))

    def get_config(self):
        """Everything that `from_config` needs to make the same optimizer anew."""
        return {
            "name": self.name,
            "fp_optimizer": tf.keras.optimizers.serialize(self.fp_optimizer),
            **{name: Hyper.serialize(hyper) for name, hyper in self._hypers.items()},
            "jit_compile": self._compile,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The inverse of `get_config`."""
        config = copy.deepcopy(config)  # Keras writes into what it deserializes
        config["fp_optimizer"] = tf.keras.optimizers.deserialize(
            config["fp_optimizer"], custom_objects
        )
        for key in cls._own_hypers():
            if isinstance(config[key], dict):
                config[key] = tf.keras.optimizers.schedules.deserialize(config[key], custom_objects)
        return cls(**config)
