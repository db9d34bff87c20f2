"""Run independent experiments in parallel, on this machine or on Dask.

Attributes:
    OPTIONS: the arguments of `bopkit.train` that `sweep` takes too. "dataset" and "data_dir" name
        the images, and "preprocess", "train_examples", "validation_examples" and "holdout" choose
        among them. The others are "hparams", "tensorboard", "checkpoint_minutes" and "jit_compile".
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import joblib
from joblib.externals.loky import get_reusable_executor

from bopkit import experiments, records
from bopkit._support.files import output_folder, with_home
from bopkit._support.numbers import check_whole, is_whole
from bopkit.errors import (
    BopkitError,
    ConfigError,
    SetupError,
    TrainingError,
    as_our_error,
    unknown,
)
from bopkit.experiments import Experiment
from bopkit.training import sharing
from bopkit.training.precision import begun_in

# What `sweep` hands to `bopkit.train`, whose other arguments are the sweep's own.
OPTIONS = (
    "dataset",
    "data_dir",
    "preprocess",
    "train_examples",
    "validation_examples",
    "holdout",
    "hparams",
    "tensorboard",
    "checkpoint_minutes",
    "jit_compile",
)


def sweep(
    runs: Mapping[str, tuple[Experiment, int]],
    *,
    output_dir: str | os.PathLike,
    jobs: int | None = None,
    gpus_per_run: int = 1,
    scheduler: str | None = None,
    retries: int = 1,
    report: Callable[[str], None] = print,
    **options,
) -> list[dict]:
    """Train several experiments in parallel, retry a run that fails, and keep the others.

    Each run has its own folder. To resume an interrupted sweep, call `sweep` again: it leaves
    complete runs as they are, and resumes the others. A complete run needs only its ``run.json``,
    so its model and its checkpoints may be missing.

    Args:
        runs: what `variations.vary` returned, or any names with an experiment and a seed.
        output_dir: the folder below which each run gets a folder of its own name.
        jobs: the number of parallel runs, which share the cores; `None` is one per core, or as many
            as there are GPUs for. With a scheduler, its workers decide.
        gpus_per_run: the number of this machine's GPUs for each run. With more than one, each batch
            is split between them.
        scheduler: the address of a Dask scheduler, such as ``tcp://127.0.0.1:8786``; `None` trains
            on this machine. The workers need bopkit and the same file system.
        retries: the number of retries of a run that failed.
        report: called with one line for each run that ends; what it raises ends the sweep.
        **options: arguments of `bopkit.train`, of which `OPTIONS` lists the names. To vary
            `preprocess` on a dataset that is not the paper's, vary an experiment of
            `bopkit.experiments.on_dataset`.

    Returns:
        The records of the completed runs, in the order of `runs`.

    Raises:
        ConfigError: there is no run, `jobs`, `gpus_per_run` or `retries` is out of range,
            `output_dir` cannot be a folder, an option is none of these, or no Dask scheduler
            answers at `scheduler`. Or with `jobs=1`, TensorFlow already uses more GPUs in this
            process than a run gets.
        SetupError: `scheduler` is given, and Dask is not installed.
        TrainingError: some runs failed at every try; the others are kept.

    Example:
        >>> base = bopkit.experiments.override(
        ...     bopkit.experiments.get("binarynet/bop"),
        ...     {"epochs": 2, "filters": 8, "dense_units": 16, "batch_size": 50},
        ... )
        >>> runs = {"digits": (base, 0)}  # or what `variations.vary` returns
        >>> records = sweep(
        ...     runs, output_dir="runs", jobs=1, report=lambda line: None, dataset="digits"
        ... )
        >>> records[0]["status"]
        'completed'
    """
    if not runs:
        raise ConfigError("runs holds no run: give at least one.")
    for option in options.keys() - set(OPTIONS):
        raise ConfigError(unknown("option of a sweep", option, OPTIONS))
    if jobs is not None:
        jobs = check_whole("jobs", jobs, least=1)
    check_whole("retries", retries, least=0)
    output_dir = output_folder(output_dir)
    if scheduler is not None:  # its workers may have another working folder
        output_dir = output_dir.absolute()
        if isinstance(data_dir := options.get("data_dir"), str | os.PathLike):
            options["data_dir"] = with_home(data_dir, ConfigError).absolute()
    gpus = tuple(sharing.names(_count_gpus())) if scheduler is None else ()
    runs, line = _in_one_precision(runs, output_dir, scheduler, options.get("jit_compile"))
    if line:
        report(line)
    cores = joblib.cpu_count()  # those that this process may use: a container may have fewer
    if gpus and not (is_whole(gpus_per_run) and 1 <= gpus_per_run <= len(gpus)):
        raise ConfigError(
            f"gpus_per_run must be from 1 to the {len(gpus)} GPUs there are; got {gpus_per_run!r}."
        )
    if jobs is None:
        jobs = min(len(runs), len(gpus) // gpus_per_run if gpus else cores)
    # A cluster's workers are not this process's, and may have another number of cores.
    parent = threads = None
    if scheduler is None:
        parent, threads = os.getpid(), max(1, cores // min(jobs, len(runs)))
    waiting, failures = dict(runs), {}
    with _backend(scheduler, jobs) as parallel, tempfile.TemporaryDirectory() as places:
        share = (places, gpus, gpus_per_run) if gpus else None
        if share:
            _begin_to_share(share, jobs)
        for _ in range(retries + 1):
            calls = [
                joblib.delayed(_run)(
                    name=name,
                    experiment=experiment,
                    seed=seed,
                    output_dir=str(output_dir),
                    threads=threads,
                    parent=parent,
                    share=share,
                    options=options,
                )
                for name, (experiment, seed) in waiting.items()
            ]
            for name, record, error, hopeless in _until_they_stop(parallel, calls, report):
                if error is None:
                    waiting.pop(name)
                    failures.pop(name, None)
                    report(f"{name}: validation top-1 {record['final']['val_accuracy']:.2%}")
                    for warning in record.get("warnings", ()):
                        report(f"{name}: warning: {warning['message']}")
                    continue
                failures[name] = error
                report(f"{name}: failed ({error})")
                if hopeless:
                    waiting.pop(name)
            if not waiting:
                break
    # Only a run that `train` returned is complete. What lies in the folder of another may be the
    # record of another sweep.
    lost = [name for name in runs if name in waiting or name in failures]
    if lost:
        reasons = "; ".join(f"{name}: {failures.get(name, 'its worker died')}" for name in lost)
        raise TrainingError(
            f"{len(lost)} of {len(runs)} runs failed ({reasons}); the others are kept in "
            f"{output_dir}, and repeating the command trains the missing runs."
        )
    return [records.read(Path(output_dir) / name) for name in runs]


def _in_one_precision(runs, output_dir, scheduler, jit_compile):
    """Give all runs that leave it open one precision, because runs are compared; and say which.

    A sweep that resumes keeps the precision in which it began. A new one computes in bfloat16 if
    that is faster for all its runs, and in float32 on a scheduler's workers, which may have
    different CPUs.
    """
    open_ones = {name: one for name, (one, _) in runs.items() if one.precision is None}
    if not open_ones:
        return runs, ""
    begun = (begun_in(Path(output_dir) / name) for name in open_ones)
    precision, why = next(filter(None, begun), None), "as this sweep began"
    if precision is None and scheduler is not None:
        precision = "float32"
    elif precision is None:
        from bopkit.training.build import choose_precision

        found = {choose_precision(one, compiled=bool(jit_compile)) for one in open_ones.values()}
        precision = "float32" if len(found) > 1 else found.pop()
        why = "because it is faster on this CPU; to compute in float32, set precision=float32"
    chosen = {
        name: (experiments.override(e, {"precision": e.precision or precision}), seed)
        for name, (e, seed) in runs.items()
    }
    return chosen, f"computing in {precision}, {why}." if precision != "float32" else ""


def _until_they_stop(parallel, calls, report):
    """Yield what the runs return, and report a pool that stops.

    A worker that dies, for want of memory for one, takes the whole pool with it. At the next try
    `train` returns immediately for what was finished by then.
    """
    try:
        yield from parallel(calls)
    except Exception as error:
        report(f"the workers stopped: {type(error).__name__}")


def _begin_to_share(share, jobs):
    """Let the first run have its GPUs: joblib's workers of an earlier sweep hold theirs."""
    if jobs == 1:
        sharing.claim(*share)  # the runs are in this process
    else:
        get_reusable_executor().shutdown(wait=True)


def _count_gpus() -> int:
    """How many TensorFlow sees, which the sweep's own process does not need otherwise."""
    from bopkit._tensorflow import list_devices, load_tensorflow

    load_tensorflow()
    return len(list_devices("GPU"))


def _run(name, experiment, seed, output_dir, threads, parent, share, options):
    """One run, in a process of its own: name, record, error, and whether to try it again."""
    if parent not in (None, os.getpid()):
        _end_with(parent)
    # TensorFlow reads these when it is imported, which in a new worker is now.
    if share is not None:
        sharing.claim(*share)
    if threads is not None and os.getpid() != parent:  # this process's own environment stays
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    from bopkit._tensorflow import load_tensorflow

    load_tensorflow()
    from bopkit.training.folder import ModelMissingError
    from bopkit.training.run import train

    folder = Path(output_dir) / name
    try:
        record = train(experiment, seed=seed, output_dir=folder, progress=False, **options)
        return name, record, None, False
    except ModelMissingError:  # this very run, complete: a sweep needs no more than its record
        return name, records.read(folder), None, False
    except Exception as error:
        # A setting or data that is wrong once is wrong again.
        hopeless = isinstance(error, BopkitError) and not isinstance(error, TrainingError)
        return name, None, " ".join(str(error).split())[:300] or type(error).__name__, hopeless


@functools.cache  # once per process, which takes one run after the other
def _end_with(parent):
    """Ask this process to stop, once the one that started it is gone; not on Windows.

    Nobody else would: a parent that was killed by force asks nobody. Again and again, because the
    run answers by saving and ending, and the process by ending too, once no run is left to answer.
    """

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        while True:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    threading.Thread(target=watch, name="end with the sweep", daemon=True).start()


@contextlib.contextmanager
def _backend(scheduler, jobs):
    """Processes on this machine, or a Dask cluster's workers."""
    if scheduler is None:
        yield joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
        return
    missing = "a sweep on a cluster needs Dask: pip install 'bopkit[dask]' ({})."
    with as_our_error(SetupError, missing):
        from dask.distributed import Client

    try:
        client = Client(scheduler, timeout="20s")
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {scheduler} ({error}): start one with `dask scheduler`, "
            "or leave the scheduler out to run on this machine."
        ) from error
    with client, joblib.parallel_config(backend="dask"):
        yield joblib.Parallel(return_as="generator_unordered")
