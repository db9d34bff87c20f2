"""Bop as a Keras optimizer: the rule of `bopkit.rules.bop_step`, fused.

Binary variables are those that larq marks with precision 1
(``kernel_quantizer=lq.quantizers.NoOp(precision=1)``); every other variable goes to an
ordinary optimizer, given as `fp_optimizer`.
"""

from __future__ import annotations

import difflib

import numpy as np

from bopkit import initializers, quantizers, rules  # noqa: F401 -- saved models name them
from bopkit.keras2 import can_compile, tf

_Schedule = tf.keras.optimizers.schedules.LearningRateSchedule


def is_binary_variable(variable: tf.Variable) -> bool:
    """Whether larq marks this variable as one bit wide, so that Bop flips it.

    Args:
        variable: a model's variable; any shape.

    Returns:
        True where ``variable.precision`` is 1.
    """
    return getattr(variable, "precision", None) == 1


# The update is three compiled programs and not one: within one, XLA on the CPU copies the
# weights before it changes them, because the count still reads them, and that copy costs
# more than the two extra launches.


def _average(momentum, gradient, gamma):
    # m_t = (1 - γ) m_{t-1} + γ g_t, written with one product
    momentum.assign_add(gamma * (gradient - momentum))


def _count(momentum, variable, threshold):
    # Sums over rows, written out: XLA runs a sum of slices on every core and in vectors, a
    # reduction on one core. In bytes, because what is left over has to be written and read again.
    flips = tf.reshape(variable * momentum, [-1]) > threshold
    rows = next(k for k in (16, 8, 4, 2, 1) if flips.shape[0] % k == 0)
    return tf.add_n(tf.unstack(tf.cast(tf.reshape(flips, [rows, -1]), tf.int8)))


def _flip(momentum, variable, threshold):
    # flip where w·m > τ, strictly
    weights = variable.read_value()
    variable.assign(tf.where(weights * momentum > threshold, -weights, weights))


_PARTS = (_average, _count, _flip)


@tf.keras.utils.register_keras_serializable("bopkit")
class Bop(tf.keras.optimizers.Optimizer):
    r"""The binary optimizer: flips weights, and keeps one average per weight.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    for each binary variable; all others are updated by `fp_optimizer`. Learning-rate
    callbacks act on `fp_optimizer` too: its rate is this optimizer's `learning_rate`.

    Args:
        fp_optimizer: a `tf.keras.optimizers.Optimizer` for everything that is not binary
            (batch normalization, real-valued layers), or its name.
        threshold: :math:`\tau \ge 0`, in units of the gradient; a float, or a
            `LearningRateSchedule` of the step.
        gamma: the adaptivity rate :math:`\gamma \in (0, 1]`; a float or a schedule.
        jit_compile: compile the update with XLA; `None` does so where TensorFlow can.
        name: the optimizer's name.

    Raises:
        ValueError: `threshold` or `gamma` is out of range or NaN; when it first meets a
            model: no variable is binary, or a binary one holds anything but -1 and +1.
        TypeError: `fp_optimizer` is not an optimizer of Keras 2's current kind; or, at an
            update, a binary variable's gradient is sparse.

    Source:
        Algorithm 2 of arXiv:1906.02107, with two differences from larq's and the released
        code's: exact equality, w·m = τ, does not flip here (theirs sets the weight to +1),
        and weights are -1 or +1 from the first forward pass (theirs start real-valued).
    """

    def __init__(self, fp_optimizer, threshold=1e-8, gamma=1e-4, *, jit_compile=None, name="Bop"):
        super().__init__(name=name, weight_decay=None, jit_compile=False)
        if isinstance(fp_optimizer, str):
            fp_optimizer = _find_optimizer(fp_optimizer)
        if not isinstance(fp_optimizer, tf.keras.optimizers.Optimizer):
            raise TypeError(
                "fp_optimizer must be a tf.keras.optimizers.Optimizer (not a legacy one), "
                f"such as tf.keras.optimizers.Adam(0.01); got {type(fp_optimizer).__name__}."
            )
        self.fp_optimizer = fp_optimizer
        self._learning_rate = None  # Keras looks for it; the rate is fp_optimizer's
        self._threshold = self._build_hyper(threshold, rules.check_threshold, "threshold")
        self._gamma = self._build_hyper(gamma, rules.check_gamma, "gamma")
        self._compile = jit_compile
        # Compiled for each optimizer anew: traces hold on to larq's variables by identity.
        compiled = jit_compile or (jit_compile is None and can_compile())
        self._parts = self._no_dependency(
            [tf.function(part, jit_compile=True) for part in _PARTS] if compiled else list(_PARTS)
        )

    def _build_hyper(self, value, check, name):
        """A schedule as it is; a float as a variable, so that it can be changed."""
        if isinstance(value, _Schedule):
            check(float(value(0)), f"{name} at step 0")
            return value
        check(value, name)
        with tf.init_scope():
            return tf.Variable(float(value), name=name, dtype=tf.float32, trainable=False)

    def _current(self, hyper):
        value = hyper(self.iterations) if isinstance(hyper, _Schedule) else hyper
        return tf.cast(value, tf.float32)

    @property
    def gamma(self):
        """The adaptivity rate at the current step, a float32 scalar; assign a float to set it."""
        return self._current(self._gamma)

    @gamma.setter
    def gamma(self, value):
        rules.check_gamma(value)
        self._set_hyper(self._gamma, value, "gamma")

    @property
    def threshold(self):
        """The threshold at the current step, a float32 scalar; assign a float to set it."""
        return self._current(self._threshold)

    @threshold.setter
    def threshold(self, value):
        rules.check_threshold(value)
        self._set_hyper(self._threshold, value, "threshold")

    def _set_hyper(self, hyper, value, name):
        if isinstance(hyper, _Schedule):
            raise TypeError(f"{name} follows a schedule; give Bop a float to be able to set it.")
        hyper.assign(value)

    @property
    def learning_rate(self):
        """The learning rate of `fp_optimizer`."""
        return self.fp_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.fp_optimizer.learning_rate = value

    @property
    def variables(self):
        """The step, m and the flip counts, then the variables of `fp_optimizer`."""
        own = super().variables
        return type(own)([*own, *self.fp_optimizer.variables])

    @property
    def binary_weights(self) -> int:
        """How many binary weights the model has; 0 before the optimizer has met it."""
        return sum(m.shape.num_elements() for m in getattr(self, "_momentums", ()))

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

    def largest_averages(self) -> dict[str, float]:
        """The largest |m| among the weights of each binary variable, now.

        Where it is not above the threshold, none of them can flip.

        Returns:
            The name of each binary variable, with its largest |m|: infinity if one is infinite or
            NaN, which m stays for ever after a single gradient that was.
        """
        names = getattr(self, "_binary_names", ())
        largest = (
            tf.reduce_max(tf.where(tf.math.is_finite(m), tf.abs(m), np.inf))
            for m in map(tf.convert_to_tensor, getattr(self, "_momentums", ()))
        )
        return {name: float(value) for name, value in zip(names, largest, strict=True)}

    def build(self, var_list):
        """Create m and the flip counts for the binary variables, the rest for the others.

        Args:
            var_list: all trainable variables of the model.
        """
        if getattr(self, "_built", False):
            return
        binary = [v for v in var_list if is_binary_variable(v)]
        if not binary:
            raise ValueError(
                "Bop found no binary variable; mark the layers it shall train with "
                "kernel_quantizer=larq.quantizers.NoOp(precision=1)."
            )
        for variable in binary:
            _require_signs(variable)
        super().build(binary)
        self._binary_names = [v.name for v in binary]
        self._momentums = [self.add_variable_from_reference(v, "m") for v in binary]
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
                    f"the gradient of the binary variable {variable.name} is sparse; Bop "
                    "averages every weight's gradient and needs it dense."
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
        momentum, flips = self._momentums[index], self._flips[index]
        gamma, threshold = self.gamma, self.threshold
        variable = _unwrap(variable)
        average, count, flip = self._parts
        average(momentum, tf.cast(gradient, momentum.dtype), gamma)
        # summed as integers: a layer can have more weights than float32 counts exactly
        flips.assign_add(tf.reduce_sum(tf.cast(count(momentum, variable, threshold), tf.int64)))
        flip(momentum, variable, threshold)

    def get_config(self):
        """Everything that `from_config` needs to make the same optimizer anew."""
        return {
            "name": self.name,
            "fp_optimizer": tf.keras.optimizers.serialize(self.fp_optimizer),
            "threshold": _serialize_hyper(self._threshold),
            "gamma": _serialize_hyper(self._gamma),
            "jit_compile": self._compile,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The inverse of `get_config`."""
        config = dict(config)
        config["fp_optimizer"] = tf.keras.optimizers.deserialize(
            config["fp_optimizer"], custom_objects
        )
        for key in ("threshold", "gamma"):
            if isinstance(config[key], dict):
                config[key] = tf.keras.optimizers.schedules.deserialize(config[key], custom_objects)
        return cls(**config)


def _serialize_hyper(hyper):
    if isinstance(hyper, _Schedule):
        return tf.keras.optimizers.schedules.serialize(hyper)
    return float(hyper.numpy())


def _unwrap(variable):
    # larq's and mixed precision's wrappers count as a new type at every call: a function that
    # was given one would be compiled anew in every step of an eager loop.
    for wrapped in ("latent_variable", "_variable"):
        variable = getattr(variable, wrapped, variable)
    return variable


def _find_optimizer(name):
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


def _require_signs(variable):
    values = tf.convert_to_tensor(variable)
    if not bool(tf.reduce_all(tf.abs(values) == 1)):
        raise ValueError(
            f"the binary variable {variable.name} holds values other than -1 and +1; give its "
            "layer kernel_initializer=bopkit.RandomSign() (and NoOp(precision=1) as the "
            "quantizer: ste_sign is for latent weights)."
        )
