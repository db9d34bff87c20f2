"""Flip binary weights by a rule: everything that every such optimizer has but the rule itself.

A rule keeps averages of a weight's gradients and makes a *signal* of them. A weight w flips where w
times its signal is above the threshold. This module has the averages, the flips and their counts,
once for all rules; `bopkit.optimizers.grouped` has what Keras asks of an optimizer.

Binary variables are those that larq marks with precision 1
(``kernel_quantizer=lq.quantizers.NoOp(precision=1)``). Every other variable goes to an ordinary
optimizer, `fp_optimizer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bopkit._support.text import tell_apart
from bopkit._tensorflow import tf
from bopkit.optimizers.compiled import Programs
from bopkit.optimizers.grouped import GroupedOptimizer
from bopkit.optimizers.hyper import Hyper, Optimizer, Schedule
from bopkit.optimizers.measures import Measures
from bopkit.optimizers.variables import is_binary_variable, require_signs, unwrap
from bopkit.rules import ranges

Tensors = Mapping[str, tf.Tensor]


def flip(weights: tf.Tensor, signal: tf.Tensor, threshold: tf.Tensor | float) -> tf.Tensor:
    r"""Flip each binary weight whose signal counts against it by more than the threshold.

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

    Source:
        The condition of Algorithm 2 of arXiv:1906.02107, with :math:`s = m` there. At equality the
        weight does not flip.

    Example:
        >>> flip(tf.constant([1.0, 1.0, -1.0]), tf.constant([0.3, -0.3, -0.3]), 0.2).numpy()
        array([-1.,  1.,  1.], dtype=float32)
    """
    # flip where w·s > τ, strictly
    return tf.where(tf.cast(weights, signal.dtype) * signal > threshold, -weights, weights)


class FlipOptimizer(Measures, GroupedOptimizer):
    r"""Train binary weights by a rule, which consists of averages, a signal and a threshold.

    .. math::

        a_t = A(a_{t-1}, g_t), \qquad
        w_t = \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, s(a_t) > \tau \\
                             \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    for each binary variable :math:`w` with the gradient :math:`g`. The rule's `update_averages` is
    :math:`A`, its `signal` is :math:`s`, and its averages :math:`a` start at zero. `fp_optimizer`
    updates all other variables. Learning-rate callbacks act on `fp_optimizer` too, because its rate
    is this optimizer's `learning_rate`. A binary variable's constraint is ignored, because its
    weights stay -1 and +1.

    Where no trainable variable is binary, as when all binary layers are frozen, `fp_optimizer`
    trains the rest and a warning says so.

    A subclass is a rule. It may set the class attributes below, declares each hyperparameter
    besides `threshold` as a `bopkit.Hyper`, and has two methods, `update_averages` and `signal`,
    which are pure functions of tensors.

    Attributes:
        averages: tuple of str, the names of the averages that the rule keeps per weight, which
            start at zero. Default: ``("m",)``.
        scalars: tuple of str, the names of the float64 numbers that the rule keeps once per
            variable, which start at zero. Default: ``()``.
        signal_name: str, the size of the signal as warnings write it. Default: ``"|m|"``.

    Args:
        fp_optimizer: a `tf.keras.optimizers.Optimizer` for everything that is not binary
            (batch normalization, real-valued layers), or its name.
        jit_compile: compile the update with XLA, or not; `None` compiles it on a GPU, and elsewhere
            for variables of at least 131,072 weights.
        name: the optimizer's name; `None` for the rule's.
        **hypers: the rule's hyperparameters, each a float or a `LearningRateSchedule` of the
            step. A schedule is checked at step 0 and not later.

    Raises:
        ValueError: a hyperparameter is out of range or NaN, or a binary variable holds anything but
            -1 and +1 at its first update. An update raises it too, if no variable has a gradient
            or a binary variable's gradient has another shape.
        TypeError: `fp_optimizer` is not an optimizer of Keras 2's current kind, a hyperparameter is
            none of the rule's, or a binary variable's gradient is sparse at an update.

    Source:
        Algorithm 2 of arXiv:1906.02107, where the only average and the signal are :math:`m`.

    Example:
        >>> class LastGradient(bopkit.FlipOptimizer):
        ...     def update_averages(self, averages, gradient, now):
        ...         return {"m": gradient}
        ...     def signal(self, averages, now):
        ...         return averages["m"]
        >>> optimizer = LastGradient("adam", threshold=0.2)
        >>> weights = lq.quantized_variable.QuantizedVariable.from_variable(
        ...     tf.Variable([1.0, 1.0, -1.0], name="kernel"), precision=1
        ... )
        >>> step = optimizer.apply_gradients([(tf.constant([0.4, -0.4, 0.1]), weights)])
        >>> weights.numpy()
        array([-1.,  1., -1.], dtype=float32)
    """

    averages: tuple[str, ...] = ("m",)  # what the rule keeps of each weight, from zero
    scalars: tuple[str, ...] = ()  # what it keeps once per variable, in float64, from zero
    signal_name = "|m|"  # the size of the signal, as messages write it
    threshold = Hyper(ranges.check_threshold)

    def update_averages(
        self, averages: Tensors, gradient: tf.Tensor, now: Tensors
    ) -> dict[str, tf.Tensor]:
        """Compute the averages after one more gradient; a subclass defines this method.

        Args:
            averages: by name, tensors of the gradient's shape, and the rule's `scalars` if it has
                any.
            gradient: of the loss with respect to the weights, of the averages' type: float32, or
                float64 for weights of float64.
            now: the hyperparameters at this step by name, and `step`, the number of this update
                from 1; all scalars of the same type.

        Returns:
            The new averages, and the new scalars, by name.

        Example:
            >>> averages = {"m": tf.zeros(2)}
            >>> now = {"gamma": 0.5, "threshold": 0.1, "step": 1}
            >>> gradient = tf.constant([0.4, -0.4])
            >>> bopkit.Bop("adam").update_averages(averages, gradient, now)["m"].numpy()
            array([ 0.2, -0.2], dtype=float32)
        """
        raise NotImplementedError

    def signal(self, averages: Tensors, now: Tensors) -> tf.Tensor:
        """Compute the evidence against the weights; a subclass defines this method.

        Args:
            averages: by name, this step's.
            now: as for `update_averages`.

        Returns:
            A tensor of the weights' shape, the `signal` of `bopkit.optimizers.flip`. Positive
            values favour -1, and negative values favour +1.

        Example:
            >>> averages = {"m": tf.constant([0.2]), "v": tf.constant([0.25])}
            >>> bopkit.Bop2ndOrder("adam", 0.1, 0.01, 0.01).signal(averages, {}).numpy()  # m / √v
            array([0.4], dtype=float32)
        """
        raise NotImplementedError

    def __init__(
        self,
        fp_optimizer: Optimizer | str,
        *,
        jit_compile: bool | None = None,
        name: str | None = None,
        **hypers: float | Schedule,
    ):
        super().__init__(fp_optimizer, name=name, **hypers)
        self._programs = Programs(self, flip, jit_compile)

    @property
    def jit_compile(self) -> bool | None:
        """Whether the update is compiled with XLA; `None` decides for each variable.

        Example:
            >>> bopkit.Bop("adam", jit_compile=True).jit_compile
            True
        """
        return self._programs.jit_compile

    @jit_compile.setter
    def jit_compile(self, value):
        if hasattr(self, "_programs"):  # not yet where Keras' constructor sets it
            self._programs.jit_compile = value

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Create the averages and flip counts of the binary variables; build `fp_optimizer`.

        Args:
            var_list: all trainable variables of the model.
        """
        if getattr(self, "_built", False):
            return
        super().build(var_list)
        binary = [v for v in var_list if is_binary_variable(v)]
        self._unchecked = {self._var_key(variable) for variable in binary}
        self._binary_names = tell_apart([v.name for v in binary])
        self._averages = [[self._add_average(v, key) for key in self.averages] for v in binary]
        # A SavedModel takes no blank in the name of a variable.
        names = tell_apart([v.name.removesuffix(":0") for v in binary], "{}_{}")
        self._flips = [self.add_variable([], tf.int64, name=f"flips/{name}") for name in names]
        self._scalars = [
            [self.add_variable([], tf.float64, name=f"{key}/{name}") for key in self.scalars]
            for name in names
        ]
        self._built = True

    def _add_average(self, variable, key):
        # A mixed policy's variable reports the type that it is cast to.
        kind = unwrap(variable).dtype.base_dtype
        if kind in (tf.float32, tf.float64):
            return self.add_variable_from_reference(variable, key)
        # In half precision, which Keras would take too, γ·g vanishes beside m.
        with tf.distribute.get_strategy().extended.colocate_vars_with(variable):
            name = f"{key}/{variable._shared_name}"
            return self.add_variable(variable.shape, tf.float32, name=name)

    def _check_binary(self, variables):
        # Not in `build`: Keras builds the optimizer of a saved model before it reads the weights.
        super()._check_binary(variables)
        for variable in variables:
            if self._var_key(variable) in self._unchecked:
                require_signs(variable)
        self._unchecked -= {self._var_key(variable) for variable in variables}

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Update one binary variable.

        The rule averages the gradient, and `flip` moves the weights by the signal of the averages.
        """
        index = self._index_dict[self._var_key(variable)]
        kept = self._kept(index)
        kind = kept[self.averages[0]].dtype
        gradient, now = tf.cast(gradient, kind), self._now(self.iterations + 1, kind)
        flips = self._programs.update(kept, gradient, unwrap(variable), now)
        self._flips[index].assign_add(flips)

    def _kept(self, index):
        """The variables that the rule keeps of one binary variable, by name."""
        names = (*self.averages, *self.scalars)
        return dict(zip(names, [*self._averages[index], *self._scalars[index]], strict=True))

    def _now(self, step, kind):
        now = {name: getattr(self, name) for name in self._hypers}
        now["step"] = tf.maximum(step, 1)
        return {name: tf.cast(value, kind) for name, value in now.items()}

    def get_config(self) -> dict[str, object]:
        """Return everything that `from_config` needs to make the same optimizer again."""
        return super().get_config() | {"jit_compile": self.jit_compile}
