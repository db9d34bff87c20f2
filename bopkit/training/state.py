"""Hold what changes while a run trains: weights, averages, metrics and counts.

Checkpoints hold the same. A run needs only them and the data's order, which depends only on (seed,
epoch, step), to resume after any step as if it had not stopped.
"""

from __future__ import annotations

import dataclasses
import math

from bopkit._tensorflow import tf
from bopkit.errors import TrainingError
from bopkit.experiments.methods import RATES
from bopkit.optimizers.base import FlipOptimizer
from bopkit.optimizers.variables import is_binary_variable
from bopkit.training.build import build_model, build_optimizer

CURE = "a lower learning rate is the usual cure. The last good checkpoint is kept."


@dataclasses.dataclass
class State:
    """Hold everything that changes while a run trains, under the names that checkpoints use.

    Attributes:
        model: the network.
        optimizer: its optimizer, with the averages and the flip counts of a flip rule.
        metrics: of the epoch so far: loss, accuracy and, with more than five classes, top-5.
        latent_flips: signs of latent weights that changed since training began; a flip rule counts
            its flips itself.
        epoch: how many epochs are complete.
        step: how many steps of the next epoch are done.
        seconds: how long these steps took.
        flips_before: how many weights had flipped before this epoch.
        most_flips: the most flips of a single step of this epoch.
    """

    model: tf.keras.Model
    optimizer: tf.keras.optimizers.Optimizer
    metrics: list[tf.keras.metrics.Metric]
    latent_flips: tf.Variable
    epoch: tf.Variable
    step: tf.Variable
    seconds: tf.Variable
    flips_before: tf.Variable
    most_flips: tf.Variable

    @classmethod
    def begin(cls, experiment, data, strategy: tf.distribute.Strategy) -> State:
        """Build the network and the optimizer of an experiment, with nothing done yet.

        Args:
            experiment: a `bopkit.experiments.Experiment`, resolved.
            data: what `bopkit.data.load` returned.
            strategy: the strategy whose devices hold the variables.
        """
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        with strategy.scope():
            model = build_model(experiment, data)
            optimizer = build_optimizer(experiment, data.train_examples)
            optimizer.build(model.trainable_variables)
            metrics = make_metrics(data.num_classes)
            latent_flips, most_flips = (
                tf.Variable(0, dtype=tf.int64, trainable=False, aggregation=first) for _ in range(2)
            )
        epoch, step, flips_before = (
            tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(3)
        )
        return cls(
            model=model,
            optimizer=optimizer,
            metrics=metrics,
            latent_flips=latent_flips,
            epoch=epoch,
            step=step,
            seconds=tf.Variable(0.0, dtype=tf.float64, trainable=False),
            flips_before=flips_before,
            most_flips=most_flips,
        )

    @property
    def latent(self) -> list[tf.Variable]:
        """The latent weights; none under a flip rule, which has none."""
        if isinstance(self.optimizer, FlipOptimizer):
            return []
        return [v for v in self.model.trainable_variables if is_binary_variable(v)]

    def flips(self) -> tf.Tensor:
        """Count the flips since training began; an int64 scalar, within a traced step too."""
        if isinstance(self.optimizer, FlipOptimizer):
            return self.optimizer.total_flips()
        return tf.convert_to_tensor(self.latent_flips)

    def read_flips_and_rates(self, steps: int, binary_weights: int) -> dict[str, float | None]:
        """Read what the finished epoch flipped, and the present values of its schedules.

        Args:
            steps: steps per epoch.
            binary_weights: how many the network has.

        Returns:
            The flip ratio, the largest of a single step, the method's rates (None for those that
            it does not have) and the learning rate.
        """
        rates = {name: getattr(self.optimizer, name, None) for name in RATES}
        most = int(tf.convert_to_tensor(self.most_flips))
        return {
            "flip_ratio": self.flip_ratio(steps, binary_weights),
            "max_flip_ratio": most / binary_weights,
            **{name: None if rate is None else float(rate) for name, rate in rates.items()},
            "learning_rate": float(tf.convert_to_tensor(self.optimizer.learning_rate)),
        }

    def flip_ratio(self, steps: int, binary_weights: int) -> float:
        """Divide the flips of this epoch so far by its steps and the number of binary weights."""
        return int(self.flips() - self.flips_before) / (binary_weights * steps)

    def end_epoch(self) -> None:
        """Move on to the next epoch, of which nothing is done."""
        for metric in self.metrics:
            metric.reset_state()
        self.epoch.assign_add(1)
        self.step.assign(0)
        self.seconds.assign(0.0)
        self.flips_before.assign(self.flips())
        self.most_flips.assign(0)

    def require_finite(self) -> None:
        """Refuse weights and averages that cannot be, before a checkpoint holds them.

        A gradient may be NaN while the loss is not. A binary weight then keeps its sign for ever,
        and nothing else would show it.

        Raises:
            TrainingError: a weight or an average is not finite, or a binary weight is not -1 or
                +1 under a flip rule.
        """
        broken = [
            f"the weights {v.name}"
            for v in self.model.trainable_variables
            if not bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v))))
        ]
        if isinstance(self.optimizer, FlipOptimizer):
            names = ", ".join(self.optimizer.averages)
            signals = self.optimizer.largest_signals()
            broken += [f"the averages {names} of {k}" for k, v in signals.items() if math.isinf(v)]
        if broken:
            raise TrainingError(
                f"{broken[0]} became NaN or infinite in epoch {int(self.epoch) + 1}, at or before "
                f"step {int(self.step)}, because of a gradient, although the loss was finite; "
                f"{CURE}"
            )
        if isinstance(self.optimizer, FlipOptimizer):
            self._require_signs()

    def _require_signs(self):
        # A flip only turns the sign, so that a weight of 0.3 would stay 0.3 or -0.3 for ever.
        for variable in filter(is_binary_variable, self.model.trainable_variables):
            others = tf.math.count_nonzero(tf.abs(tf.convert_to_tensor(variable)) != 1)
            if int(others):
                raise TrainingError(
                    f"{int(others)} of the binary weights {variable.name} are not -1 or +1 in "
                    f"epoch {int(self.epoch) + 1}: code other than the optimizer changed them. "
                    "The last good checkpoint is kept."
                )


def make_metrics(num_classes: int) -> list[tf.keras.metrics.Metric]:
    """Make the metrics of a record's row: loss, accuracy and, with more than 5 classes, top-5."""
    metrics = [
        tf.keras.metrics.Mean(name="loss"),
        tf.keras.metrics.CategoricalAccuracy(name="accuracy"),
    ]
    if num_classes > 5:
        metrics.append(tf.keras.metrics.TopKCategoricalAccuracy(5, name="top_5_accuracy"))
    return metrics


def read_metrics(metrics: list[tf.keras.metrics.Metric]) -> dict[str, float]:
    """Read the metrics' values by name."""
    return {metric.name: float(metric.result()) for metric in metrics}
