"""What a parameterised notebook does with its parameters: converts, checks and sizes them.

papermill takes any name and any text: a misspelt parameter only earns a warning, and the
`1e-8` of a YAML file arrives as a string. So the cell after the parameters calls `settings`.
"""

from __future__ import annotations

import atexit
import dataclasses
import difflib
import os
import shutil
import tempfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path

from bopkit import experiments
from bopkit.book import presets
from bopkit.data import readers
from bopkit.data.imagenet import drawn
from bopkit.errors import ConfigError
from bopkit.experiments.methods import has

# Where and how large; everything else that a notebook's parameters name is a hyperparameter.
EXAMPLES = ("train_examples", "validation_examples")
COMMON = ("dataset", "data_dir", "output_dir", "preset", "seed", "allow_cpu", *EXAMPLES)

# Names that IPython itself puts beside a notebook's own.
_IPYTHON = {"In", "Out", "get_ipython", "exit", "quit", "open"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """A notebook's parameters, read.

    Attributes:
        preset: "smoke", "laptop" or "paper".
        network: a name of `bopkit.experiments.NETWORKS`.
        method: a name of `bopkit.experiments.experiment.METHODS`: what trains the binary weights.
        dataset: a name of `bopkit.data.DATASETS`; None for each experiment's own.
        data_dir: where to look for the data; None for the usual places.
        output_dir: the folder that the runs go below.
        seed: of weights, order and augmentation.
        train_examples, validation_examples: how many images to use; None for all.
        allow_cpu: run the paper's settings without a GPU all the same.
        hparams: what the parameters override, by field of `bopkit.experiments.Experiment`.
    """

    preset: str
    network: str
    method: str
    dataset: str | None
    data_dir: str | None
    output_dir: Path
    seed: int
    train_examples: int | None
    validation_examples: int | None
    allow_cpu: bool
    hparams: Mapping[str, object]

    def __str__(self):
        changed = ", ".join(f"{key} = {value}" for key, value in self.hparams.items())
        data = self.dataset or "the paper's data"
        images = (self.train_examples, self.validation_examples)
        if images != (None, None):
            train, validation = ("all" if count is None else f"{count:,}" for count in images)
            data += f" ({train} + {validation} images)"
        return f"preset {self.preset}: {data}, seed {self.seed}; {changed or 'nothing overridden'}"

    def experiment(self, name: str) -> experiments.Experiment:
        """An experiment at the preset's size, with the overrides that apply to its method.

        Args:
            name: as `bopkit.experiments.get` takes it.

        Returns:
            The experiment; what its method does not have (γ, τ, σ for latent weights) is left out.

        Raises:
            ConfigError: a hyperparameter is out of range.
        """
        experiment = experiments.get(name)
        own = {key: value for key, value in self.hparams.items() if has(experiment.method, key)}
        return presets.resize(experiment, self.preset, own)

    def options(self, experiment: experiments.Experiment) -> dict:
        """The keyword arguments of `bopkit.train` that these settings decide.

        Preset `smoke` wants no ImageNet: where no `data_dir` is given, a few drawn pictures go
        through the same preparation as the real archives.

        Raises:
            ConfigError: preset `paper`, no GPU, and no `allow_cpu`.
        """
        if self.preset == "paper" and not self.allow_cpu:
            _require_gpu()
        dataset, data_dir = self.dataset or experiment.dataset, self.data_dir
        if dataset == "imagenet2012" and self.preset == "smoke" and data_dir is None:
            size = presets.PRESETS["smoke"]["imagenet2012"]["data"]
            data_dir = drawn.prepare_imagenet_sample(
                self.output_dir / "sample",
                train=size["train_examples"],
                validation=size["validation_examples"],
            )
        return {
            "dataset": dataset,
            "data_dir": data_dir,
            "seed": self.seed,
            "train_examples": self.train_examples,
            "validation_examples": self.validation_examples,
        }


def settings(
    parameters: Mapping[str, object],
    name: str,
    *,
    networks: Sequence[str] = ("binarynet",),
    methods: Sequence[str] = ("bop",),
    extra: Sequence[str] = (),
) -> Settings:
    """Read the parameters of a notebook.

    Args:
        parameters: the notebook's `globals()`, right after the cell of parameters.
        name: the notebook's, for the folder of its runs.
        networks: what its parameter `network` may be; with one alone it has no such parameter.
        methods: what its parameter `method` may be, likewise.
        extra: parameters of this notebook alone, which it reads itself.

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
    every = [field.name for field in dataclasses.fields(experiments.Experiment)]
    hparams = [field for field in every if field not in experiments.FIXED]
    known = [*COMMON, *hparams, *extra]
    known += [name for name, of in (("network", networks), ("method", methods)) if len(of) > 1]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigError(f"this notebook has no parameter {key!r}{hint}")
    preset = _choose("preset", given.get("preset", "smoke"), presets.PRESETS)
    method = _choose("method", given.get("method", methods[0]), methods)
    _check_types(given)
    network = experiments.check_network(given.get("network", networks[0]), networks)
    stands_for = experiments.get(f"{network}/bop").dataset
    data = presets.PRESETS[preset].get(stands_for, {}).get("data", {})
    for key in hparams:
        if given.get(key) is not None and not has(method, key):
            raise ConfigError(
                f"{key} is a hyperparameter of bop2ndorder, and method is {method}: give both, or "
                "neither."
            )
    dataset = given.get("dataset") or data.get("dataset")
    # The preset's numbers of images are for its own data set; of another, all of it.
    sizes = data if dataset == data.get("dataset") else {}
    examples = {key: sizes.get(key) if given.get(key) is None else given[key] for key in EXAMPLES}
    for key, value in examples.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ConfigError(f"{key} must be a whole number; got {value!r}.")
    output_dir = given.get("output_dir")
    if output_dir is None and preset == "smoke":
        # A fresh folder: a smoke run shows what the code does now, not what it did once. It goes
        # with the kernel, because a network of 60 million weights leaves a gigabyte there.
        output_dir = tempfile.mkdtemp(prefix=f"bopkit-{name}-")
        atexit.register(shutil.rmtree, output_dir, ignore_errors=True)
    return Settings(
        preset=preset,
        network=network,
        method=method,
        dataset=dataset,
        data_dir=given.get("data_dir"),
        output_dir=Path(output_dir or f"runs/{name}-{preset}"),
        seed=experiments.check_seed(given.get("seed", 0)),
        **examples,
        allow_cpu=given.get("allow_cpu") or False,
        hparams={key: given[key] for key in hparams if given.get(key) is not None},
    )


def _choose(name, value, known):
    if not isinstance(value, str) or value not in known:
        near = difflib.get_close_matches(str(value), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise ConfigError(f"{name} must be one of: {', '.join(known)}; got {value!r}{hint}")
    return value


def _check_types(given):
    for key in ("dataset", "data_dir", "output_dir", "network"):
        if not isinstance(given.get(key), str | os.PathLike | None):
            raise ConfigError(f"{key} must be text; got {given[key]!r}.")
    if given.get("dataset") is not None:
        readers.check_name(given["dataset"])
    if not isinstance(given.get("allow_cpu"), bool | None):
        # The text "false" of a YAML file would count as yes.
        raise ConfigError(f"allow_cpu must be true or false; got {given['allow_cpu']!r}.")


def _require_gpu():
    from bopkit._tensorflow import list_devices, load_tensorflow

    load_tensorflow()
    if not list_devices("GPU"):
        raise ConfigError(
            "preset paper is meant for GPUs, and TensorFlow sees none: "
            "`pip install 'tensorflow[and-cuda]>=2.18,<2.22'` brings CUDA's libraries; or run on a "
            "processor all the same with `-p allow_cpu True`."
        )
