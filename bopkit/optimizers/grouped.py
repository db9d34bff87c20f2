"""Train two groups of variables: the binary ones by a rule, the others by one of Keras' optimizers.

Everything that Keras and its callbacks ask of an optimizer is here: one step counter, the learning
rate, saving, averages, replicas, schedules.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bopkit._tensorflow import find_optimizer, optimizers, tf
from bopkit.optimizers.hyper import Hyper, Optimizer, Schedule
from bopkit.optimizers.variables import is_binary_variable, with_gradients


class GroupedOptimizer(tf.keras.optimizers.Optimizer):
    """Update binary variables by a rule, and all others by `fp_optimizer`.

    `Bop`, `Bop2ndOrder` and every other `FlipOptimizer` have these methods. `LeakingSGD`, which
    trains latent weights and is no `FlipOptimizer`, has them too. To write a rule, subclass
    `FlipOptimizer`.

    Args:
        fp_optimizer: a `tf.keras.optimizers.Optimizer`, or its name.
        name: the optimizer's name; `None` for its class's.
        **hypers: the hyperparameters that the class declares, each a float or a
            `LearningRateSchedule` of the step.

    Raises:
        ValueError: a hyperparameter is out of range or NaN. An update raises it too, if no variable
            has a gradient or a binary variable's gradient has another shape.
        TypeError: `fp_optimizer` is not an optimizer of Keras 2's current kind, a hyperparameter is
            none of the class's, or a binary variable's gradient is sparse at an update.

    Example:
        >>> optimizer = bopkit.Bop("adam")
        >>> isinstance(optimizer, bopkit.optimizers.grouped.GroupedOptimizer)
        True
        >>> optimizer.fp_optimizer.name
        'Adam'
    """

    def __init__(
        self,
        fp_optimizer: Optimizer | str,
        *,
        name: str | None = None,
        **hypers: float | Schedule,
    ):
        self.fp_optimizer = find_optimizer(fp_optimizer)  # first: Keras reads its counter next
        super().__init__(name=name or type(self).__name__, weight_decay=None, jit_compile=False)
        own = Hyper.declared(type(self))
        if hypers.keys() != own.keys():
            raise TypeError(
                f"{type(self).__name__} has the hyperparameters {', '.join(own)}; got "
                f"{', '.join(hypers) or 'none'}."
            )
        self._hypers = {name: own[name].make(value) for name, value in hypers.items()}

    def _create_iteration_variable(self):
        # One step counter for both optimizers, so that every schedule follows it.
        self._iterations = self.fp_optimizer.iterations
        self._variables.append(self._iterations)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Create what is kept of the variables of both groups.

        Args:
            var_list: all trainable variables of the model.
        """
        binary = [v for v in var_list if is_binary_variable(v)]
        if not binary:
            warnings.warn(
                f"{type(self).__name__} found no binary variable among the trainable ones, so "
                f"{self.fp_optimizer.name} trains them all: if binary layers are frozen, this is "
                "right; otherwise mark the layers to flip with "
                "kernel_quantizer=larq.quantizers.NoOp(precision=1).",
                stacklevel=2,
            )
        super().build(binary)
        self.fp_optimizer.build([v for v in var_list if not is_binary_variable(v)])

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Update one binary variable; for a subclass to define."""
        raise NotImplementedError

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[tf.Tensor, tf.Variable]],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: bool,
    ) -> tf.Variable:
        """Update the binary variables, and hand the others to `fp_optimizer`.

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

        Raises:
            ValueError: no variable has a gradient, a binary variable's gradient has another shape,
                or, at its first update, a rule's binary variable holds anything but -1 and +1.
            KeyError: the optimizer was built without one of the variables.
            TypeError: a binary variable's gradient is sparse.

        Example:
            >>> weights = lq.quantized_variable.QuantizedVariable.from_variable(
            ...     tf.Variable([1.0, 1.0, -1.0], name="kernel"), precision=1
            ... )
            >>> bias = tf.Variable([0.0], name="bias")
            >>> optimizer = bopkit.Bop("sgd", threshold=0.1, gamma=0.5)
            >>> step = optimizer.apply_gradients(
            ...     [(tf.constant([0.4, -0.4, 0.1]), weights), (tf.constant([1.0]), bias)]
            ... )
            >>> weights.numpy(), bias.numpy()
            (array([-1.,  1., -1.], dtype=float32), array([-0.01], dtype=float32))
        """
        grads_and_vars = list(grads_and_vars)
        if not grads_and_vars:  # which Keras takes for a step that does nothing
            return self.iterations
        for gradient, variable in grads_and_vars:
            if isinstance(gradient, tf.IndexedSlices) and is_binary_variable(variable):
                raise TypeError(
                    f"the gradient of the binary variable {variable.name} is sparse; "
                    f"{type(self).__name__} needs every weight's gradient."
                )
            # TensorFlow would broadcast it, and flip whole rows together.
            if is_binary_variable(variable) and gradient is not None:
                _require_shape(gradient, variable)
        aggregate = kwargs.pop("experimental_aggregate_gradients", True)
        if aggregate and not skip_gradients_aggregation:
            grads_and_vars = self.aggregate_gradients(grads_and_vars)
        with tf.name_scope(name or self.name), tf.init_scope():
            self.build([variable for _, variable in grads_and_vars])
        grads_and_vars = with_gradients(grads_and_vars)
        binary = [pair for pair in grads_and_vars if is_binary_variable(pair[1])]
        others = [pair for pair in grads_and_vars if not is_binary_variable(pair[1])]
        # All are checked before the first is updated.
        with tf.init_scope():
            self._check_binary([v for _, v in binary if _is_real(v)])
        if not isinstance(self.fp_optimizer, GroupedOptimizer):
            _require_known([v for _, v in others if _is_real(v)], self.fp_optimizer)

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

    def _check_binary(self, variables):
        """Refuse binary variables that cannot be updated."""
        _require_known(variables, self)

    def _update(self, variable, gradient):
        if _is_real(variable):
            self.update_step(gradient, variable)

    @property
    def learning_rate(self) -> tf.Variable:
        """The learning rate of `fp_optimizer`.

        Example:
            >>> optimizer = bopkit.Bop(tf.keras.optimizers.Adam(0.25))
            >>> optimizer.learning_rate = optimizer.learning_rate / 2
            >>> optimizer.fp_optimizer.learning_rate.numpy()
            0.125
        """
        return self.fp_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.fp_optimizer.learning_rate = value

    @property
    def _learning_rate(self):
        return self.fp_optimizer._learning_rate  # Keras' TensorBoard callback reads the schedule

    def exclude_from_weight_decay(
        self,
        var_list: Sequence[tf.Variable] | None = None,
        var_names: Sequence[str] | None = None,
    ) -> None:
        """Exclude variables from the weight decay of `fp_optimizer`, as Keras' optimizers do.

        Args:
            var_list: the variables.
            var_names: parts of names; variables whose names hold one of them are excluded too.

        Example:
            >>> optimizer = bopkit.Bop(tf.keras.optimizers.AdamW(1e-3, weight_decay=1e-2))
            >>> optimizer.exclude_from_weight_decay(var_names=["batch_normalization"])
        """
        self.fp_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list: Sequence[tf.Variable]) -> None:
        """Let `fp_optimizer` finish `fit`; with `use_ema` it assigns the averages."""
        self.fp_optimizer.finalize_variable_values(
            [v for v in var_list if not is_binary_variable(v)]
        )

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """The step, what this optimizer keeps, then the variables of `fp_optimizer`.

        Example:
            >>> optimizer = bopkit.Bop("sgd")
            >>> [variable.name for variable in optimizer.variables]  # before it meets a model
            ['iteration:0']
        """
        own = super().variables
        others = [v for v in self.fp_optimizer.variables if v is not self.iterations]
        return type(own)([*own, *others])

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Set all variables, those of `fp_optimizer` included.

        Args:
            weights: one array for each of `variables`, in their order and of their shapes.

        Raises:
            ValueError: the optimizer has not met a model, or the number or a shape is wrong.

        Example:
            >>> network = bopkit.models.binarynet((16, 16, 1), 10, filters=8, dense_units=16)
            >>> optimizer, copy = bopkit.Bop("adam"), bopkit.Bop("adam")
            >>> optimizer.build(network.trainable_variables)
            >>> copy.build(network.trainable_variables)
            >>> copy.set_weights([variable.numpy() for variable in optimizer.variables])
        """
        if not getattr(self, "_built", False):
            raise ValueError("set_weights needs optimizer.build(model.trainable_variables) first.")
        shapes = [tuple(v.shape) for v in self.variables]
        given = [tuple(w.shape) for w in weights]
        if shapes != given:
            raise ValueError(f"set_weights needs arrays of the shapes {shapes}; got {given}.")
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(weight)

    def get_config(self) -> dict[str, object]:
        """Return everything that `from_config` needs to make the same optimizer again.

        Example:
            >>> config = bopkit.Bop("adam", threshold=0.5).get_config()
            >>> config["name"], config["threshold"]
            ('Bop', 0.5)
        """
        return {
            "name": self.name,
            "fp_optimizer": tf.keras.optimizers.serialize(self.fp_optimizer),
            **{name: Hyper.serialize(hyper) for name, hyper in self._hypers.items()},
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, object], custom_objects: Mapping[str, type] | None = None
    ) -> GroupedOptimizer:
        """Make an optimizer from what `get_config` returned.

        Args:
            config: as `get_config` returned it.
            custom_objects: classes of your own that it names, by their name.

        Returns:
            An optimizer of this class with the same settings. It has not met a model.

        Example:
            >>> config = bopkit.Bop("adam").get_config()
            >>> bopkit.Bop.from_config(config | {"gamma": 0.25}).gamma.numpy()
            0.25
        """
        config = copy.deepcopy(config)  # Keras writes into what it deserializes
        config["fp_optimizer"] = tf.keras.saving.deserialize_keras_object(
            config["fp_optimizer"], {**optimizers(), **(custom_objects or {})}
        )
        for key in Hyper.declared(cls):
            if isinstance(config[key], dict):
                config[key] = tf.keras.optimizers.schedules.deserialize(config[key], custom_objects)
        return cls(**config)


def _is_real(variable):
    # A variable that is traced while its model is saved has no id; it must not change then.
    return getattr(variable, "_unique_id", None) is not None


def _require_known(variables, optimizer):
    known = getattr(optimizer, "_index_dict", None)  # a wrapper such as LossScaleOptimizer has none
    for variable in variables:
        if known is not None and optimizer._var_key(variable) not in known:
            raise KeyError(
                f"{optimizer.name} does not know the variable {variable.name}, because it was "
                "built without it; call optimizer.build(model.trainable_variables) with all "
                "variables before the first update, or compile the model with a new optimizer."
            )


def _require_shape(gradient, variable):
    shape = tf.TensorShape(getattr(gradient, "shape", None))
    if not shape.is_compatible_with(variable.shape):
        raise ValueError(
            f"the gradient of the binary variable {variable.name} is of shape {tuple(shape)}, and "
            f"must be of the variable's, {tuple(variable.shape)}."
        )
