"""Wrong use of the Python API: an exception of one sentence that names the argument."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import bopkit
from bopkit import data, experiments, models, records, rules
from bopkit._tensorflow import tf
from bopkit.book import figures
from bopkit.training import sweep

WEIGHTS = np.ones(3)


def step(weights=WEIGHTS, momentum=WEIGHTS, gradient=WEIGHTS, threshold=0.0, gamma=0.1):
    return rules.bop_step(weights, momentum, gradient, threshold=threshold, gamma=gamma)


def train(experiment="binarynet/bop", output_dir="run", **options):
    hparams = {"epochs": 1, "filters": 8, "dense_units": 32, "batch_size": 20}
    return bopkit.train(experiment, output_dir=output_dir, **{"hparams": hparams, **options})


def model(quantizer_precision=1, **initializer):
    import larq as lq

    quantizer = lq.quantizers.NoOp(precision=quantizer_precision)
    layer = lq.layers.QuantDense(2, kernel_quantizer=quantizer, use_bias=False, **initializer)
    network = tf.keras.Sequential([tf.keras.layers.Input((4,)), layer])
    network.compile(bopkit.Bop("adam"), "mse")
    return network


def fit(network):
    # What `fit` does in a step; Keras puts its own lines above the sentence.
    network.optimizer.apply_gradients([(tf.zeros(v.shape), v) for v in network.trainable_variables])


def own(network):
    return dataclasses.replace(experiments.get("birealnet/bop"), name="mine/bop", network=network)


def run_sweep(**options):
    runs = {"run": (experiments.get("binarynet/bop"), 0)}
    return sweep.sweep(runs, output_dir="runs", **options)


def digits(**options):
    return data.load("digits", **options)


# What is called wrongly, by a name; and what the sentence must say.
CASES = {
    "Bop: threshold below 0": (lambda: bopkit.Bop("adam", -1e-8), "threshold must be a finite"),
    "Bop: threshold NaN": (lambda: bopkit.Bop("adam", math.nan), "threshold must be a finite"),
    "Bop: threshold infinite": (lambda: bopkit.Bop("adam", math.inf), "threshold must be a finite"),
    "Bop: threshold text": (lambda: bopkit.Bop("adam", "1e-8"), "threshold must be a finite"),
    "Bop: threshold a list": (lambda: bopkit.Bop("adam", [1e-8]), "threshold must be a finite"),
    "Bop: threshold None": (lambda: bopkit.Bop("adam", None), "threshold must be a finite"),
    "Bop: threshold above float32": (
        lambda: bopkit.Bop("adam", 1e39),
        "threshold must be a finite",
    ),
    "Bop: gamma 0": (lambda: bopkit.Bop("adam", gamma=0), "gamma, the adaptivity rate"),
    "Bop: gamma above 1": (lambda: bopkit.Bop("adam", gamma=1.5), "gamma, the adaptivity rate"),
    "Bop: gamma complex": (lambda: bopkit.Bop("adam", gamma=1j), "gamma, the adaptivity rate"),
    "Bop: gamma true": (lambda: bopkit.Bop("adam", gamma=True), "gamma, the adaptivity rate"),
    "Bop: gamma 0 in float32": (
        lambda: bopkit.Bop("adam", gamma=1e-50),
        "float32 rounds numbers below",
    ),
    "Bop: a schedule that starts at 2": (
        lambda: bopkit.Bop(
            "adam", gamma=tf.keras.optimizers.schedules.PolynomialDecay(2.0, 10, 1.0)
        ),
        "gamma at step 0",
    ),
    "Bop: no such optimizer": (lambda: bopkit.Bop("adma"), "there is no optimizer 'adma'"),
    "Bop: an optimizer's class": (
        lambda: bopkit.Bop(tf.keras.optimizers.Adam),
        "fp_optimizer must be a tf.keras.optimizers.Optimizer",
    ),
    "Bop: a number for an optimizer": (lambda: bopkit.Bop(0.01), "fp_optimizer must be a"),
    "Bop: weights that are not signs": (lambda: fit(model()), "values other than -1 and +1"),
    "rule: other shapes": (lambda: step(gradient=np.ones(2)), "must have one shape"),
    "rule: weights of 0": (lambda: step(weights=np.zeros(3)), "weights must all be -1 or +1"),
    "rule: weights NaN": (lambda: step(weights=np.full(3, np.nan)), "weights must all be -1 or +1"),
    "rule: gradient NaN": (lambda: step(gradient=np.full(3, np.nan)), "gradient holds NaN"),
    "rule: gradient infinite": (lambda: step(gradient=np.full(3, np.inf)), "gradient holds NaN"),
    "rule: momentum NaN": (lambda: step(momentum=np.full(3, np.nan)), "momentum holds NaN"),
    "rule: gamma 0": (lambda: step(gamma=0), "gamma, the adaptivity rate"),
    "rule: threshold an array": (lambda: step(threshold=WEIGHTS), "threshold must be a finite"),
    "train: no such experiment": (lambda: train("binarynet/bopp"), "did you mean bop?"),
    "train: the experiment's own data set, which is not there": (
        lambda: train(
            experiments.on_dataset(experiments.get("binarynet/bop"), "image_folder", {}),
            data_dir="nowhere",
        ),
        "nowhere",
    ),
    "train: a number for an experiment": (lambda: train(5), "experiment must be a name"),
    "train: no such network": (
        # before the data is looked for, which is not there either
        lambda: train(own("birealnets"), hparams={}, dataset="cifar10", data_dir="nowhere"),
        "did you mean birealnet?",
    ),
    "model: no such network": (
        lambda: models.check_input("resnet", (32, 32, 3), 10),
        "unknown network 'resnet'",
    ),
    "train: hparams as text": (lambda: train(hparams="epochs=3"), "hparams must be a dict"),
    "train: no such hparam": (lambda: train(hparams={"epoch": 3}), "did you mean epochs?"),
    "train: an hparam that is a list": (lambda: train(hparams={"gamma": [1]}), "gamma must be a"),
    "train: two values": (lambda: train(hparams={"gamma": WEIGHTS}), "gamma must be a number"),
    "train: no output_dir": (lambda: train(output_dir=None), "output_dir must name a folder"),
    "train: an empty output_dir": (lambda: train(output_dir=""), "output_dir must name a folder"),
    "train: seed of a half": (lambda: train(seed=0.5), "seed must be a whole number"),
    "train: no such dataset": (lambda: train(dataset="digit"), "did you mean digits?"),
    "train: checkpoints never": (lambda: train(checkpoint_minutes=math.nan), "checkpoint_minutes"),
    "train: a folder's number": (lambda: train(data_dir=5), "data_dir must name a folder"),
    "data: image_size 0": (lambda: digits(image_size=0), "image_size must be a whole number"),
    "data: image_size text": (lambda: digits(image_size="big"), "image_size must be a whole"),
    "data: 5 channels": (lambda: digits(channels=5), "channels=5 cannot be made from"),
    "data: a third of an image": (lambda: digits(train_examples=1 / 3), "train_examples must be"),
    "data: a holdout of a half": (lambda: digits(holdout=0.5), "holdout must be at least 0"),
    "data: a batch of 0": (lambda: digits().steps_per_epoch(0), "batch_size must be between 1"),
    "data: a batch of text": (lambda: digits().validation_batches("9"), "batch_size must be"),
    "data: a batch larger than the data": (
        lambda: digits(train_examples=10).train_batches(11, seed=0, epochs=1),
        "batch_size must be between 1 and the 10",
    ),
    "data: worker 2 of 2": (
        lambda: digits().train_batches(10, seed=0, epochs=1, shard=(2, 2)),
        "shard must be (index, count)",
    ),
    "model: images too small": (lambda: models.binarynet((8, 8, 1), 10), "at least 10 by 10"),
    "model: images without channels": (lambda: models.binarynet((32, 32), 10), "(height, width"),
    "model: images of half pixels": (lambda: models.binarynet((32.5, 32, 3), 10), "(height, wid"),
    "model: one class": (lambda: models.birealnet((64, 64, 3), 1), "num_classes must be a whole"),
    "model: no filters": (lambda: models.binarynet((32, 32, 3), 10, filters=0), "filters must be"),
    "model: no such method": (
        lambda: models.xnornet((224, 224, 3), 10, method="bopp"),
        "there are: bop, latent",
    ),
    "sweep: no runs": (lambda: sweep.sweep({}, output_dir="runs"), "runs holds no run"),
    "sweep: an argument that it gives itself": (
        lambda: run_sweep(progress=False),
        "unknown option of a sweep 'progress'",
    ),
    "sweep: no such argument": (lambda: run_sweep(holdouts=9), "did you mean holdout?"),
    "sweep: no jobs": (lambda: run_sweep(jobs=0), "jobs must be a whole number of at"),
    "sweep: fewer retries than none": (lambda: run_sweep(retries=-1), "retries must be a whole"),
    "experiments: a set without a network": (lambda: experiments.get("bop"), "unknown network"),
    "records: a folder without a record": (lambda: records.read("."), "cannot read run.json"),
    "figures: nothing to draw": (lambda: figures.training_curves([]), "no run has finished"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_that_says_what_is_wrong(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, message = CASES[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert message in str(caught.value)
    assert len(str(caught.value).strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
