"""Run the study of sections 5.1 and 5.2 on CIFAR-10: trials, then every contender over the seeds.

    python tools/study_cifar10.py DATA_DIR OUTPUT_DIR [--filters 32] [--precision mixed_bfloat16]

`results/cifar10/PROTOCOL.md` says what is compared and how each claim is decided. To resume an
interrupted study, repeat the command: completed runs are kept, and the others continue. Two parts,
which `--only` runs alone, ask other questions: `width` trains at the paper's full width too, and
`precision` trains the recipe in float32, which shows what bfloat16 does to accuracy.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bopkit import experiments, records
from bopkit.errors import BopkitError
from bopkit.training import sweep, variations

EPOCHS, TRIAL_EPOCHS, HOLDOUT = 60, 5, 5000
SEEDS, TRIAL_SEED = (0, 1, 2), 100
PARTS = ("section52", "causes", "section51", "width", "precision")
FULL_WIDTH, WIDTH_EPOCHS = 128, 20
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


def latent(epochs, rate, share):
    """Latent weights with Adam, whose learning rate falls linearly to a share of itself."""
    return "binarynet/default", {"learning_rate": rate, "learning_rate_end": rate * share}


def paper(epochs, gamma, threshold):
    """Bop with section 5.2's schedule: γ falls by 10 after each fifth of the run."""
    steps = {"gamma_decay_rate": 0.1, "gamma_decay_epochs": epochs // 5}
    return "binarynet/bop_sec52", {"gamma": gamma, "threshold": threshold, **steps}


def recipe(epochs, gamma, share):
    """Bop by the book's recipe: τ = 0, and γ falls by the same factor after every epoch."""
    decay = {"gamma_decay_rate": share ** (1 / epochs), "gamma_decay_epochs": 1}
    rates = {"learning_rate": 1e-2, "learning_rate_end": 1e-5}
    return "binarynet/bop", {"gamma": gamma, "threshold": 0.0, **decay, **rates}


def second_order(epochs, gamma, noises):
    """Bop2ndOrder with τ at a number of standard deviations of the noise in its signal."""

    def noise(gamma):  # of an average of independent gradients over their own size
        return noises * (gamma / 2) ** 0.5

    rates = {"gamma": gamma, "gamma_end": gamma / 1000, "sigma": 1e-2, "sigma_end": 1e-2}
    # Without noise in τ, its end is the paper's 1e-8, far below one standard deviation.
    end = noise(gamma / 1000) or 1e-8
    thresholds = {"threshold": noise(gamma), "threshold_end": end}
    return "binarynet/bop2ndorder", {
        **rates, **thresholds, "learning_rate": 1e-2, "learning_rate_end": 1e-5
    }  # fmt: skip


def leaking(epochs, gamma, share):
    """Leaking latent weights, with the recipe's γ; the derivation says that they equal Bop's."""
    _, settings = recipe(epochs, gamma, share)
    return "binarynet/leaking", {k: v for k, v in settings.items() if k != "threshold"}


# A contender: its settings, the rates that are tried, and the second number's start and trials.
# They run in this order, so that the question of the paper is answered first.
CONTENDERS = {
    "latent": (latent, (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), 1e-2, (1.0, 0.1, 1e-3, 1e-4)),
    "recipe": (recipe, RATES, 1e-3, (0.1, 1e-2, 1e-4, 1e-5)),
    "paper": (paper, RATES, 1e-8, (0.0, 1e-9, 1e-7, 1e-6)),
    "leaking": (leaking, RATES, 1e-3, (0.1, 1e-2, 1e-4, 1e-5)),
    "second_order": (second_order, RATES, 1.0, (0.0, 0.3, 3.0, 10.0)),
}


def experiment(contender, epochs, values, size):
    """The experiment of a contender at (its rate, its second number)."""
    name, settings = CONTENDERS[contender][0](epochs, *values)
    common = {"epochs": epochs, "batch_size": 50, "preprocess": "resize_and_flip"}
    return experiments.override(experiments.get(name), settings | common | size)


def causes(chosen, size):
    """What Bop changes of itself to come nearer to latent weights, one thing at a time."""
    rate, share = chosen["latent"]
    like_latent = {"learning_rate": rate, "learning_rate_end": rate * share}
    paper = experiment("paper", EPOCHS, chosen["paper"], size)
    # From the recipe's γ, to the ten-thousandth to which the paper's schedule falls.
    return {
        "paper_adam": experiments.override(paper, like_latent),
        "recipe_far": experiment("recipe", EPOCHS, (chosen["recipe"][0], 1e-4), size),
    }


def widths(chosen, size):
    """Latent weights and the paper's schedule, at the paper's width and at the study's."""
    narrow = size["filters"]
    # Full width comes first, because one run of it takes as long as all the others together.
    wanted = [(FULL_WIDTH, SEEDS[:1]), (narrow, SEEDS)]
    return {
        f"{name}_{filters}_seed{seed}": (
            experiment(
                name,
                WIDTH_EPOCHS,
                chosen[name],
                size | {"filters": filters, "dense_units": 8 * filters},
            ),
            seed,
        )
        for filters, seeds in wanted
        for seed in seeds
        for name in ("paper", "latent")
    }


def trials(contender, size, run):
    """Find a contender's numbers: six rates, then four second numbers at the best of them."""
    _, rates, start, others = CONTENDERS[contender]

    def best(grid):
        runs = {
            f"{contender}-{rate:g}-{second:g}": (
                experiment(contender, TRIAL_EPOCHS, (rate, second), size),
                TRIAL_SEED,
            )
            for rate, second in grid
        }
        scores = [records.final(record) for record in run(runs)]
        return max(zip(scores, grid, strict=True))

    first = best([(rate, start) for rate in rates])
    return max(first, best([(first[1][0], other) for other in others]))[1]


def main():
    """Run what is missing: the trials, then the parts of the study in their order."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data_dir", type=Path, help="folder that holds CIFAR-10")
    parser.add_argument("output_dir", type=Path, help="folder for the runs")
    parser.add_argument("--filters", type=int, default=32, help="BinaryNet's width (paper: 128)")
    parser.add_argument("--precision", default="mixed_bfloat16", help="or float32")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--only", choices=PARTS, help="one part of the study, after the trials")
    arguments = parser.parse_args()
    size = {
        "filters": arguments.filters,
        "dense_units": 8 * arguments.filters,
        "precision": arguments.precision,
    }
    data = {"dataset": "cifar10", "data_dir": arguments.data_dir}

    def run(folder, **options):
        def start(runs):
            where = arguments.output_dir / folder
            return sweep.sweep(runs, output_dir=where, jobs=arguments.jobs, **data, **options)

        return start

    chosen = {name: trials(name, size, run("tuning", holdout=HOLDOUT)) for name in CONTENDERS}
    print("chosen:", chosen, flush=True)
    lines = experiments.override(
        experiments.get("binarynet/bop"),
        {"epochs": EPOCHS, "preprocess": "resize_and_flip", **size},
    )
    in_float32 = experiment("recipe", EPOCHS, chosen["recipe"], size | {"precision": "float32"})
    parts = {
        "section52": {
            f"{name}_seed{seed}": (experiment(name, EPOCHS, values, size), seed)
            for name, values in chosen.items()
            for seed in SEEDS
        },
        "causes": {
            f"{name}_seed{seed}": (one, seed)
            for name, one in causes(chosen, size).items()
            for seed in SEEDS
        },
        "section51": variations.vary(lines, variations.SECTION_51, SEEDS),
        "width": widths(chosen, size),
        "precision": {f"recipe_float32_seed{seed}": (in_float32, seed) for seed in SEEDS},
    }
    for part in [arguments.only] if arguments.only else PARTS:
        run(part)(parts[part])


if __name__ == "__main__":
    try:
        main()
    except BopkitError as error:
        sys.exit(f"error: {error}")
