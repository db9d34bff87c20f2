"""The command line: `bopkit train`, `bopkit results`, `bopkit export` and others."""

from __future__ import annotations

import atexit
import contextlib
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

import bopkit
from bopkit import cli_data, experiments, records
from bopkit._tensorflow import load_tensorflow
from bopkit.data import readers
from bopkit.errors import BopkitError
from bopkit.records import tables
from bopkit.training import sweep

app = typer.Typer(
    help="Train binarized neural networks with Bop, without latent weights.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_data.app, name="data")

# How a run ends that a scheduler or a terminal that closes has stopped: see bopkit.training.faults.
_STOPPED = [128 + getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_UsageError = typer.BadParameter.__base__  # click's, or the one of typer's own copy of click


def main() -> None:
    """Run the command line; what is the user's to mend ends in one line and exit code 2."""
    if hasattr(sys.stdout, "reconfigure"):
        # γ and τ are not in every terminal's encoding, and are no reason to stop.
        sys.stdout.reconfigure(errors="replace")
    # At its end Python looks for cycles in all that TensorFlow leaves, for a second. Not in what is
    # frozen.
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
    except BrokenPipeError:  # `bopkit results | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}.")


def _fail(message):
    # Whatever the message quotes, it is one line, and moves no terminal's cursor.
    line = "".join(c if c.isprintable() else " " for c in " ".join(message.split()))
    print(f"bopkit: {line}", file=sys.stderr)
    sys.exit(2)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"bopkit {bopkit.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


@contextlib.contextmanager
def _resumable():
    """Say what Ctrl-C or a scheduler's stop has cost: nothing."""
    try:
        yield
    except KeyboardInterrupt:
        print("bopkit: interrupted; the same command goes on from here.", file=sys.stderr)
        raise typer.Exit(130) from None
    except SystemExit as stop:  # a scheduler's signal, or a terminal that is gone
        if stop.code in _STOPPED:
            with contextlib.suppress(OSError):
                print("bopkit: told to stop; the same command goes on from here.", file=sys.stderr)
        raise


@app.command()
def train(
    network: Annotated[
        str, typer.Argument(help=f"One of: {', '.join(experiments.NETWORKS)}.", metavar="NETWORK")
    ],
    dataset: Annotated[
        str, typer.Option(help="digits, fashion_mnist, cifar10 or imagenet2012.", metavar="NAME")
    ] = "digits",
    preprocess_fn: Annotated[
        str | None,
        typer.Option(
            help="default, or resize_and_flip; by default the paper's own on the paper's data "
            "(resize_and_flip on cifar10).",
            metavar="NAME",
        ),
    ] = None,
    hparams_set: Annotated[
        str,
        typer.Option(
            help="The experiment's second name: see `bopkit experiments`.", metavar="NAME"
        ),
    ] = "bop",
    hparams: Annotated[
        str, typer.Option(help="Overrides, such as epochs=3,gamma=1e-3.", metavar="K=V,K=V")
    ] = "",
    data_dir: Annotated[
        Path | None, typer.Option(help="Where to look for the data.", metavar="DIR")
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            help="The run's folder; by default runs/NETWORK_SET_DATASET_seedN.", metavar="DIR"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the weights and of the data's order.", metavar="N")
    ] = 0,
    train_examples: Annotated[
        int | None, typer.Option(help="Use only so many training images.", metavar="N")
    ] = None,
    validation_examples: Annotated[
        int | None, typer.Option(help="Use only so many validation images.", metavar="N")
    ] = None,
    holdout: Annotated[
        int,
        typer.Option(help="Validate on so many training images, not on the test set.", metavar="N"),
    ] = 0,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard logs.")] = True,
    jit_compile: Annotated[
        bool | None,
        typer.Option(
            "--jit-compile/--no-jit-compile",
            help="Compile the whole step with XLA; by default on one GPU alone.",
        ),
    ] = None,
) -> None:
    """Train one network and leave its record, run.json.

    The same command again resumes a run that stopped, and does nothing for one that is done.
    """
    experiment = experiments.get(network, hparams_set)
    overrides = experiments.parse_hparams(hparams)
    # A typing error shows before TensorFlow loads.
    experiments.override(experiment, overrides)
    experiments.check_seed(seed)
    readers.check_name(dataset)
    if output_dir is None:
        output_dir = Path("runs") / f"{experiment.network}_{hparams_set}_{dataset}_seed{seed}"
    load_tensorflow()
    with _resumable():
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
    print(f"validation top-1 {record['final']['val_accuracy']:.2%}; the record is in {output_dir}.")


@app.command(name="sweep")
def run_sweep(
    network: Annotated[str, typer.Argument(help="As for train.", metavar="NETWORK")] = "binarynet",
    dataset: Annotated[str, typer.Option(help="As for train.", metavar="NAME")] = "digits",
    hparams_set: Annotated[str, typer.Option(help="As for train.", metavar="NAME")] = "bop",
    hparams: Annotated[str, typer.Option(help="What stays the same.", metavar="K=V,K=V")] = "",
    lines: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            help="One hyperparameter's values, the others fixed; may be given several times. "
            "Without it: section 5.1's γ and τ.",
            metavar="K=V,V,V",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0.", min=1, metavar="N")] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Runs at once; by default one a core, or one on a GPU.", min=1, metavar="N"
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="A Dask scheduler's address: run on its workers.", metavar="ADDRESS"),
    ] = None,
    retries: Annotated[int, typer.Option(help="Tries after a failed one.", min=0, metavar="N")] = 1,
    data_dir: Annotated[Path | None, typer.Option(help="As for train.", metavar="DIR")] = None,
    output_dir: Annotated[
        Path, typer.Option(help="Each run has a folder below it.", metavar="DIR")
    ] = Path("runs/sweep"),
    train_examples: Annotated[int | None, typer.Option(help="As for train.", metavar="N")] = None,
    validation_examples: Annotated[
        int | None, typer.Option(help="As for train.", metavar="N")
    ] = None,
    holdout: Annotated[int, typer.Option(help="As for train.", metavar="N")] = 0,
) -> None:
    """Vary one hyperparameter at a time, several runs at once; by default section 5.1's sweeps.

    Runs that failed are tried again and reported, the others kept; the same command goes on with
    what is missing.
    """
    base = experiments.override(
        experiments.get(network, hparams_set), experiments.parse_hparams(hparams)
    )
    readers.check_name(dataset)
    runs = sweep.vary(base, sweep.parse_lines(lines) or sweep.SECTION_51, range(seeds))
    with _resumable():
        sweep.sweep(
            runs,
            output_dir=output_dir,
            jobs=jobs,
            scheduler=scheduler,
            retries=retries,
            dataset=dataset,
            data_dir=data_dir,
            train_examples=train_examples,
            validation_examples=validation_examples,
            holdout=holdout,
        )
    print(f"{len(runs)} runs are complete; `bopkit results {output_dir}` shows them.")


@app.command(name="experiments")
def list_experiments() -> None:
    """List what can be run: the paper's settings."""
    rows = tables.experiment_rows()
    _print_table(tuple(rows[0]), [list(row.values()) for row in rows])


@app.command()
def results(
    folder: Annotated[
        Path, typer.Argument(help="A folder with run records.", metavar="FOLDER")
    ] = Path("results"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print a table of the runs below a folder; runs that differ in their seed are one row."""
    found = records.collect(folder)
    if not found:
        print(f"no run.json below {folder}.")
    elif markdown:
        print(tables.markdown_table(found))
    else:
        _print_table(tables.COLUMNS, [list(row.values()) for row in tables.rows(found)])


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A completed run's folder.", metavar="RUN")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="packed (one bit a binary weight, for bopkit.load_packed) or tflite (for Larq's "
            "Compute Engine).",
            metavar="NAME",
        ),
    ] = "packed",
    output: Annotated[
        Path | None,
        typer.Option(help="The file; by default model.npz or model.tflite in RUN.", metavar="FILE"),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="As for train.", metavar="DIR")] = None,
    validation_examples: Annotated[
        int | None, typer.Option(help="Compare on so many images only.", metavar="N", min=1)
    ] = None,
    min_agreement: Annotated[
        float,
        typer.Option(
            help="Least share of images to which both give one class.",
            min=0,
            max=1,
            metavar="SHARE",
        ),
    ] = 0.999,
) -> None:
    """Write a run's network to one small file, once that is seen to predict the same."""
    load_tensorflow()
    report = bopkit.export(
        run,
        format=form,
        output=output,
        data_dir=data_dir,
        validation_examples=validation_examples,
        min_agreement=min_agreement,
    )
    print(report)


def _print_table(header, rows):
    """A table as wide as the terminal, and as wide as it likes in a file or a pipe."""
    table = Table(header_style="bold")
    for index, title in enumerate(header):
        table.add_column(title, no_wrap=index == 0)
    for row in rows:
        table.add_row(*map(Text, row))  # not rich's markup: a name may hold a bracket
    Console(width=None if sys.stdout.isatty() else 200).print(table)


if __name__ == "__main__":
    main()
