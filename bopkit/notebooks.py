"""What a parameterised notebook does with its parameters: converts, checks and sizes them.

papermill takes any name and any text: a misspelt parameter only earns a warning, and the
`1e-8` of a YAML file arrives as a string. So the cell after the parameters calls `settings`.
"""

from __future__ import annotations

import dataclasses
import difflib
import tempfile
import types
from collections.abc import Mapping
from pathlib import Path

from bopkit import experiments
from bopkit.errors import ConfigError

# Where and how large; everything else that a notebook's parameters name is a hyperparameter.
COMMON = ("dataset", "data_dir", "output_dir", "preset", "seed")

# Names that IPython itself puts beside a notebook's own.
_IPYTHON = {"In", "Out", "get_ipython", "exit", "quit", "open"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """A notebook's parameters, read.

    Attributes:
        preset: "smoke", "laptop" or "paper".
        dataset: a name of `bopkit.data.DATASETS`; None for each experiment's own.
        data_dir: where to look for the data; None for the usual places.
        output_dir: the folder that the runs go below.
        seed: of weights, order and augmentation.
        hparams: what the parameters override, by field of `bopkit.experiments.Experiment`.
    """

    preset: str
    dataset: str | None
    data_dir: str | None
    output_dir: Path
    seed: int
    hparams: Mapping[str, object]

    def __str__(self):
        changed = ", ".join(f"{key} = {value}" for key, value in self.hparams.items())
        data = self.dataset or "the paper's data"
        return f"preset {self.preset}: {data}, seed {self.seed}; {changed or 'nothing overridden'}"

    def experiment(self, name: str) -> experiments.Experiment:
        """An experiment at the preset's size, with the overrides that apply to its method.

        Args:
            name: as `bopkit.experiments.get` takes it.

        Returns:
            The experiment; what only Bop has (γ, τ) is left out for latent weights.

        Raises:
            ConfigError: a hyperparameter is out of range.
        """
        experiment = experiments.get(name)
        own = {
            key: value
            for key, value in self.hparams.items()
            if experiment.method == "bop" or not key.startswith(("gamma", "threshold"))
        }
        return experiments.resize(experiment, self.preset, own)

    def options(self, experiment: experiments.Experiment) -> dict:
        """The keyword arguments of `bopkit.train` that these settings decide."""
        return {
            "dataset": self.dataset or experiment.dataset,
            "data_dir": self.data_dir,
            "seed": self.seed,
        }


def settings(parameters: Mapping[str, object], name: str) -> Settings:
    """Read the parameters of a notebook.

    Args:
        parameters: the notebook's `globals()`, right after the cell of parameters.
        name: the notebook's, for the folder of its runs.

    Returns:
        The settings, checked.

    Raises:
        ConfigError: a parameter is unknown (a misspelling), of another type, or out of range.
    """
    given = {
        key: value
        for key, value in parameters.items()
        if not key.startswith("_")
        and key not in _IPYTHON
        and not isinstance(value, types.ModuleType | types.FunctionType | type)
    }
    fields = [field.name for field in dataclasses.fields(experiments.Experiment)]
    hparams = [field for field in fields if field not in experiments.FIXED]
    for key in given:
        if key not in (*COMMON, *hparams):
            near = difflib.get_close_matches(key, [*COMMON, *hparams], n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigError(f"this notebook has no parameter {key!r}{hint}")
    preset = given.get("preset", "smoke")
    if preset not in experiments.PRESETS:
        raise ConfigError(
            f"preset must be one of: {', '.join(experiments.PRESETS)}; got {preset!r}."
        )
    output_dir = given.get("output_dir")
    if output_dir is None and preset == "smoke":
        # A fresh folder: a smoke run shows what the code does now, not what it did once.
        output_dir = tempfile.mkdtemp(prefix=f"bopkit-{name}-")
    return Settings(
        preset=preset,
        dataset=given.get("dataset") or experiments.PRESETS[preset]["dataset"],
        data_dir=given.get("data_dir"),
        output_dir=Path(output_dir or f"runs/{name}-{preset}"),
        seed=experiments.check_seed(given.get("seed", 0)),
        hparams={key: given[key] for key in hparams if given.get(key) is not None},
    )
