"""Read, check and size a notebook's parameters.

papermill takes any name and any text: it only warns of a misspelt parameter, and the `1e-8` of a
YAML file arrives as a string. So the cell after the parameters calls `settings`.
"""

from __future__ import annotations

import ast
import atexit
import dataclasses
import os
import shutil
import tempfile
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from IPython import get_ipython

from bopkit import experiments
from bopkit.book import presets
from bopkit.data import readers
from bopkit.data.imagenet import drawn
from bopkit.errors import ConfigError, unknown
from bopkit.experiments.methods import has, owners
from bopkit.experiments.values import coerce


@dataclasses.dataclass(frozen=True)
class Settings:
    """Hold a notebook's parameters, converted and checked.

    Attributes:
        preset: "smoke", "laptop" or "paper".
        network: a name of `bopkit.experiments.NETWORKS`.
        method: a name of `bopkit.experiments.METHODS`: what trains the binary weights.
        dataset: a name of `bopkit.data.DATASETS`; None for each experiment's own.
        data_dir: where to look for the data; None for the usual places.
        output_dir: the folder that holds the folders of the runs.
        seed: of the weights, the order and the augmentation; of several seeds the first.
        train_examples: the number of training images; None for all.
        validation_examples: the number of validation images; None for all.
        allow_cpu: whether to run the paper's settings without a GPU.
        seeds: the number of seeds of each setting.
        jobs: the number of runs that a sweep trains in parallel; None for the default.
        scheduler: the address of a Dask scheduler that trains a sweep; None for this machine.
        gammas: the values of γ in a sweep; None for the paper's.
        thresholds: the values of τ in a sweep; None for the paper's.
        hparams: the hyperparameters that the parameters override, by field of
            `bopkit.experiments.Experiment`.

    Example:
        >>> print(Settings(preset="laptop", dataset="fashion_mnist", hparams={"gamma": 1e-2}))
        preset laptop: fashion_mnist, seed 0; gamma = 0.01
    """

    preset: str = "smoke"
    network: str = "binarynet"
    method: str = "bop"
    dataset: str | None = None
    data_dir: str | None = None
    output_dir: Path | None = None
    seed: int = 0
    train_examples: int | None = None
    validation_examples: int | None = None
    allow_cpu: bool = False
    seeds: int = 1
    jobs: int | None = None
    scheduler: str | None = None
    gammas: Sequence | None = None
    thresholds: Sequence | None = None
    hparams: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def __str__(self):
        changed = ", ".join(f"{key} = {value}" for key, value in self.hparams.items())
        data = self.dataset or "the paper's data"
        images = (self.train_examples, self.validation_examples)
        if images != (None, None):
            train, validation = ("all" if count is None else f"{count:,}" for count in images)
            data += f" ({train} + {validation} images)"
        last = self.seed + self.seeds - 1
        seeds = f"seed {self.seed}" if last == self.seed else f"seeds {self.seed} to {last}"
        return f"preset {self.preset}: {data}, {seeds}; {changed or 'nothing overridden'}"

    def experiment(self, name: str) -> experiments.Experiment:
        """Take an experiment to the dataset, at the preset's size, with its method's overrides.

        Args:
            name: as `bopkit.experiments.get` takes it.

        Returns:
            The experiment, without the overrides that its method does not have (γ, τ and σ for
            latent weights).

        Raises:
            ConfigError: a hyperparameter is out of range.

        Example:
            >>> Settings(preset="laptop").experiment("binarynet/bop").epochs
            10
        """
        experiment = experiments.get(name)
        own = {key: value for key, value in self.hparams.items() if has(experiment.method, key)}
        resized = presets.resize(experiment, self.preset, own)
        return experiments.on_dataset(resized, self.dataset or experiment.dataset, own)

    def options(self, experiment: experiments.Experiment) -> dict:
        """Collect the keyword arguments of `bopkit.train` that these settings decide.

        Preset `smoke` needs no ImageNet: without a `data_dir`, a few drawn pictures go through the
        same preparation as the real archives.

        Args:
            experiment: the experiment to train, as `Settings.experiment` returns it.

        Returns:
            Values by argument: dataset, data_dir, seed, train_examples and validation_examples.

        Raises:
            ConfigError: preset `paper`, no GPU, and no `allow_cpu`.

        Example:
            >>> settings = Settings(seed=3, dataset="digits")
            >>> settings.options(settings.experiment("binarynet/bop"))["seed"]
            3
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


DEFAULTS = {f.name: f.default for f in dataclasses.fields(Settings) if f.name != "hparams"}
HPARAMS = [
    f.name for f in dataclasses.fields(experiments.Experiment) if f.name not in experiments.FIXED
]


def settings(
    parameters: Mapping[str, object],
    name: str,
    *,
    networks: Sequence[str] = ("binarynet",),
    methods: Sequence[str] = ("bop",),
) -> Settings:
    """Read the parameters of a notebook.

    Args:
        parameters: values by name. A notebook gives its `globals()`; only the names count that its
            own cell of parameters sets, or the one that papermill adds.
        name: the notebook's, for the folder of its runs.
        networks: what its parameter `network` may be; the first is the default.
        methods: what its parameter `method` may be; the first is the default.

    Returns:
        The settings, checked.

    Raises:
        ConfigError: a parameter is unknown (a misspelling), of another type, or out of range.

    Example:
        >>> found = settings({"preset": "laptop", "seed": "3"}, "cifar10")
        >>> found.dataset, found.seed, found.experiment("binarynet/bop").epochs
        ('fashion_mnist', 3, 10)
    """
    own, added = _names_in_cells() if get_ipython() else (parameters, ())
    for names, known in ((own, DEFAULTS), (added, own)):
        for key in names:
            if key not in known and key not in HPARAMS:
                raise ConfigError(unknown("parameter", key, dict.fromkeys([*known, *HPARAMS])))
    given = {key: parameters[key] for key in [*own, *added]}
    given = {key: value for key, value in given.items() if value is not None}
    hparams = {key: given.pop(key) for key in HPARAMS if key in given}
    kinds = typing.get_type_hints(Settings) | {"output_dir": str}
    read = DEFAULTS | {"network": networks[0], "method": methods[0]}
    for key, value in given.items():
        read[key] = coerce(
            key, os.fspath(value) if isinstance(value, os.PathLike) else value, kinds[key]
        )
    for key, known in (("preset", presets.PRESETS), ("method", methods)):
        if read[key] not in known:
            raise ConfigError(unknown(key, read[key], known))
    for key in ("seeds", "jobs"):
        if read[key] is not None and read[key] < 1:
            raise ConfigError(f"{key} must be at least 1; got {read[key]}.")
    for key in hparams:
        if not has(read["method"], key):
            raise ConfigError(
                f"{key} is a hyperparameter of {' and '.join(owners(key))}, and method is "
                f"{read['method']}: give both, or neither."
            )
    if read["dataset"] is not None:
        readers.check_name(read["dataset"])
    experiments.check_seed(read["seed"])
    read["network"] = experiments.check_network(read["network"], networks)
    stands_for = experiments.get(f"{read['network']}/bop").dataset
    data = presets.PRESETS[read["preset"]].get(stands_for, {}).get("data", {})
    # The preset's numbers of images are for its own data set; of another, all of it.
    if read["dataset"] in (None, data.get("dataset")):
        read |= {key: value for key, value in data.items() if read[key] is None}
    if read["output_dir"] is None and read["preset"] == "smoke":
        # A fresh folder: a smoke run shows what the code does now, not what it did once. It goes
        # with the kernel, because a network of 60 million weights leaves a gigabyte there.
        read["output_dir"] = tempfile.mkdtemp(prefix=f"bopkit-{name}-")
        atexit.register(shutil.rmtree, read["output_dir"], ignore_errors=True)
    read["output_dir"] = Path(read["output_dir"] or f"runs/{name}-{read['preset']}")
    return Settings(**read, hparams=hparams)


def _names_in_cells() -> tuple[Iterable[str], Iterable[str]]:
    """The names that a notebook's cell of parameters sets, and those that papermill's cell sets.

    A misspelt name is a variable like any other. But papermill sets it in a cell of its own, which
    begins with "# Parameters"; the cell of parameters is the one that sets `preset`. A cell that
    was run again counts as it is now.
    """
    variables = get_ipython().user_ns
    own, added = [key for key in [*DEFAULTS, *HPARAMS] if key in variables], []
    for source in variables["In"]:  # empty where cells are run without a history, as nbval does
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError:  # such a cell was not run either
            continue
        stored = (n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        names = list(dict.fromkeys(stored))
        if source.startswith("# Parameters\n"):
            added = names
        elif "preset" in names:
            own = names
    return own, added


def _require_gpu():
    from bopkit._tensorflow import list_devices, load_tensorflow

    load_tensorflow()
    if not list_devices("GPU"):
        raise ConfigError(
            "preset paper is meant for GPUs, and TensorFlow sees none: "
            "`pip install 'tensorflow[and-cuda]>=2.18,<2.22'` brings CUDA's libraries; or run on a "
            "CPU anyway with `-p allow_cpu True`."
        )
