"""Train one experiment, resume it, and write its record."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from bopkit import data as bopdata
from bopkit import experiments, models
from bopkit._support.files import output_folder
from bopkit._tensorflow import tf
from bopkit.errors import ConfigError, unknown
from bopkit.experiments import Experiment
from bopkit.rules.ranges import is_number
from bopkit.training import diagnosis, faults
from bopkit.training.build import choose_precision, compiles
from bopkit.training.describe import announcement, command, new_record
from bopkit.training.devices import find_cluster
from bopkit.training.folder import MODEL, RunFolder
from bopkit.training.loop import TIMES, fit
from bopkit.training.precision import begun_in
from bopkit.training.progress import Progress
from bopkit.training.state import State


def train(
    experiment: str | Experiment,
    *,
    output_dir: str | os.PathLike,
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
    preprocess: str | None = None,
    seed: int = 0,
    train_examples: int | None = None,
    validation_examples: int | None = None,
    holdout: int = 0,
    hparams: Mapping[str, object] | None = None,
    tensorboard: bool = True,
    progress: bool = True,
    checkpoint_minutes: float = 10,
    jit_compile: bool | None = None,
) -> dict:
    """Train one network and write its record; resume where an earlier call stopped.

    `train` writes ``run.json`` (the record), ``checkpoints/``, ``tensorboard/`` and, at the end,
    ``model.keras`` to `output_dir`. To resume an interrupted run, call `train` again with the same
    settings and the same `output_dir`. If the run is complete, `train` returns immediately. To
    train a complete run for longer, call `train` with more epochs. That works if the rates are
    constant or decay in steps, because a rate that changes linearly depends on the length of the
    run.

    If the experiment leaves its `precision` open, `train` computes in mixed_bfloat16 on a CPU where
    that is faster, and says so. Otherwise it computes in float32. A run that resumes on one machine
    keeps the precision in which it began. The record and its command contain the precision.

    The record's command repeats the run if the experiment's name is in
    `bopkit.experiments.EXPERIMENTS`. To repeat a run of your own `Experiment`, call `train` again,
    because the command line does not know the name.

    Args:
        experiment: a name of `bopkit.experiments.EXPERIMENTS`, or an `Experiment`.
        output_dir: the run's folder; `train` makes it if it does not exist.
        dataset: a name of `bopkit.data.DATASETS`; `None` is an `Experiment`'s own data set, and for
            a name "digits", which needs no files.
        data_dir: the folder of the data; `None` for the usual places of `bopkit.data.load`.
        preprocess: "default" or "resize_and_flip"; `None` is the experiment's own on the
            paper's data set and "default" elsewhere.
        seed: the seed of the weights, the order of the data and its augmentation. `train` sets it
            for Python, NumPy and TensorFlow.
        train_examples: the number of training images; `None` for all.
        validation_examples: the number of validation images; `None` for all.
        holdout: the number of training images to validate on instead of the test set. Use it to
            choose hyperparameters.
        hparams: fields of the experiment to override, such as ``{"epochs": 3}``.
        tensorboard: whether to write TensorBoard logs.
        progress: whether to print a line per epoch, and a progress bar in a terminal.
        checkpoint_minutes: minutes between two checkpoints within an epoch; `train` also saves
            one after every epoch.
        jit_compile: whether to compile the whole step with XLA; `None` compiles it on one GPU only,
            because compiled steps are slower on CPUs. Compiling changes rounding, so pass the same
            value when you resume a run. The record's `hardware` holds it.

    Returns:
        The run's record, as in ``run.json``: see `bopkit.records`.

    Raises:
        bopkit.errors.ConfigError: a setting is unknown or out of range, `preprocess` and `hparams`
            contradict each other, or the folder holds another run, or a run to resume that began
            with another copy of the data.
        bopkit.errors.DataError: the data is missing or damaged.
        bopkit.errors.RecordError: the folder cannot be written, the record or a checkpoint cannot
            be read, or the checkpoints are missing or belong to another run.
        bopkit.errors.TrainingError: the loss, a weight or an average became NaN or infinite, the
            memory was too small, or another worker stopped; the record's status is "failed".

    Example:
        >>> record = bopkit.train(
        ...     "binarynet/bop",
        ...     output_dir="runs/digits",
        ...     hparams={"epochs": 2, "filters": 8, "dense_units": 16, "batch_size": 50},
        ...     progress=False,
        ... )
        >>> record["status"], len(record["epochs"]), record["config"]["binary_weights"]
        ('completed', 2, 18856)
    """
    experiment = _resolve(experiment, dataset, preprocess, hparams or {})
    seed = experiments.check_seed(seed)
    bopdata.readers.check_name(experiment.dataset)
    if experiment.network not in models.NETWORKS:
        raise ConfigError(unknown("network", experiment.network, models.NETWORKS))
    output_dir = output_folder(output_dir)
    _check_minutes(checkpoint_minutes)
    tf.get_logger().setLevel("ERROR")  # AutoGraph warns about larq's own code
    cluster = find_cluster(experiment.batch_size)
    size, channels = _image_format(experiment)
    data = bopdata.load(
        experiment.dataset,
        data_dir=data_dir,
        image_size=size,
        channels=channels,
        preprocess=experiment.preprocess,
        train_examples=train_examples,
        validation_examples=validation_examples,
        holdout=holdout,
    )
    models.check_input(experiment.network, data.image_shape, data.num_classes)
    steps = data.steps_per_epoch(experiment.batch_size)
    with RunFolder.hold(output_dir, writes=cluster.chief) as folder:
        experiment, why = _with_precision(experiment, folder, cluster, jit_compile)
        config = dataclasses.asdict(experiment) | {
            "image_shape": list(data.image_shape),
            "train_examples": data.train_examples,
            "validation_examples": data.validation_examples,
            "holdout": int(holdout),
            "steps_per_epoch": steps,
            "data_fingerprint": data.fingerprint,  # so that a run does not resume on other images
            "seed": seed,
        }
        new = new_record(experiment, config, cluster, jit_compile)
        new["data"] = data.origin and data.origin.describe()
        folder.open_record(new)
        show = Progress(
            experiment.epochs, steps, experiment.batch_size, silent=not (progress and cluster.chief)
        )
        completed = folder.record["status"] == "completed"
        if completed and (folder.path / MODEL).exists():
            show.note(f"{folder.path} holds this run, complete: nothing to do.")
            return folder.record
        if not completed:
            warning = diagnosis.warn_before(experiment.precision, new["hardware"])
            if warning and not why:
                show.note(f"warning: {warning}")
            show.note(announcement(experiment, config, cluster.strategy.num_replicas_in_sync))
            if why:
                show.note(why)
        with faults.explained(folder.path, cluster.workers):
            folder.find_checkpoint(show.note)
        tf.keras.utils.set_random_seed(seed)
        if completed:
            show.note(f"{MODEL} is missing: writing it from the last checkpoint.")
            with faults.explained(folder.path, cluster.workers):
                state = State.begin(experiment, data, cluster.strategy)
                folder.restore(state)
                folder.save_model(state.model)
            return folder.record
        record = folder.record
        record["command"] = command(
            experiment, config, train_examples, validation_examples, jit_compile
        )
        # From the outside in: a signal must not cut short the writing of why the run stopped.
        with (
            faults.stoppable() as stop,
            folder.running(),
            faults.explained(folder.path, cluster.workers),
        ):
            state = State.begin(experiment, data, cluster.strategy)
            parameters, binary_weights = models.count_weights(state.model)
            record["config"] |= {"parameters": parameters, "binary_weights": binary_weights}
            folder.restore(state)
            folder.write()
            rows = fit(
                state,
                experiment,
                data,
                seed=seed,
                cluster=cluster,
                show=show,
                stop=stop,
                log=folder.log_step if tensorboard else lambda step, scalars: None,
                save=folder.save,
                save_seconds=60 * checkpoint_minutes,
                jit_compile=jit_compile,
            )
            for row in rows:
                epochs = [*record["epochs"], row]
                warning = diagnosis.warn(epochs, state.optimizer, config.get("gamma"))
                folder.add(row, warning)  # before the checkpoint, so that no epoch is left out
                folder.save()
                if tensorboard:
                    folder.log(row)
                show.finish(row, warning)
            last = record["epochs"][-1]
            record["final"] = {k: v for k, v in last.items() if k not in TIMES}
            folder.save_model(state.model)
        return record


def _resolve(experiment, dataset, preprocess, hparams) -> Experiment:
    if isinstance(experiment, str):
        dataset = dataset or "digits"
        experiment = experiments.get(experiment)
    if not isinstance(experiment, Experiment):
        raise ConfigError(
            "experiment must be a name, such as binarynet/bop, or an Experiment; "
            f"got {experiment!r}."
        )
    if not isinstance(hparams, Mapping):
        raise ConfigError(f"hparams must be a dict, such as {{'epochs': 3}}; got {hparams!r}.")
    given = {} if preprocess is None else {"preprocess": preprocess}
    if preprocess is not None and hparams.get("preprocess", preprocess) != preprocess:
        raise ConfigError(
            f"preprocess is given twice, as {preprocess!r} and in hparams as "
            f"{hparams['preprocess']!r}: leave one out."
        )
    return experiments.on_dataset(experiment, dataset or experiment.dataset, given | dict(hparams))


def _with_precision(experiment, folder, cluster, jit_compile) -> tuple[Experiment, str]:
    """The experiment with a precision, and a line on why it is one that nobody asked for."""
    if experiment.precision is not None:
        return experiment, ""
    # A run that resumes keeps its precision on any machine. Of several workers, only the one that
    # writes finds the record, so they would not agree.
    precision = begun_in(folder.path) if cluster.workers == 1 else None
    why = "as this run began"
    if precision is None:
        compiled = compiles(cluster, jit_compile)
        precision = choose_precision(experiment, workers=cluster.workers, compiled=compiled)
        why = "because it is faster on this CPU; to compute in float32, set precision=float32"
    line = f"computing in {precision}, {why}." if precision != "float32" else ""
    return dataclasses.replace(experiment, precision=precision), line


def _check_minutes(checkpoint_minutes):
    if not (is_number(checkpoint_minutes) and checkpoint_minutes >= 0):  # NaN neither
        raise ConfigError(
            f"checkpoint_minutes must be a number of at least 0; got {checkpoint_minutes!r}."
        )


def _image_format(experiment):
    """Pixels a side and channels; None for the data's own."""
    if experiment.network != "binarynet":
        return experiment.image_size, 3
    size = experiment.image_size
    if size is None and experiment.dataset == "digits":
        size = 16  # 8x8 is too small for three pools
    if size is None and bopdata.DATASETS[experiment.dataset].stream is not None:
        size = 32  # CIFAR-10's; at 224, which photographs have, it would have 390 million weights
    return size, None
