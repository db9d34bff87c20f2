"""Provide the command line: `bopkit train`, `bopkit results`, `bopkit export` and others."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer import Option

import bopkit
from bopkit import experiments, records
from bopkit._support.text import complain, note, open_closed_streams, printable, printing
from bopkit._tensorflow import load_tensorflow
from bopkit.cli import options
from bopkit.cli.stopping import asked_to_stop, stoppable
from bopkit.data import checks, readers
from bopkit.data import prepare as preparing
from bopkit.errors import BopkitError
from bopkit.records import tables
from bopkit.training import sweep, variations

# The help keeps the line breaks of a docstring, so its paragraphs have lines of 78 characters.
app = typer.Typer(
    help="Train binarized neural networks with Bop, without latent weights.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Prepare and describe datasets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def _example(words):
    return f"Example: bopkit {words}"


_UsageError = typer.BadParameter.__base__  # click's, or the one of typer's own copy of click


def main() -> None:
    """Run the command line. A mistake of the user ends in one line and exit code 2."""
    open_closed_streams()
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
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}.")


def _fail(message):
    complain(message)
    sys.exit(2)


def _print(text):
    """Print what a command is for: where that cannot be written, the command fails."""
    with printing():
        print(text)


def _report(text):
    """Print what a command has done: that nobody can read it undoes nothing."""
    error = note(text)
    if error and not isinstance(error, BrokenPipeError):
        complain(f"standard output cannot be written ({error.strerror}), but {text}")


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


def _experiment(network, hparams_set):
    """Look up the experiment; a network without a set means its set `bop`."""
    return experiments.get(network, hparams_set or (None if "/" in network else "bop"))


@app.command(
    epilog=_example("train binarynet --dataset cifar10 --hparams epochs=20,gamma=1e-3 --seed 1")
)
def train(
    network: options.Network,
    dataset: options.Dataset = "digits",
    preprocess_fn: options.Preprocess = None,
    hparams_set: options.HparamsSet = None,
    hparams: options.Hparams = "",
    data_dir: options.DataDir = None,
    output_dir: options.RunDir = None,
    seed: options.Seed = 0,
    train_examples: options.TrainExamples = None,
    validation_examples: options.ValidationExamples = None,
    holdout: options.Holdout = 0,
    tensorboard: options.TensorBoard = True,
    jit_compile: options.JitCompile = None,
    checkpoint_minutes: options.Minutes = 10.0,
) -> None:
    """Train one network and write its record, run.json.

    To resume a run that stopped, repeat the command. If the run is complete, the
    same command does nothing. To train it for longer, repeat the command with
    more `epochs`; this works unless a rate changes linearly over the run.
    """
    experiment = _experiment(network, hparams_set)
    overrides = experiments.parse_hparams(hparams)
    # Refuse a typing error before TensorFlow loads.
    experiments.override(experiment, overrides)
    experiments.check_seed(seed)
    readers.check_name(dataset)
    if output_dir is None:
        output_dir = Path("runs") / f"{experiment.name.replace('/', '_')}_{dataset}_seed{seed}"
    load_tensorflow()
    with stoppable("resume"):
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
            checkpoint_minutes=checkpoint_minutes,
        )
    _report(
        f"validation top-1 {record['final']['val_accuracy']:.2%}; the record is in {output_dir}."
    )


@app.command(
    name="sweep",
    epilog=_example("sweep --dataset cifar10 --holdout 5000 --vary gamma=1e-2,1e-3,1e-4 --seeds 3"),
)
def run_sweep(
    network: options.Network = "binarynet",
    dataset: options.Dataset = "digits",
    hparams_set: options.HparamsSet = None,
    hparams: options.Hparams = "",
    vary: options.Vary = None,
    seeds: options.Seeds = 1,
    jobs: options.Jobs = None,
    gpus_per_run: options.GpusPerRun = 1,
    scheduler: options.Scheduler = None,
    retries: options.Retries = 1,
    data_dir: options.DataDir = None,
    output_dir: options.SweepDir = Path("runs/sweep"),
    train_examples: options.TrainExamples = None,
    validation_examples: options.ValidationExamples = None,
    holdout: options.Holdout = 0,
) -> None:
    """Train many runs that differ in one hyperparameter at a time, several in parallel.

    Without `--vary`, the command trains the sweeps of γ and τ in section 5.1. If
    a run fails, the command retries it, reports it, and keeps the other runs. To
    resume a sweep, repeat the command.
    """
    base = experiments.on_dataset(
        _experiment(network, hparams_set), dataset, experiments.parse_hparams(hparams)
    )
    readers.check_name(dataset)
    runs = variations.vary(
        base, variations.parse_lines(vary) or variations.SECTION_51, range(seeds)
    )

    def stop(signum, frame):
        complain("stopped by the system; to resume, repeat the command.")
        signal.signal(signum, signal.SIG_DFL)
        signal.raise_signal(signum)  # once this process is gone, its workers save and end

    # joblib's own process, which removes what such a stop leaves, would warn of each piece.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    with stoppable("resume"), asked_to_stop(stop):
        sweep.sweep(
            runs,
            output_dir=output_dir,
            jobs=jobs,
            gpus_per_run=gpus_per_run,
            scheduler=scheduler,
            retries=retries,
            report=note,
            dataset=dataset,
            data_dir=data_dir,
            train_examples=train_examples,
            validation_examples=validation_examples,
            holdout=holdout,
        )
    _report(f"{len(runs)} runs are complete; `bopkit results {output_dir}` shows them.")


@app.command(name="experiments", epilog=_example("experiments"))
def list_experiments() -> None:
    """List the experiments that `bopkit train` can run, with the papers' settings."""
    rows = tables.experiment_rows()
    _print_table(tuple(rows[0]), [list(row.values()) for row in rows])


@app.command(epilog=_example("results runs --markdown"))
def results(folder: options.Records = Path("runs"), markdown: options.Markdown = False) -> None:
    """Print a table of the runs below a folder; runs that differ only in the seed share a row."""
    refused = []
    found = records.collect(checks.folder(folder), refused.append)
    for error in refused:
        complain(error)
    if refused and not found:
        sys.exit(2)
    if not found:
        _print(f"no run.json below {folder}.")
    elif markdown:
        _print(tables.markdown_table(found))
    else:
        rows = [[row[column] for column in tables.COLUMNS] for row in tables.rows(found)]
        _print_table(tables.COLUMNS, rows)


@app.command(epilog=_example("export runs/binarynet_bop_cifar10_seed1 --format tflite"))
def export(
    run: options.Run,
    format: options.Format = "packed",
    output: options.Output = None,
    data_dir: options.DataDir = None,
    validation_examples: options.Compared = None,
    min_agreement: options.MinAgreement = 0.999,
    recalibrate: options.Recalibrate = 0,
) -> None:
    """Export a run's network to one small file, if the file predicts what the network does."""
    load_tensorflow()
    report = bopkit.export(
        checks.folder(run),
        format=format,
        output=output and checks.folder(output),
        data_dir=data_dir,
        validation_examples=validation_examples,
        min_agreement=min_agreement,
        recalibrate=recalibrate,
    )
    _report(str(report))


@data_app.command(
    epilog=_example("data prepare imagenet2012 --manual-dir archives --data-dir data")
)
def prepare(
    name: options.Prepared,
    manual_dir: options.ManualDir = None,
    data_dir: options.PreparedDir = None,
    skip_damaged: options.SkipDamaged = False,
) -> None:
    """Check, prepare and describe a dataset.

    If the dataset is already there, the command describes it. If a preparation
    was interrupted, repeat the command to start over.
    """

    def stop(signum, frame):  # which removes what is half done too: for ImageNet that is 150 GB
        raise SystemExit(128 + signum)

    with stoppable("start over"), asked_to_stop(stop):
        summary = preparing.prepare(
            name, manual_dir=manual_dir, data_dir=data_dir, skip_damaged=skip_damaged
        )
    _report(str(summary))


def _print_table(header, rows):
    """Print a table as wide as the terminal, or 200 columns wide in a file or a pipe."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table(header_style="bold")
    for index, title in enumerate(header):
        # A cell that is too wide is broken and not cut off.
        table.add_column(title, no_wrap=index == 0, overflow="fold")
    for row in rows:
        # Not rich's markup: a name may hold a bracket.
        table.add_row(*(Text(printable(cell)) for cell in row))
    unbroken = console.measure(table, options=console.options.update(width=10_000)).maximum
    if unbroken > console.width:
        # Lines and margins between the columns would take a third of a narrow terminal.
        table.box, table.pad_edge, table.padding = None, False, (0, 1, 0, 0)
    with printing():
        console.print(table)
