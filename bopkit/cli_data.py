"""The command line's `bopkit data`: getting the datasets."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from bopkit.data import prepare as preparing

app = typer.Typer(help="Get the datasets.", no_args_is_help=True)


@app.command()
def prepare(
    name: Annotated[
        str, typer.Argument(help=f"One of: {', '.join(preparing.DATASETS)}.", metavar="NAME")
    ],
    manual_dir: Annotated[
        Path | None,
        typer.Option(
            help="For imagenet2012: the folder with ILSVRC2012_img_train.tar and "
            "ILSVRC2012_img_val.tar, from image-net.org.",
            metavar="DIR",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where to prepare it; by default $BOPKIT_DATA_DIR or TFDS's own folder.",
            metavar="DIR",
        ),
    ] = None,
    skip_damaged: Annotated[
        bool,
        typer.Option(
            "--skip-damaged",
            help="For imagenet2012: leave out images that cannot be decoded; they are counted and "
            "named. Without it the first one ends the preparation.",
        ),
    ] = False,
) -> None:
    """Check, prepare and describe a dataset.

    The same command again says what is there, or starts over what was interrupted.
    """
    # A scheduler's polite stop, too, removes what is half done: for ImageNet that is 150 GB.
    signal.signal(signal.SIGTERM, _stop)
    try:
        summary = preparing.prepare(
            name, manual_dir=manual_dir, data_dir=data_dir, skip_damaged=skip_damaged
        )
        print(summary)
    except (KeyboardInterrupt, SystemExit) as error:
        print("bopkit: interrupted; the same command starts over.", file=sys.stderr)
        raise typer.Exit(130 if isinstance(error, KeyboardInterrupt) else error.code) from error


def _stop(signum, frame):
    raise SystemExit(128 + signum)
