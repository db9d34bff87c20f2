"""Run section 5.3 in small: three networks on a few classes of ImageNet, Bop and latent weights.

    python tools/study_imagenet.py DATA_DIR OUTPUT_DIR [--epochs 15] [--seeds 1]

DATA_DIR holds ImageNet, or some of its classes, in any form that `bopkit train` takes. Each network
gets the smallest images that it takes, or 64 pixels where it takes smaller ones. Nothing is tuned:
the rates keep the paper's shape, with γ ten times as high because the run is short. Such runs show
that both methods train these networks, and how; one seed decides nothing. To resume an interrupted
study, repeat the command.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bopkit import experiments
from bopkit.errors import BopkitError
from bopkit.training import sweep

# XNOR-Net's sixth layer needs a map of 6x6, which images below 217 pixels do not leave.
SIZES = {"binary_alexnet": 64, "birealnet": 64, "xnornet": 217}
BOP = {"gamma": 1e-3, "gamma_end": 1e-5}


def main():
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data_dir", type=Path, help="folder that holds ImageNet's images")
    parser.add_argument("output_dir", type=Path, help="folder for the runs")
    parser.add_argument("--epochs", type=int, default=15, help="length of each run")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--precision", default="mixed_bfloat16", help="or float32")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    arguments = parser.parse_args()
    runs = {}
    for seed in range(arguments.seeds):
        for network, size in SIZES.items():
            for chosen, rates in (("bop", BOP), ("default", {})):
                changes = {
                    "epochs": arguments.epochs,
                    "batch_size": 50,
                    "image_size": size,
                    "precision": arguments.precision,
                    **rates,
                }
                experiment = experiments.override(experiments.get(f"{network}/{chosen}"), changes)
                runs[f"{network}-{chosen}-seed{seed}"] = experiment, seed
    sweep.sweep(
        runs,
        output_dir=arguments.output_dir,
        jobs=arguments.jobs,
        dataset="imagenet2012",
        data_dir=arguments.data_dir,
    )


if __name__ == "__main__":
    try:
        main()
    except BopkitError as error:
        sys.exit(f"error: {error}")
