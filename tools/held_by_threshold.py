"""Count the flips that the threshold stops, epoch by epoch, on CIFAR-10 at the paper's settings.

    python tools/held_by_threshold.py SET DATA_DIR OUTPUT.json [--epochs 60] [--filters 32]

SET is `bop` (section 5.1: γ = 1e-3, τ = 1e-6) or `bop_sec52` (section 5.2: γ from 1e-4, τ = 1e-8).
A weight whose signal w·m lies between 0 and τ would flip at τ = 0. The threshold has *stopped* such
a signal if it falls back to 0 or below before it exceeds τ. At τ = 0 that would be two flips, there
and back. The file holds, for each epoch, the flips that were made and the signals that were
stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bopkit import data, experiments, models, records
from bopkit._support.files import whole_file
from bopkit._tensorflow import load_tensorflow, tf
from bopkit.training import build


def run(experiment, found, output, seed=0):
    """Train, and write the counts after every epoch."""
    tf.keras.utils.set_random_seed(seed)
    model = build.build_model(experiment, found)
    optimizer = build.build_optimizer(experiment, found.train_examples)
    optimizer.build(model.trainable_variables)
    binary = [v for v in model.trainable_variables if getattr(v, "precision", None) == 1]
    made, stopped = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
    correct = tf.keras.metrics.CategoricalAccuracy()

    def state():
        averages = [kept["m"] for kept in optimizer.read_averages().values()]
        weights = [tf.identity(tf.convert_to_tensor(v.latent_variable)) for v in binary]
        return list(zip(weights, map(tf.identity, averages), strict=True))

    @tf.function
    def step(images, labels):
        before = state()
        with tf.GradientTape() as tape:
            probabilities = model(images, training=True)
            loss = tf.reduce_mean(tf.keras.losses.categorical_crossentropy(labels, probabilities))
        gradients = tape.gradient(loss, model.trainable_variables)
        with tf.control_dependencies([t for pair in before for t in pair]):
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for (w, m), (new_w, new_m) in zip(before, state(), strict=True):
            held, back = w * m > 0, w * new_m <= 0
            made.assign_add(tf.math.count_nonzero(tf.not_equal(w, new_w)))
            stopped.assign_add(tf.math.count_nonzero(tf.logical_and(held, back)))

    steps, rows = found.steps_per_epoch(experiment.batch_size), []
    batches = iter(found.train_batches(experiment.batch_size, seed=seed, epochs=experiment.epochs))
    for epoch in range(1, experiment.epochs + 1):
        for counter in (made, stopped):
            counter.assign(0)
        for _ in range(steps):
            step(*next(batches))
        correct.reset_state()
        for images, labels in found.validation_batches(500):
            correct.update_state(labels, model(images, training=False))
        rows.append(
            {
                "epoch": epoch,
                "gamma": float(optimizer.gamma),
                "threshold": float(optimizer.threshold),
                "flips": int(made),
                "stopped": int(stopped),
                "val_accuracy": float(correct.result()),
            }
        )
        print(rows[-1], flush=True)
        record = {
            "experiment": experiment.name,
            "config": vars(experiment) | {"seed": seed, "data_fingerprint": found.fingerprint},
            "binary_weights": models.count_weights(model)[1],
            "versions": records.versions(),
            "hardware": records.hardware(),
            "git_commit": records.git_commit(),
            "epochs": rows,
        }
        with whole_file(output) as file:
            file.write((json.dumps(record, indent=1) + "\n").encode())


def main():
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("set", choices=["bop", "bop_sec52"])
    parser.add_argument("data_dir", type=Path, help="folder that holds CIFAR-10")
    parser.add_argument("output", type=Path, help="the file to write")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--filters", type=int, default=32, help="BinaryNet's width (paper: 128)")
    parser.add_argument("--precision", default="mixed_bfloat16", help="or float32")
    arguments = parser.parse_args()
    experiment = experiments.get(f"binarynet/{arguments.set}")
    sizes = {
        "epochs": arguments.epochs,
        "filters": arguments.filters,
        "dense_units": 8 * arguments.filters,
        "precision": arguments.precision,
    }
    if experiment.gamma_decay_epochs:  # the staircase keeps its shape
        sizes["gamma_decay_epochs"] = max(1, arguments.epochs // 5)
    load_tensorflow()
    found = data.load("cifar10", data_dir=arguments.data_dir, preprocess="resize_and_flip")
    run(experiments.override(experiment, sizes), found, arguments.output)


if __name__ == "__main__":
    main()
