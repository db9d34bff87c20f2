"""The paper's settings, one readable table in code; no TensorFlow here.

`EXPERIMENTS` maps a name, ``NETWORK/SET``, to an `Experiment`. Adding a row is all it takes
to add an experiment: the command line, the notebooks and the records take it from here.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping

from bopkit.errors import ConfigError
from bopkit.fields import Experiment

# Section 5.3: "linear over the run", the same for the three networks.
_IMAGENET = {
    "method": "bop",
    "dataset": "imagenet2012",
    "batch_size": 1024,
    "threshold": 1e-8,
    "gamma": 1e-4,
    "gamma_end": 1e-6,
    "learning_rate": 2.5e-3,
    "learning_rate_end": 5e-6,
    "image_size": 224,
}
# Suarez-Ramirez et al. 2021, as in their released code, the same for both networks.
_IMAGENET_2 = _IMAGENET | {
    "method": "bop2ndorder",
    "threshold_end": 1e-5,
    "gamma_end": 1e-9,
    "sigma": 1e-5,
    "sigma_end": 1e-2,
}
_CIFAR10 = {
    "network": "binarynet",
    "dataset": "cifar10",
    "preprocess": "resize_and_flip",
    "filters": 128,
    "dense_units": 1024,
}

EXPERIMENTS: dict[str, Experiment] = {
    e.name: e
    for e in (
        # Latent weights with Adam, the baseline
        Experiment(
            name="binarynet/default",
            method="latent",
            epochs=100,
            batch_size=256,
            learning_rate=5e-3,
            **_CIFAR10,
        ),
        # Section 5.1, the setting that the two sweeps start from
        Experiment(
            name="binarynet/bop",
            method="bop",
            epochs=100,
            batch_size=100,
            threshold=1e-6,
            gamma=1e-3,
            learning_rate=1e-2,
            **_CIFAR10,
        ),
        # Section 5.2: 91.3 % in the paper
        Experiment(
            name="binarynet/bop_sec52",
            method="bop",
            epochs=500,
            batch_size=50,
            threshold=1e-8,
            gamma=1e-4,
            gamma_decay_rate=0.1,
            gamma_decay_epochs=100,
            learning_rate=1e-2,
            **_CIFAR10,
        ),
        # Suarez-Ramirez et al. 2021: 91.9 % there, 91.4 % with bias_correction
        Experiment(
            name="binarynet/bop2ndorder",
            method="bop2ndorder",
            epochs=500,
            batch_size=50,
            threshold=1e-5,
            threshold_end=1e-8,
            gamma=1e-2,
            gamma_end=1e-5,
            sigma=1e-7,
            sigma_end=1e-2,
            learning_rate=1e-2,
            learning_rate_end=1e-3,
            **_CIFAR10,
        ),
        # Section 5.3: 41.1 / 65.4 %, 45.9 / 70.0 %, 56.6 / 79.4 % in the paper
        Experiment(name="binary_alexnet/bop", network="binary_alexnet", epochs=150, **_IMAGENET),
        Experiment(name="xnornet/bop", network="xnornet", epochs=100, **_IMAGENET),
        Experiment(name="birealnet/bop", network="birealnet", epochs=300, **_IMAGENET),
        # Suarez-Ramirez et al. 2021: 46.9 % and 57.2 % top-1 there
        Experiment(name="xnornet/bop2ndorder", network="xnornet", epochs=100, **_IMAGENET_2),
        Experiment(name="birealnet/bop2ndorder", network="birealnet", epochs=150, **_IMAGENET_2),
    )
}

# What an experiment is; the other fields are its hyperparameters, which `override` changes.
FIXED = ("name", "network", "method", "dataset")

NETWORKS = tuple(dict.fromkeys(e.network for e in EXPERIMENTS.values()))
ALIASES = {"alexnet": "binary_alexnet"}  # as the released README writes it


def check_network(network: str, known: Iterable[str] = NETWORKS) -> str:
    """The name of a network, its alias resolved.

    Raises:
        ConfigError: it is not among the known ones; the message says what there is.
    """
    network = ALIASES.get(network, network)
    if network not in known:
        raise ConfigError(_unknown("network", network, known))
    return network


def get(name: str, hparams_set: str | None = None) -> Experiment:
    """The experiment of a name, or of a network and a set.

    Args:
        name: ``NETWORK/SET``, or ``NETWORK`` when `hparams_set` is given.
        hparams_set: the part after the slash.

    Returns:
        The row of `EXPERIMENTS`.

    Raises:
        ConfigError: there is no such experiment; the message says what there is.
    """
    network, _, rest = name.partition("/")
    network, chosen = check_network(network), hparams_set or rest
    sets = [n.partition("/")[2] for n in EXPERIMENTS if n.startswith(f"{network}/")]
    if chosen not in sets:
        others = [name for name in NETWORKS if f"{name}/{chosen}" in EXPERIMENTS]
        hint = f" It is a set of {', '.join(others)}." if others else ""
        raise ConfigError(_unknown(f"set of hyperparameters for {network}", chosen, sets) + hint)
    return EXPERIMENTS[f"{network}/{chosen}"]


def override(experiment: Experiment, values: Mapping[str, object]) -> Experiment:
    """The same experiment with some fields changed.

    Args:
        experiment: the one to start from.
        values: new values by field; text is read as the field's type, so that ``"1e-8"``
            from a command line or a YAML file is a number. ``None`` keeps the field.

    Returns:
        A new experiment.

    Raises:
        ConfigError: a field does not exist, cannot be changed, or has a value out of range.
    """
    hints = typing.get_type_hints(Experiment)
    known = [field for field in hints if field not in FIXED]
    changes = {}
    for field, value in values.items():
        if field not in known:
            raise ConfigError(_unknown("hyperparameter", field, known))
        if value is not None:
            changes[field] = _coerce(field, value, hints[field])
    return dataclasses.replace(experiment, **changes)


def check_seed(seed: object) -> int:
    """Refuse what cannot be a seed.

    Raises:
        ConfigError: `seed` is not a whole number from 0 to 2147483647.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ConfigError(f"seed must be a whole number from 0 to 2147483647; got {seed!r}.")
    return seed


def changes(experiment: Experiment) -> dict[str, object]:
    """The fields in which an experiment differs from the row of its name.

    Args:
        experiment: what `override` returned, or a row of the table.

    Returns:
        New values by field, which `override` takes; everything, for a name not in the table.
    """
    base = EXPERIMENTS.get(experiment.name)
    now = dataclasses.asdict(experiment)
    return {k: v for k, v in now.items() if base is None or v != getattr(base, k)}


def parse_hparams(text: str) -> dict[str, str]:
    """Reads ``k=v,k=v``, as the command line takes it.

    Raises:
        ConfigError: a part has no ``=``, or a key comes twice.
    """
    pairs = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, equals, value = (s.strip() for s in part.partition("="))
        if not (key and equals and value):
            raise ConfigError(
                f"--hparams takes k=v,k=v, such as epochs=3,gamma=1e-3; got {part!r}."
            )
        if key in pairs:
            raise ConfigError(f"--hparams names {key} twice.")
        pairs[key] = value
    return pairs


def _coerce(field, value, hint):
    """`value` as the type of its field; 'none' where the field may be empty."""
    types_ = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if isinstance(value, str) and value == "none" and types.NoneType in types_:
        return None
    kind = next(t for t in types_ if t is not types.NoneType)
    try:
        if kind is str:
            if not isinstance(value, str):
                raise ValueError
            return value
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if kind is int and number != int(number):
            raise ValueError
        return kind(number)
    except (KeyError, TypeError, ValueError, OverflowError):
        noun = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]
        raise ConfigError(f"{field} must be {noun}; got {value!r}.") from None


def _unknown(kind, name, known):
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}there are: {', '.join(known)}."
