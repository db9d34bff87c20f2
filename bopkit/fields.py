"""What an experiment says: its fields, what they may be, which go together. No TensorFlow here."""

from __future__ import annotations

import dataclasses

import numpy as np

from bopkit import ranges
from bopkit.errors import ConfigError

PRECISIONS = ("float32", "mixed_bfloat16")

# How the binary weights are trained, and which fields say more of it: those that begin with a name.
_RULES = {
    "bop": ("threshold", "gamma"),
    "bop2ndorder": ("threshold", "gamma", "sigma", "bias_correction"),
    "latent": (),
}
METHODS = tuple(_RULES)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that decides a run's numbers, but for the data's location and the seed.

    A rate with an `_end` falls linearly from its start to its end over the whole run;
    without one it is constant. `gamma_decay_rate` instead multiplies γ every
    `gamma_decay_epochs` epochs, as a staircase.
    """

    name: str  # NETWORK/SET
    network: str  # a function of bopkit.models
    method: str  # "bop", "bop2ndorder", or "latent": the usual baseline
    dataset: str  # the paper's; bopkit.train takes another
    epochs: int
    batch_size: int  # over all replicas
    learning_rate: float  # Adam's: on latent weights, and on all that is not binary
    learning_rate_end: float | None = None
    threshold: float | None = None  # τ
    threshold_end: float | None = None
    gamma: float | None = None  # γ, the adaptivity rate
    gamma_end: float | None = None
    gamma_decay_rate: float | None = None
    gamma_decay_epochs: int | None = None
    sigma: float | None = None  # σ, the rate of the second moment: bop2ndorder alone
    sigma_end: float | None = None
    bias_correction: bool | None = None  # bop2ndorder alone
    preprocess: str = "default"  # a name that bopkit.data knows
    image_size: int | None = None  # pixels a side; None: what the network takes
    filters: int | None = None  # binarynet alone
    dense_units: int | None = None  # binarynet alone
    precision: str = "float32"

    def __post_init__(self):
        for field in ("epochs", "batch_size", "image_size", "filters", "dense_units"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ConfigError(f"{field} must be at least 1; got {value}.")
            if value is not None and value >= 2**31:
                raise ConfigError(f"{field} must be below 2147483648; got {value:g}.")
        for field in ("learning_rate", "learning_rate_end"):
            value = getattr(self, field)
            if value is not None and not ranges.SMALLEST <= value < ranges.LARGEST:
                raise ConfigError(
                    f"{field} must be a positive number that float32 can hold; got {value}."
                )
        if self.precision not in PRECISIONS:
            hint = (
                " (float16 cannot hold τ = 1e-8)" if "float16" in self.precision.split("_") else ""
            )
            raise ConfigError(
                f"precision must be one of: {', '.join(PRECISIONS)}; got {self.precision}{hint}."
            )
        self._check_rule()
        self._check_schedules()
        if self.network != "binarynet" and (self.filters or self.dense_units):
            raise ConfigError(
                f"filters and dense_units set the size of binarynet; {self.network} has one size."
            )

    @property
    def kernels(self) -> str:
        """How `bopkit.models` makes the binary kernels, "bop" for every flip rule or "latent"."""
        return "latent" if self.method == "latent" else "bop"

    def _check_rule(self):
        given = [f.name for f in dataclasses.fields(self) if getattr(self, f.name) is not None]
        alien = [field for field in given if not has(self.method, field)]
        if alien and self.method == "latent":
            raise ConfigError(
                f"{self.name} trains latent weights, which have no {alien[0]}; "
                f"{self.network}/bop has."
            )
        if alien:
            raise ConfigError(
                f"{self.name} trains by {self.method}, which has no {alien[0]}; bop2ndorder has."
            )
        if self.method == "latent":
            return
        checks = {
            "gamma": ranges.check_gamma,
            "threshold": ranges.check_threshold,
            "sigma": ranges.check_sigma,
        }
        try:
            for name in filter(checks.__contains__, _RULES[self.method]):
                checks[name](getattr(self, name))
                end = f"{name}_end"
                if getattr(self, end) is not None:
                    checks[name](getattr(self, end), end)
            if self.gamma_decay_rate is not None:
                ranges.check_gamma(self.gamma_decay_rate, "gamma_decay_rate")
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if (self.gamma_decay_rate is None) != (self.gamma_decay_epochs is None):
            raise ConfigError("gamma_decay_rate and gamma_decay_epochs go together; give both.")
        if self.gamma_decay_epochs is not None and self.gamma_decay_epochs < 1:
            raise ConfigError(
                f"gamma_decay_epochs must be at least 1; got {self.gamma_decay_epochs}."
            )
        if self.gamma_end is not None and self.gamma_decay_rate is not None:
            raise ConfigError("gamma falls linearly or in steps: give gamma_end or the decay.")

    def _check_schedules(self):
        """Refuses rates that float32 makes 0 on the way, though it can hold both ends."""
        if self.gamma_decay_rate is not None:
            last = self.gamma * self.gamma_decay_rate ** (
                (self.epochs - 1) // self.gamma_decay_epochs
            )
            if last < ranges.SMALLEST:
                raise ConfigError(
                    f"gamma decays to {last:.2g} by epoch {self.epochs}, and what is below "
                    f"{ranges.SMALLEST:.2g} is 0 in float32; give a gamma_decay_rate nearer to 1, "
                    "or more gamma_decay_epochs."
                )
        for name in ("gamma", "sigma", "learning_rate"):
            start, end = getattr(self, name), getattr(self, f"{name}_end")
            # A schedule takes the difference of the two first.
            if end is not None and np.float32(start) - np.float32(end) + np.float32(end) <= 0:
                raise ConfigError(
                    f"{name} cannot rise linearly from {start:.2g} to {end:.2g}, because beside "
                    f"{end:.2g} the start is 0 in float32; give a larger {name}."
                )


def has(method: str, field: str) -> bool:
    """Whether a field of `Experiment` means something to a method.

    Args:
        method: one of `METHODS`.
        field: a field's name, such as "gamma_end".
    """
    own = _RULES[method]
    return field.startswith(own) or not field.startswith(_RULES["bop2ndorder"])
