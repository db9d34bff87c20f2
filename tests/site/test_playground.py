"""The playground: its rules and gradients against NumPy's, and its page in a real browser."""

from __future__ import annotations

import base64
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from bopkit import rules
from bopkit.book import playground, toy

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 8  # 112 steps


class Numpy:
    """A rule of `bopkit.rules` as `toy.train` takes it, which keeps what it averages."""

    def __init__(self, update, **averages):
        self.update, self.start, self.averages, self.kept = update, averages, {}, []

    def step(self, layer, weights, gradient, epoch):
        if layer not in self.averages:
            self.averages[layer] = {
                name: np.zeros(weights.shape) if start is None else start[layer]
                for name, start in self.start.items()
            }
        new, self.averages[layer] = self.update(weights, gradient, **self.averages[layer])
        if layer == 1:  # the last of a step
            both = self.averages[0], self.averages[1]
            self.kept.append({n: np.concatenate([a[n].ravel() for a in both]) for n in both[0]})
        return new


def bop(weights, gradient, momentum):
    update = rules.bop_step(weights, momentum, gradient, gamma=0.071, threshold=0.0)
    return update.weights, {"momentum": update.momentum}


def bop_with_threshold(weights, gradient, momentum):
    update = rules.bop_step(weights, momentum, gradient, gamma=0.3, threshold=1e-3)
    return update.weights, {"momentum": update.momentum}


def bop2ndorder(weights, gradient, momentum, square):
    update = rules.bop2ndorder_step(
        weights, momentum, square, gradient, gamma=0.05, threshold=0.1, sigma=0.02
    )
    return update.weights, {"momentum": update.momentum, "square": update.square}


def sgd(weights, gradient, latent):
    # Weight decay shrinks the latent weight before the step: (1 - λ) w̃ - η g
    latent = rules.latent_sgd_step((1 - 0.02) * latent, gradient, learning_rate=2.0)
    return rules.sign(latent), {"latent": latent}


def momentum(weights, gradient, latent, velocity):
    latent, velocity = rules.latent_momentum_step(
        latent, velocity, gradient, learning_rate=2.0, momentum=0.9
    )
    return rules.sign(latent), {"latent": latent, "velocity": velocity}


class Adam:
    """Its moments are counted per layer, from `None`."""

    moments = (None, None)

    def __call__(self, weights, gradient, latent, mean, square):
        layer = 0 if weights.shape[1] == 64 else 1
        moments = None if self.moments[layer] is None else self.moments[layer]
        latent, moments = rules.latent_adam_step(latent, moments, gradient, learning_rate=0.02)
        self.moments = (moments, self.moments[1]) if layer == 0 else (self.moments[0], moments)
        return rules.sign(latent), {
            "latent": latent, "mean": moments.mean, "square": moments.square,
        }  # fmt: skip


# The rule of the page and its rates; the same in NumPy; what it averages besides latent weights.
RULES = {
    "Bop without a threshold": ({"rule": "bop", "gamma": 0.071, "threshold": 0}, bop, ["momentum"]),
    "Bop": ({"rule": "bop", "gamma": 0.3, "threshold": 1e-3}, bop_with_threshold, ["momentum"]),
    "Bop2ndOrder": (
        {"rule": "bop2ndorder", "gamma": 0.05, "threshold": 0.1, "sigma": 0.02},
        bop2ndorder,
        ["momentum", "square"],
    ),
    "SGD with decay": ({"rule": "sgd", "eta": 2.0, "leak": 0.02}, sgd, ["latent"]),
    "momentum": ({"rule": "momentum", "eta": 2.0, "beta": 0.9}, momentum, ["latent", "velocity"]),
    "Adam": ({"rule": "adam", "eta": 0.02, "beta": 0.9}, Adam(), ["latent", "mean", "square"]),
}

# All numbers of a run as one text of base64: as JSON they would take ten seconds.
REPLAY = """([settings, averages, start, epochs]) => {
    const {$network, $run} = bopEngine;
    const run = new $run.Run($network.decode(bopDigits), {...settings, seed: 0}, {
        weights: Float64Array.from(start.weights), latent: Float64Array.from(start.latent)});
    const {rule, ...rates} = settings;
    const rows = [];
    for (const batch of epochs.flat()) {
        const {test, train} = run.step(Int32Array.from(batch), rates);
        rows.push(test, train);
        for (const name of ['weights', ...averages])
            for (const value of run.state[name]) rows.push(value);
    }
    const bytes = new Uint8Array(Float64Array.from(rows).buffer);
    const letters = [];
    for (let i = 0; i < bytes.length; i += 0x3000)
        letters.push(btoa(String.fromCharCode(...bytes.subarray(i, i + 0x3000))));
    return letters.join('');
}"""


@pytest.fixture(scope="module")
def engine(browser):
    """A blank page with the playground's own script and digits."""
    path = ROOT / "book" / "_ext" / "playground_page.py"
    spec = importlib.util.spec_from_file_location("playground_page", path)
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    page = browser.new_page()
    page.evaluate(playground.digits_script())
    page.evaluate(extension.bundle())
    yield page
    page.close()


def batches(seed):
    """Those of `toy.train`, as places among all images: the held-out ones come first."""
    random = np.random.RandomState(seed + 1)
    orders = [360 + random.permutation(1437)[:1400] for _ in range(EPOCHS)]
    return [order.reshape(14, 100).tolist() for order in orders]


@pytest.mark.parametrize("name", RULES)
def test_every_step_is_numpys_flip_for_flip(engine, name):
    settings, update, averages = RULES[name]
    seed = 3
    start = toy.start_weights(seed=seed)
    latent = [np.random.RandomState(k).uniform(0, 1, w.shape) * w for k, w in enumerate(start)]
    optimizer = Numpy(update, **{a: latent if a == "latent" else None for a in averages})
    weights = []
    images, labels, held_out, held_out_labels = toy.digits()
    run = toy.train(
        optimizer,
        epochs=EPOCHS,
        seed=seed,
        watch=lambda step, now: weights.append(np.concatenate([w.ravel() for w in now])),
        # doubles, as the page's numbers are
        data=(images.astype(float), labels, held_out.astype(float), held_out_labels),
    )

    def flat(layers):
        return np.concatenate([layer.ravel() for layer in layers]).tolist()

    begin = {"weights": flat(start), "latent": flat(latent)}
    text = engine.evaluate(REPLAY, [settings, averages, begin, batches(seed)])
    rows = np.frombuffer(base64.b64decode(text)).reshape(14 * EPOCHS, -1)
    accuracy, states = rows[:, :2], rows[:, 2:].reshape(len(rows), -1, len(begin["weights"]))
    flips = np.diff([flat(start), *weights], axis=0) != 0
    assert flips.sum() > 500  # there is something to disagree about
    assert np.count_nonzero(states[:, 0] != weights) == 0
    for place, average in enumerate(averages, 1):
        kept = np.array([step[average] for step in optimizer.kept])
        size = np.abs(kept).max(axis=1, keepdims=True)
        assert (np.abs(states[:, place] - kept) <= 1e-12 * size).all(), average
    # What is right on the training batches, and on the held-out images after each epoch.
    shown = accuracy[:, 1].reshape(EPOCHS, 14).mean(axis=1)
    np.testing.assert_allclose(shown, run.train_accuracy, atol=1e-12)
    # toy.py keeps running averages in single precision: one image may stand on the line.
    np.testing.assert_allclose(accuracy[13::14, 0], run.accuracy, atol=1.1 / 360)


LAST_EPOCHS = """hash => {
    const {$network, $run, $settings} = bopEngine;
    const run = new $run.Run($network.decode(bopDigits), $settings.read(hash)[0]);
    const records = Array.from({length: $run.STEPS}, () => run.step());
    const mean = (rows, value) => rows.reduce((sum, row) => sum + value(row), 0) / rows.length;
    return [
        mean(records.slice(-42), row => 100 * row.test),
        mean(records.slice(-14), row => 100 * row.flips / $network.SIZE)];
}"""


def claims():
    """The rows of the page's table: address, lowest and highest accuracy, flips."""
    text = (ROOT / "book/intuition/playground.md").read_text(encoding="utf8")
    row = r'^\| <a href="(#[^"]+)">.*?</a> \| [\d.]+ \| ([\d.]+)\s+to\s+([\d.]+) \| ([\d.]+) \|$'
    return [(found[0], *map(float, found[1:])) for found in re.findall(row, text, re.MULTILINE)]


@pytest.mark.parametrize(("address", "low", "high", "flips"), claims())
def test_the_first_of_the_eight_runs_is_as_the_page_says(engine, address, low, high, flips):
    accuracy, flipped = engine.evaluate(LAST_EPOCHS, address)
    assert low - 0.05 <= accuracy <= high + 0.05
    assert flips / 2 - 0.001 <= flipped <= 2 * flips + 0.001


def test_the_page_has_its_claims():
    assert len(claims()) == 6
