"""Define what the commands take: each argument and option with its type and its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Option

from bopkit import experiments
from bopkit.data import DATASETS


def _path(text):
    if not str(text):  # a shell's variable that is not set; Path("") is the current folder
        raise BadParameter("it is empty; name a file or a folder.")
    return Path(text)


def _option(kind, metavar, text, *names, **limits):
    """Annotate an option's Python type with how the help shows its value and itself."""
    if kind in (Path, Path | None):
        limits["parser"] = _path
    return Annotated[kind, Option(*names, help=text, metavar=metavar, **limits)]


_NETWORKS, _DATASETS = ", ".join(experiments.NETWORKS), ", ".join(DATASETS)

# What to train
Network = Annotated[
    str,
    Argument(
        help=f"Network: {_NETWORKS}; or NETWORK/SET, as `bopkit experiments` lists them.",
        metavar="NETWORK",
    ),
]
HparamsSet = _option(
    str | None,
    "NAME",
    "Set of hyperparameters; `bopkit experiments` lists NETWORK/SET. Default: the set after the "
    "slash, or `bop` if NETWORK has no slash.",
)
Hparams = _option(
    str,
    "K=V,K=V",
    f"Override hyperparameters: {', '.join(h.name for h in experiments.hyperparameters())}.",
)
Seed = _option(
    int, "N", "Seed of the initial weights and of the order of the data, from 0 to 2147483647."
)
RunDir = _option(Path | None, "DIR", "Folder of the run; default: runs/NETWORK_SET_DATASET_seedN.")
TensorBoard = _option(bool, None, "Write TensorBoard logs.")
JitCompile = _option(
    bool | None,
    None,
    "Compile the whole training step with XLA, or not; default: only on a single GPU.",
)
Minutes = _option(
    float,
    "N",
    "Minutes between two checkpoints within an epoch; every epoch ends with a checkpoint too.",
)

# On which images
Dataset = _option(str, "NAME", f"Dataset: {_DATASETS}.")
Preprocess = _option(
    str | None,
    "NAME",
    "Preprocessing: `default` (scaling) or `resize_and_flip` (with random crops and flips). "
    "Default: the paper's on the paper's data set (`resize_and_flip` on cifar10), and "
    "`default` on others.",
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
    int | None,
    "N",
    "Number of parallel runs; default: one per core, or one per `--gpus-per-run` GPUs.",
    min=1,
)
GpusPerRun = _option(int, "N", "Number of this machine's GPUs for each run.", min=1)
Scheduler = _option(
    str | None,
    "ADDRESS",
    "Dask scheduler whose workers train the runs, such as tcp://127.0.0.1:8786; default: this "
    "machine trains them.",
)
Retries = _option(int, "N", "Number of retries of a failed run.", min=0)
SweepDir = _option(Path, "DIR", "Folder that holds one folder per run.")

# What a run left
Records = Annotated[
    Path, Argument(help="Folder that holds the records.", metavar="FOLDER", parser=_path)
]
Markdown = _option(bool, None, "Print the table as Markdown.", "--markdown")
Run = Annotated[Path, Argument(help="Folder of a completed run.", metavar="RUN", parser=_path)]
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
Recalibrate = _option(
    int,
    "N",
    "Number of training batches to recalibrate batch normalization over, whose averages lag behind "
    "weights that flip; 50 are enough. 0 exports the averages that training left.",
    min=0,
)
MinAgreement = _option(
    float,
    "SHARE",
    "For tflite: smallest share of images that must get the same class. In the format packed, all "
    "images must.",
    min=0,
    max=1,
)

# Getting data
Prepared = Annotated[str, Argument(help=f"Dataset: {_DATASETS}.", metavar="NAME")]
PreparedDir = _option(
    Path | None,
    "DIR",
    "Folder to find or prepare the dataset in; default: $BOPKIT_DATA_DIR, then the usual places.",
)
ManualDir = _option(
    Path | None,
    "DIR",
    "For imagenet2012: folder that holds ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from "
    "image-net.org, or the folders train and val of torchvision or Kaggle. The command packs the "
    "images into TFRecords. Without this option, it describes the images that it finds.",
)
SkipDamaged = _option(
    bool,
    None,
    "For imagenet2012: leave out the images that cannot be decoded, and count and name them. "
    "Without this option, the first such image is an error.",
    "--skip-damaged",
)
