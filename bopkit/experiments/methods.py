"""Define the methods that train binary weights, one row per method.

Adding a rule takes a function in `bopkit.rules`, a class in `bopkit.optimizers`, and a row here.
The experiments' fields, the command line, records, tables and figures follow from the row.

Attributes:
    METHODS: a `Method` by its name: "bop", "bop2ndorder", "latent" or "leaking".
    RATES: every rate of any method, a `Rate` by its name: "gamma", "threshold" or "sigma".
    FIELDS: the types of the fields of an `Experiment` that belong to some methods only, by the
        field's name.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bopkit.rules import ranges


@dataclasses.dataclass(frozen=True)
class Rate:
    """Describe a rate of a rule, such as γ, which may change over a run.

    Attributes:
        name: the name of the optimizer's argument and of the experiment's field. The field
            `name_end` makes the number change linearly over the run.
        symbol: what tables and figures call it.
        meaning: what it is, in a few words.
        values: its range, in words.
        check: raises ValueError for a value out of range; takes the value and the field's name.
        decays: whether the fields `name_decay_rate` and `name_decay_epochs` exist too, which
            multiply the number by the first, once per as many epochs as the second says.

    Example:
        >>> rate = Rate("scale", "s", "the scale", "above 0, at most 1", ranges.check_gamma)
        >>> list(rate.fields)
        ['scale', 'scale_end']
    """

    name: str
    symbol: str
    meaning: str
    values: str
    check: Callable[[float, str], None]
    decays: bool = False

    @property
    def may_be_zero(self) -> bool:
        """Whether 0 is in range."""
        try:
            self.check(0.0, self.name)
        except ValueError:
            return False
        return True

    @property
    def fields(self) -> dict[str, type]:
        """The experiment's fields for this rate, with their types."""
        found = {self.name: float, f"{self.name}_end": float}
        if self.decays:
            found |= {f"{self.name}_decay_rate": float, f"{self.name}_decay_epochs": int}
        return found

    @property
    def about(self) -> dict[str, tuple[str, str]]:
        """What each of these fields means, and which values it may have."""
        name, symbol = self.name, self.symbol
        otherwise = "constant, or decays in steps" if self.decays else "constant"
        end = f"{symbol} at the end of the run, reached linearly; none: {otherwise}"
        found = {
            name: (f"{self.meaning} {symbol}, at the start of the run", self.values),
            f"{name}_end": (end, f"{self.values}, or none"),
        }
        if self.decays:
            every = f"{name}_decay_epochs"
            found |= {
                f"{name}_decay_rate": (
                    f"factor that multiplies {symbol} after every `{every}` epochs",
                    "above 0, at most 1, or none",
                ),
                every: (f"epochs between two decays of {symbol}", "at least 1, or none"),
            }
        return found


class Option(NamedTuple):
    """Describe an argument of an optimizer that stays the same over a run.

    Attributes:
        kind: the type.
        meaning: what it is, in a few words.
        values: its range, in words.

    Example:
        >>> Option(bool, "whether to correct the bias", "true, false or none").kind
        <class 'bool'>
    """

    kind: type
    meaning: str
    values: str


@dataclasses.dataclass(frozen=True)
class Method:
    """Describe a way to train binary weights.

    Attributes:
        name: as experiments and records write it.
        label: as tables and figures write it.
        colour: of its series in figures.
        kernels: "bop" where the kernels hold -1 and +1, "latent" or "leaking" where they are
            signs of latent weights; the `method` of the functions in `bopkit.models`.
        optimizer: `MODULE:CLASS` in `bopkit.optimizers`; None trains everything with Adam.
        rates: the optimizer's numbers that may change over a run.
        options: settings of the method that stay the same over a run, by name: the optimizer's
            other arguments, if it has a class of its own.

    Example:
        >>> method = METHODS["bop"]
        >>> method.label, method.kernels, [rate.symbol for rate in method.rates]
        ('Bop', 'bop', ['γ', 'τ'])
    """

    name: str
    label: str
    colour: str
    kernels: str = "bop"
    optimizer: str | None = None
    rates: tuple[Rate, ...] = ()
    options: Mapping[str, Option] = dataclasses.field(default_factory=dict)

    @property
    def about(self) -> dict[str, tuple[str, str]]:
        """What each field of this method means, and which values it may have."""
        found = {name: (option.meaning, option.values) for name, option in self.options.items()}
        for rate in self.rates:
            found |= rate.about
        return found

    @property
    def fields(self) -> dict[str, type]:
        """The experiment's fields that mean something to this method, with their types."""
        found = {}
        for rate in self.rates:
            found |= rate.fields
        return found | {name: option.kind for name, option in self.options.items()}

    def load_optimizer(self) -> type:
        """Import the optimizer's class; TensorFlow loads now if it has not been loaded before."""
        module, name = self.optimizer.split(":")
        return getattr(importlib.import_module(f"bopkit.optimizers.{module}"), name)


_SHARE = "above 0, at most 1"
THRESHOLD = Rate("threshold", "τ", "the threshold", "at least 0", ranges.check_threshold)
GAMMA = Rate("gamma", "γ", "the adaptivity rate", _SHARE, ranges.check_gamma, decays=True)
SIGMA = Rate("sigma", "σ", "the rate of the second moment", _SHARE, ranges.check_sigma)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("bop", "Bop", "#0072B2", optimizer="bop:Bop", rates=(GAMMA, THRESHOLD)),
        Method(
            "bop2ndorder",
            "Bop2ndOrder",
            "#009E73",
            optimizer="bop2ndorder:Bop2ndOrder",
            rates=(GAMMA, THRESHOLD, SIGMA),
            options={
                "bias_correction": Option(
                    bool,
                    "whether Bop2ndOrder corrects its averages for their start at zero",
                    "true, false or none",
                )
            },
        ),
        Method(
            "latent",
            "latent weights, Adam",
            "#D55E00",
            kernels="latent",
            options={
                "glorot_scaling": Option(
                    bool,
                    "whether Adam's step on a latent weight is multiplied by "
                    "√((inputs + outputs) / 1.5) of its layer",
                    "true, false or none",
                )
            },
        ),
        Method(
            "leaking",
            "leaking latent weights",
            "#CC79A7",
            kernels="leaking",
            optimizer="leaking:LeakingSGD",
            rates=(GAMMA,),
        ),
    )
}

# Every rate and every field of any method, in the table's order.
RATES: dict[str, Rate] = {r.name: r for method in METHODS.values() for r in method.rates}
FIELDS: dict[str, type] = {k: v for method in METHODS.values() for k, v in method.fields.items()}


def has(method: str, field: str) -> bool:
    """Tell whether a hyperparameter means something to a method.

    Args:
        method: a name of `METHODS`.
        field: a field of `bopkit.experiments.Experiment`, such as "gamma_end".

    Returns:
        True for the method's own fields, and for those that no method owns, such as "epochs".

    Example:
        >>> has("bop", "gamma_end"), has("latent", "gamma_end"), has("latent", "epochs")
        (True, False, True)
    """
    return field in METHODS[method].fields or field not in FIELDS


def owners(field: str) -> list[str]:
    """List the methods that have a field.

    Args:
        field: a field of `bopkit.experiments.Experiment`.

    Returns:
        Names of `METHODS`; none for a field that every experiment has.

    Example:
        >>> owners("threshold")
        ['bop', 'bop2ndorder']
    """
    return [method.name for method in METHODS.values() if field in method.fields]
