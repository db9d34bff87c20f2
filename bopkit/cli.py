"""Provide the command line: `bopkit train`, `bopkit results`, `bopkit export` and others."""

from __future__ import annotations

import atexit
import contextlib
import gc
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

import bopkit
from bopkit import _text, experiments, records
from bopkit._tensorflow import load_tensorflow
from bopkit.data import DATASETS, checks, readers
from bopkit.data import prepare as preparing
from bopkit.errors import BopkitError
from bopkit.records import tables
from bopkit.training import sweep

app = typer.Typer(
    help="Train binarized neural networks with Bop, without latent weights.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Prepare the datasets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def _option(kind, metavar, text, *names, **limits):
    """The type of an option: its Python type, and how the help shows its value and itself."""
    return Annotated[kind, Option(*names, help=text, metavar=metavar, **limits)]


_NETWORKS, _DATASETS = ", ".join(experiments.NETWORKS), ", ".join(DATASETS)

# What to train
Network = Annotated[str, Argument(help=f"Network: {_NETWORKS}.", metavar="NETWORK")]
HparamsSet = _option(str, "NAME", "Set of hyperparameters; `bopkit experiments` lists NETWORK/SET.")
Hparams = _option(str, "K=V,K=V", "Override hyperparameters, such as epochs=3,gamma=1e-3.")
Seed = _option(int, "N", "Seed of the initial weights and of the order of the data.")
RunDir = _option(Path | None, "DIR", "Run's folder; default: runs/NETWORK_SET_DATASET_seedN.")
TensorBoard = _option(bool, None, "Write TensorBoard logs.")
JitCompile = _option(
    bool | None, None, "Compile the whole training step with XLA; default: only on one GPU."
)

# On which images
Dataset = _option(str, "NAME", f"Dataset: {_DATASETS}.")
Preprocess = _option(
    str | None,
    "NAME",
    "Preprocessing: default, or resize_and_flip. Default: as in the paper on the paper's data "
    "(resize_and_flip on cifar10).",
)
DataDir = _option(
    Path | None, "DIR", "Folder of the dataset; default: $BOPKIT_DATA_DIR, then the usual places."
)
TrainExamples = _option(int | None, "N", "Number of training images; default: all.")
ValidationExamples = _option(int | None, "N", "Number of validation images; default: all.")
Holdout = _option(
    int, "N", "Number of training images to hold out and validate on, instead of the test set."
)

# Many runs
Vary = _option(
    list[str] | None,
    "K=V,V,V",
    "Vary one hyperparameter over these values and fix the others; repeat the option for another "
    "hyperparameter. Default: section 5.1's values of γ and τ.",
)
Seeds = _option(int, "N", "Number of seeds per setting, counted from 0.", min=1)
Jobs = _option(
    int | None, "N", "Runs at once; default: one per core, or as the GPUs suffice.", min=1
)
GpusPerRun = _option(int, "N", "GPUs of this machine for each run.", min=1)
Scheduler = _option(str | None, "ADDRESS", "Dask scheduler whose workers train the runs.")
Retries = _option(int, "N", "Retries of a failed run.", min=0)
SweepDir = _option(Path, "DIR", "Folder that holds one folder per run.")

# What a run left
Records = Annotated[Path, Argument(help="Folder that holds the records.", metavar="FOLDER")]
Markdown = _option(bool, None, "Print Markdown.", "--markdown")
Run = Annotated[Path, Argument(help="Folder of a completed run.", metavar="RUN")]
Format = _option(
    str,
    "NAME",
    "Format: packed (one bit per binary weight, for bopkit.load_packed), or tflite (for Larq's "
    "Compute Engine).",
)
Output = _option(Path | None, "FILE", "File to write; default: model.npz or model.tflite in RUN.")
Compared = _option(
    int | None, "N", "Number of images to compare predictions on; default: all.", min=1
)
MinAgreement = _option(
    float, "SHARE", "Smallest share of images that must get the same class.", min=0, max=1
)

# Getting data
Prepared = Annotated[str, Argument(help=f"Dataset: {_DATASETS}.", metavar="NAME")]
PreparedDir = _option(
    Path | None, "DIR", "Folder to prepare it in; default: $BOPKIT_DATA_DIR, then TFDS's own."
)
ManualDir = _option(
    Path | None,
    "DIR",
    "For imagenet2012: folder that holds ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from "
    "image-net.org.",
)
SkipDamaged = _option(
    bool,
    None,
    "For imagenet2012: leave out, count and name the images that cannot be decoded. Default: the "
    "first of them ends the preparation.",
    "--skip-damaged",
)

# The exit codes of a run that a scheduler or a closing terminal stopped: bopkit.training.faults.
_STOPPED = [128 + getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_UsageError = typer.BadParameter.__base__  # click's, or the one of typer's own copy of click


def main() -> None:
    """Run the command line. A mistake of the user ends in one line and exit code 2."""
    _text.open_closed_streams()
    if hasattr(sys.stdout, "reconfigure"):
        # A terminal whose encoding lacks γ and τ shows question marks; the command continues.
        sys.stdout.reconfigure(errors="replace")
    # When Python exits it searches TensorFlow's objects for cycles, for a second; not frozen ones.
    atexit.register(gc.freeze)
    try:
        sys.exit(app(standalone_mode=False, prog_name="bopkit"))
    except BopkitError as error:
        _fail(str(error))
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            sys.exit(2)
        command = error.ctx.command_path if error.ctx else "bopkit"
        _fail(f"{error.format_message().rstrip('.')}; see `{command} --help`.")
    except BrokenPipeError:  # `bopkit --help | head -1`
        _text.discard(sys.stdout)
        sys.exit(1)
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}.")


def _fail(message):
    _text.complain(message)
    sys.exit(2)


def _print(text):
    """Print what a command is for: where that cannot be written, the command fails."""
    with _text.printing():
        print(text)


def _report(text):
    """Print what a command has done: that nobody can read it undoes nothing."""
    error = _text.note(text)
    if error and not isinstance(error, BrokenPipeError):
        _text.complain(f"standard output cannot be written ({error.strerror}), but {text}")


def _print_version(asked: bool) -> None:
    if asked:
        _print(f"bopkit {bopkit.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


@contextlib.contextmanager
def _stoppable(advice):
    """Say what to do next, if Ctrl-C, a scheduler or a closing terminal stops the command."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        code = getattr(stop, "code", 130)
        if code == 130 or code in _STOPPED:
            word = "interrupted" if code == 130 else "told to stop"
            _text.complain(f"{word}; to {advice}, repeat the command.")
        raise SystemExit(code) from None


@app.command()
def train(
    network: Network,
    dataset: Dataset = "digits",
    preprocess_fn: Preprocess = None,
    hparams_set: HparamsSet = "bop",
    hparams: Hparams = "",
    data_dir: DataDir = None,
    output_dir: RunDir = None,
    seed: Seed = 0,
    train_examples: TrainExamples = None,
    validation_examples: ValidationExamples = None,
    holdout: Holdout = 0,
    tensorboard: TensorBoard = True,
    jit_compile: JitCompile = None,
) -> None:
    """Train one network and write its record, run.json.

    To resume a run that stopped, repeat the command. A completed run is not trained again.
    """
    experiment = experiments.get(network, hparams_set)
    overrides = experiments.parse_hparams(hparams)
    # Refuse a typing error before TensorFlow loads.
    experiments.override(experiment, overrides)
    experiments.check_seed(seed)
    readers.check_name(dataset)
    if output_dir is None:
        output_dir = Path("runs") / f"{experiment.network}_{hparams_set}_{dataset}_seed{seed}"
    load_tensorflow()
    with _stoppable("resume"):
        record = bopkit.train(
            experiment,
            output_dir=output_dir,
            dataset=dataset,
            data_dir=data_dir,
            preprocess=preprocess_fn,
            seed=seed,
            train_examples=train_examples,
            validation_examples=validation_examples,
            holdout=holdout,
            hparams=overrides,
            tensorboard=tensorboard,
            jit_compile=jit_compile,
        )
    _report(
        f"validation top-1 {record['final']['val_accuracy']:.2%}; the record is in {output_dir}."
    )


@app.command(name="sweep")
def run_sweep(
    network: Network = "binarynet",
    dataset: Dataset = "digits",
    hparams_set: HparamsSet = "bop",
    hparams: Hparams = "",
    vary: Vary = None,
    seeds: Seeds = 1,
    jobs: Jobs = None,
    gpus_per_run: GpusPerRun = 1,
    scheduler: Scheduler = None,
    retries: Retries = 1,
    data_dir: DataDir = None,
    output_dir: SweepDir = Path("runs/sweep"),
    train_examples: TrainExamples = None,
    validation_examples: ValidationExamples = None,
    holdout: Holdout = 0,
) -> None:
    """Vary one hyperparameter at a time, several runs at once; by default section 5.1's sweeps.

    A run that failed is retried and then reported, and the other runs are kept. To resume a sweep,
    repeat the command.
    """
    base = experiments.override(
        experiments.get(network, hparams_set), experiments.parse_hparams(hparams)
    )
    readers.check_name(dataset)
    runs = sweep.vary(base, sweep.parse_lines(vary) or sweep.SECTION_51, range(seeds))
    with _stoppable("resume"):
        sweep.sweep(
            runs,
            output_dir=output_dir,
            jobs=jobs,
            gpus_per_run=gpus_per_run,
            scheduler=scheduler,
            retries=retries,
            dataset=dataset,
            data_dir=data_dir,
            train_examples=train_examples,
            validation_examples=validation_examples,
            holdout=holdout,
        )
    _report(f"{len(runs)} runs are complete; `bopkit results {output_dir}` shows them.")


@app.command(name="experiments")
def list_experiments() -> None:
    """List the papers' settings, which `bopkit train` can run."""
    rows = tables.experiment_rows()
    _print_table(tuple(rows[0]), [list(row.values()) for row in rows])


@app.command()
def results(folder: Records = Path("results"), markdown: Markdown = False) -> None:
    """Print a table of the runs below a folder, one row per group that differs only in the seed."""
    refused = []
    found = records.collect(checks.folder(folder), refused.append)
    for error in refused:
        _text.complain(error)
    if refused and not found:
        sys.exit(2)
    if not found:
        _print(f"no run.json below {folder}.")
    elif markdown:
        _print(tables.markdown_table(found))
    else:
        rows = [[row[column] for column in tables.COLUMNS] for row in tables.rows(found)]
        _print_table(tables.COLUMNS, rows)


@app.command()
def export(
    run: Run,
    format: Format = "packed",
    output: Output = None,
    data_dir: DataDir = None,
    validation_examples: Compared = None,
    min_agreement: MinAgreement = 0.999,
) -> None:
    """Write a run's network to one small file, after checking that both predict the same."""
    load_tensorflow()
    report = bopkit.export(
        checks.folder(run),
        format=format,
        output=output and checks.folder(output),
        data_dir=data_dir,
        validation_examples=validation_examples,
        min_agreement=min_agreement,
    )
    _report(str(report))


@data_app.command()
def prepare(
    name: Prepared,
    manual_dir: ManualDir = None,
    data_dir: PreparedDir = None,
    skip_damaged: SkipDamaged = False,
) -> None:
    """Check, prepare and describe a dataset.

    If the dataset is there already, the command describes it. To start an interrupted preparation
    over, repeat the command.
    """

    def stop(signum, frame):
        raise SystemExit(128 + signum)

    # A scheduler's SIGTERM must remove what is half done too: for ImageNet that is 150 GB.
    signal.signal(signal.SIGTERM, stop)
    with _stoppable("start over"):
        summary = preparing.prepare(
            name, manual_dir=manual_dir, data_dir=data_dir, skip_damaged=skip_damaged
        )
    _report(str(summary))


def _print_table(header, rows):
    """Print a table as wide as the terminal, or 200 columns wide in a file or a pipe."""
    table = Table(header_style="bold")
    for index, title in enumerate(header):
        table.add_column(title, no_wrap=index == 0)
    for row in rows:
        # Not rich's markup: a name may hold a bracket.
        table.add_row(*(Text(_text.printable(cell)) for cell in row))
    with _text.printing():
        Console(width=None if sys.stdout.isatty() else 200).print(table)


if __name__ == "__main__":
    main()
