"""Flip binary weights by a rule: everything that every such optimizer has but the rule itself.

A rule keeps averages of a weight's gradients and makes a *signal* of them. A weight w flips where w
times its signal is above the threshold. This module has everything else, once for all rules: which
variables are binary, schedules, flip counts, replicas and saving.

Binary variables are those that larq marks with precision 1
(``kernel_quantizer=lq.quantizers.NoOp(precision=1)``). Every other variable goes to an ordinary
optimizer, `fp_optimizer`.
"""

from __future__ import annotations

import copy
import warnings

from bopkit._tensorflow import find_optimizer, tf
from bopkit.optimizers.compiled import Programs
from bopkit.optimizers.hyper import Hyper
from bopkit.optimizers.measures import Measures
from bopkit.optimizers.variables import (
    is_binary_variable,
    require_signs,
    tell_apart,
    unwrap,
    with_gradients,
)
from bopkit.rules import ranges


def flip(weights: tf.Tensor, signal: tf.Tensor, threshold: tf.Tensor | float) -> tf.Tensor:
    r"""Flip each binary weight whose signal speaks against it by more than the threshold.

    .. math::

        w_t = \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, s_t > \tau \\
                             \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    Args:
        weights: :math:`w`, each -1 or +1; any shape.
        signal: :math:`s`, the evidence against w = +1 where it is positive and against w = -1 where
            it is negative; the same shape.
        threshold: :math:`\tau \ge 0`, in the unit of the signal.

    Returns:
        The new weights.

    Example:
        >>> flip(tf.constant([1.0, 1.0, -1.0]), tf.constant([0.3, -0.3, -0.3]), 0.2).numpy()
        array([-1.,  1.,  1.], dtype=float32)
    """
    # flip where w·s > τ, strictly
    return tf.where(weights * signal > threshold, -weights, weights)


class FlipOptimizer(Measures, tf.keras.optimizers.Optimizer):
    """Train binary weights by a rule: averages, a signal, a threshold.

    `bopkit.optimizers.flip` moves each binary variable by the signal of the rule. `fp_optimizer`
    updates all other variables. Learning-rate callbacks act on `fp_optimizer` too, because its rate
    is this optimizer's `learning_rate`.

    Where no trainable variable is binary, as when all binary layers are frozen, `fp_optimizer`
    trains the rest and a warning says so.

    A subclass is a rule. It names its averages, declares its hyperparameters besides `threshold`,
    and has two methods, `update_averages` and `signal`, which are pure functions of tensors.

    Args:
        fp_optimizer: a `tf.keras.optimizers.Optimizer` for everything that is not binary
            (batch normalization, real-valued layers), or its name.
        jit_compile: compile the update with XLA, or not; `None` compiles it on a GPU, and elsewhere
            for variables of at least 131,072 weights.
        name: the optimizer's name; `None` for the rule's.
        **hypers: the rule's hyperparameters, each a float or a `LearningRateSchedule` of the
            step.

    Raises:
        ValueError: a hyperparameter is out of range or NaN; when the optimizer first meets a model:
            a binary variable holds anything but -1 and +1; at an update: no variable has a
            gradient.
        TypeError: `fp_optimizer` is not an optimizer of Keras 2's current kind, or a
            hyperparameter is none of the rule's; at an update: a binary variable's gradient is
            sparse.
    """

    averages: tuple[str, ...] = ("m",)  # what the rule keeps of each weight, float32, from zero
    signal_name = "|m|"  # the size of the signal, as messages write it
    threshold = Hyper(ranges.check_threshold)

    def update_averages(self, averages, gradient, now):
        """Return the averages after one more gradient.

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
        """Return the evidence against the weights: positive favours -1, negative favours +1.

        Args:
            averages: by name, this step's.
            now: as for `update_averages`.

        Returns:
            A tensor of the weights' shape, the `signal` of `bopkit.optimizers.flip`.
        """
        raise NotImplementedError

    def __init__(self, fp_optimizer, *, jit_compile=None, name=None, **hypers):
        self.fp_optimizer = find_optimizer(fp_optimizer)  # first: Keras asks for its counter next
        super().__init__(name=name or type(self).__name__, weight_decay=None, jit_compile=False)
        own = Hyper.declared(type(self))
        if hypers.keys() != own.keys():
            raise TypeError(
                f"{type(self).__name__} has the hyperparameters {', '.join(own)}; got "
                f"{', '.join(hypers) or 'none'}."
            )
        self._hypers = {name: own[name].make(value) for name, value in hypers.items()}
        self._programs = Programs(self, flip, jit_compile)

    def _create_iteration_variable(self):
        # One step counter for both optimizers, so that every schedule follows it.
        self._iterations = self.fp_optimizer.iterations
        self._variables.append(self._iterations)

    def build(self, var_list):
        """Create the averages and flip counts of the binary variables; build `fp_optimizer`.

        Args:
            var_list: all trainable variables of the model.
        """
        if getattr(self, "_built", False):
            return
        binary = [v for v in var_list if is_binary_variable(v)]
        if not binary:
            warnings.warn(
                f"{type(self).__name__} found no binary variable among the trainable ones, so "
                f"{self.fp_optimizer.name} trains them all: if binary layers are frozen, this is "
                "right; otherwise mark the layers to flip with "
                "kernel_quantizer=larq.quantizers.NoOp(precision=1).",
                stacklevel=2,
            )
        for variable in binary:
            require_signs(variable)
        super().build(binary)
        self._binary_names = tell_apart([v.name for v in binary])
        self._averages = [
            [self.add_variable_from_reference(v, key) for key in self.averages] for v in binary
        ]
        self._flips = [
            self.add_variable([], tf.int64, name=f"flips/{name.replace(':0', '')}")
            for name in self._binary_names
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
            **kwargs: `experimental_aggregate_gradients`, the opposite of
                `skip_gradients_aggregation`, as older code passes it.

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
        grads_and_vars = with_gradients(grads_and_vars)
        binary = [pair for pair in grads_and_vars if is_binary_variable(pair[1])]
        others = [pair for pair in grads_and_vars if not is_binary_variable(pair[1])]

        def update(strategy, _):
            for gradient, variable in binary:
                strategy.extended.update(variable, self._update, args=(gradient,), group=False)
            if not others:
                self.iterations.assign_add(1)

        # Before the others, which move the step counter on. Across replicas as Keras does it.
        tf.__internal__.distribute.interim.maybe_merge_call(
            update, self._distribution_strategy, None
        )
        if others:
            self.fp_optimizer.apply_gradients(others, skip_gradients_aggregation=True)
        return self.iterations

    def _update(self, variable, gradient):
        # A variable that is traced while its model is saved has no id; it must not change then.
        if getattr(variable, "_unique_id", None) is not None:
            self.update_step(gradient, variable)

    def update_step(self, gradient, variable):
        """Update one binary variable.

        The rule averages the gradient, and `flip` moves the weights by the signal of the averages.
        """
        index = self._index_dict[self._var_key(variable)]
        averages = dict(zip(self.averages, self._averages[index], strict=True))
        gradient, now = tf.cast(gradient, tf.float32), self._now(self.iterations + 1)
        flips = self._programs.update(averages, gradient, unwrap(variable), now)
        self._flips[index].assign_add(flips)

    def _now(self, step):
        now = {name: getattr(self, name) for name in self._hypers}
        return now | {"step": tf.cast(tf.maximum(step, 1), tf.float32)}

    @property
    def learning_rate(self):
        """The learning rate of `fp_optimizer`."""
        return self.fp_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.fp_optimizer.learning_rate = value

    @property
    def _learning_rate(self):
        return self.fp_optimizer._learning_rate  # Keras' TensorBoard callback reads the schedule

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Exclude variables from the weight decay of `fp_optimizer`, as Keras' optimizers do."""
        self.fp_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list):
        """Let `fp_optimizer` end `fit`: with `use_ema` it sets its variables to their averages."""
        self.fp_optimizer.finalize_variable_values(
            [v for v in var_list if not is_binary_variable(v)]
        )

    @property
    def variables(self):
        """The step, the averages and the flip counts, then the variables of `fp_optimizer`."""
        own = super().variables
        others = [v for v in self.fp_optimizer.variables if v is not self.iterations]
        return type(own)([*own, *others])

    def set_weights(self, weights):
        """Set all variables, those of `fp_optimizer` included.

        Args:
            weights: one array for each of `variables`, in their order and of their shapes.

        Raises:
            ValueError: the optimizer has not met a model, or the number or a shape is wrong.
        """
        if not getattr(self, "_built", False):
            raise ValueError("set_weights needs optimizer.build(model.trainable_variables) first.")
        shapes = [tuple(v.shape) for v in self.variables]
        given = [tuple(w.shape) for w in weights]
        if shapes != given:
            raise ValueError(f"set_weights needs arrays of the shapes {shapes}; got {given}.")
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(weight)

    def load_own_variables(self, store):
        """Set all variables from a file that Keras wrote."""
        own, keys = len(super().variables), sorted(store.keys(), key=int)
        if len(keys) == len(self.variables) + 1:
            del keys[own]  # a second step counter, as files had it at first
            store = {str(number): store[key] for number, key in enumerate(keys)}
        super().load_own_variables(store)

    def get_config(self):
        """Return everything that `from_config` needs to make the same optimizer anew."""
        return {
            "name": self.name,
            "fp_optimizer": tf.keras.optimizers.serialize(self.fp_optimizer),
            **{name: Hyper.serialize(hyper) for name, hyper in self._hypers.items()},
            "jit_compile": self._programs.jit_compile,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Make an optimizer from what `get_config` returned."""
        config = copy.deepcopy(config)  # Keras writes into what it deserializes
        config["fp_optimizer"] = tf.keras.optimizers.deserialize(
            config["fp_optimizer"], custom_objects
        )
        for key in Hyper.declared(cls):
            if isinstance(config[key], dict):
                config[key] = tf.keras.optimizers.schedules.deserialize(config[key], custom_objects)
        return cls(**config)
