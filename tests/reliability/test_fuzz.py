"""Fuzzing: the rule's invariants, and readers that either read or say what is wrong.

A few seconds by default; longer, as it was done once for the book's page on reliability:
`HYPOTHESIS_PROFILE=long pytest tests/reliability/test_fuzz.py`.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bopkit import cli, experiments, records, rules
from bopkit.book import figures, parameters, presets
from bopkit.errors import BopkitError, ConfigError, RecordError
from bopkit.records import tables
from bopkit.rules import ranges
from bopkit.training import variations

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"


def fuzz(test, examples=100):
    """So many examples; a hundred times as many in the long run."""
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    count = examples * (100 if LONG else 1)
    profile = settings(max_examples=count, deadline=None, suppress_health_check=slow)
    return profile(test)


GAMMAS = st.floats(ranges.SMALLEST, 1) | st.sampled_from([1.0, 0.5, 1e-4])
THRESHOLDS = st.just(0.0) | st.floats(ranges.SMALLEST, 1e6)
GRADIENTS = st.lists(
    st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=12
)
SIGNS = st.lists(st.sampled_from([-1.0, 1.0]), min_size=4, max_size=4)


@fuzz
@given(start=SIGNS, gradients=GRADIENTS, gamma=GAMMAS, threshold=THRESHOLDS)
def test_the_rule_over_any_gradients(start, gradients, gamma, threshold):
    weights, momentum = np.array(start), np.zeros(4)
    low, high = np.zeros(4), np.zeros(4)
    for gradient in map(np.array, gradients):
        before = weights.copy()
        low, high = np.minimum(low, gradient), np.maximum(high, gradient)
        weights, momentum, flips = rules.bop_step(
            weights, momentum, gradient, threshold=threshold, gamma=gamma
        )
        assert set(weights) <= {-1.0, 1.0}
        assert np.array_equal(flips, weights != before)  # flips counted are flips made
        # m stays in the hull of zero and the gradients seen, but for the last digit
        slack = 1e-12 * np.maximum(np.abs(low), np.abs(high))
        assert np.all(momentum >= low - slack) and np.all(momentum <= high + slack)
        assert np.all(np.abs(momentum[flips]) > threshold)
        assert np.all(before[flips] * momentum[flips] > 0)
        if gamma == 1:  # nothing is remembered
            assert np.allclose(momentum, gradient, rtol=1e-12, atol=1e-9)
        if threshold == 0:  # whatever agrees with m flips: what does not, stays
            assert np.array_equal(flips, before * momentum > 0)


@fuzz
@given(start=SIGNS, gradients=GRADIENTS, gamma=GAMMAS, threshold=THRESHOLDS)
def test_mirrored_gradients_and_weights_give_the_mirrored_run(start, gradients, gamma, threshold):
    one, other = (np.array(start), np.zeros(4)), (-np.array(start), np.zeros(4))
    for gradient in map(np.array, gradients):
        *one, _ = rules.bop_step(*one, gradient, threshold=threshold, gamma=gamma)
        *other, _ = rules.bop_step(*other, -gradient, threshold=threshold, gamma=gamma)
    assert np.array_equal(one[0], -other[0]) and np.array_equal(one[1], -other[1])


@given(
    shape=st.sampled_from([(1,), (5,), (3, 2), (2, 2, 3), (8, 1)]),
    gamma=st.sampled_from([1.0, 0.5, 1e-3]),
    threshold=st.sampled_from([0.0, 1e-8, 0.1]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60 if LONG else 6, deadline=None)
def test_the_optimizer_is_the_rule(shape, gamma, threshold, seed):
    from bopkit import Bop
    from bopkit._tensorflow import tf

    random = np.random.default_rng(seed)
    weights, momentum = random.choice([-1.0, 1.0], shape).astype("f"), np.zeros(shape, "f")
    variable = tf.Variable(weights)
    variable.precision = 1
    optimizer, flipped = Bop("adam", threshold, gamma, jit_compile=False), 0
    for _ in range(5):
        gradient = random.normal(0, 0.2, shape).astype("f")
        weights, momentum, flips = rules.bop_step(
            weights, momentum, gradient, threshold=np.float32(threshold), gamma=np.float32(gamma)
        )
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        flipped += int(flips.sum())
        assert np.array_equal(variable.numpy(), weights)
    assert sum(optimizer.flip_counts().values()) == flipped


RATES = st.floats(ranges.SMALLEST, 1) | st.sampled_from([1.0, 1e-3, 1e-8, 1e-30])
SIZES = st.tuples(st.integers(1, 60), st.integers(1, 64), st.integers(64, 5000))


@fuzz
@given(
    name=st.sampled_from(["gamma", "threshold", "sigma"]),
    form=st.sampled_from(["constant", "linear", "staircase"]),
    start=RATES,
    other=RATES,  # the end, or what is multiplied by
    sizes=SIZES,
    every=st.integers(1, 60),
    moments=st.lists(st.floats(0, 1), max_size=8),
)
def test_a_schedule_goes_from_one_end_to_the_other(name, form, start, other, sizes, every, moments):
    from bopkit.training import build

    epochs, batch_size, images = sizes
    changes = {f"{rate}_end": "none" for rate in ("gamma", "threshold", "sigma")}
    changes |= {name: start, "epochs": epochs, "batch_size": batch_size}
    if form == "linear":
        changes[f"{name}_end"] = other
    elif form == "staircase":
        name = "gamma"
        changes |= {name: start, "gamma_decay_rate": other, "gamma_decay_epochs": every}
    base = experiments.get("binarynet/bop2ndorder")
    experiment, error = attempt(lambda: experiments.override(base, changes), ConfigError)
    trained = epochs * (images // batch_size)  # the last step's number is one less
    if error:
        low = start * other ** ((epochs - 1) // every) if form == "staircase" else start / other
        assert "float32" in error and low < (ranges.SMALLEST if form == "staircase" else 1e-7)
        return
    total = epochs * images // batch_size
    steps = np.array(sorted({0, trained - 1, *(int(m * (trained - 1)) for m in moments)}))
    optimizer, found = build.build_optimizer(experiment, images), []
    for number in (*steps, total):
        optimizer.iterations.assign(number)
        found.append(float(getattr(optimizer, name)))
    if form == "staircase":
        stairs = steps // (every * images // batch_size)
        assert np.allclose(found[:-1], start * other**stairs, rtol=1e-4, atol=ranges.SMALLEST)
        assert found[0] == np.float32(start)
    elif form == "linear":
        last_digit = 4e-7 * max(start, other)
        expected = start + (other - start) * steps / total
        assert np.allclose(found[:-1], expected, rtol=0, atol=last_digit)
        assert found[-1] == np.float32(other)
        assert min(start, other) - last_digit <= min(found)
        assert max(found) <= max(start, other) + last_digit
        assert np.all(np.diff(found) * np.sign(other - start) >= -last_digit)
    else:
        assert set(found) == {float(np.float32(start))}
    assert name == "threshold" or min(found[:-1]) > 0


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
HONEST = {
    "experiment": "binarynet/bop", "config": vars(experiments.get("binarynet/bop")) | {
        "seed": 0, "holdout": 0, "epochs": 1, "train_examples": 9, "validation_examples": 9},
    "dataset": "digits", "seed": 0, "command": "", "git_commit": None, "versions": {"numpy": "1"},
    "hardware": {"cores": 2, "bfloat16": []}, "status": "completed", "final": {"val_accuracy": 0.5},
    "epochs": [{"epoch": 1, "seconds": 1.0, "loss": 0.5, "val_accuracy": 0.5, "flip_ratio": 0.1}],
    "warnings": [{"epoch": 1, "message": "x"}],
}  # fmt: skip


@st.composite
def mutated_records(draw):
    """An honest record with up to three places, at any depth, gone or changed."""
    record = json.loads(json.dumps(HONEST))
    for _ in range(draw(st.integers(0, 3))):
        place = record
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.booleans()):
                place[key] = draw(JSON)
            elif isinstance(place, dict):
                place[draw(st.text(max_size=8))] = draw(JSON)
            else:
                del place[key]
            break
    return record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("record")


def use(record):
    """All that is done with a record that was read."""
    group = [record, record]
    assert tables.markdown_table(group).count("\n") == 2
    assert tables.results_table(group, {"bop": (91.3,)}, "x").count("\n") >= 2
    tables.is_paper_run(record)
    records.final(record)
    attempt(lambda: figures.training_curves(group), ValueError)
    attempt(lambda: figures.sweep_curves(group, vary="gamma", fixed="threshold"), ValueError)


def attempt(call, expected):
    """What a call returns, or its one-line error; any other error is a finding."""
    try:
        return call(), None
    except expected as error:
        message = str(error)
    assert message and "\n" not in message
    return None, message


@fuzz
@given(record=mutated_records())
def test_a_record_is_used_or_refused(record, folder):
    (folder / "run.json").write_text(json.dumps(record))
    read, error = attempt(lambda: records.read(folder), RecordError)
    if error:
        return
    assert read == record
    use(read)
    records.write(folder, read)
    assert records.read(folder) == read


@fuzz
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf8")))
def test_bytes_are_not_a_record(content, folder):
    (folder / "run.json").write_bytes(content)
    with pytest.raises(RecordError):
        records.read(folder)


@fuzz
@given(row=st.dictionaries(st.text(max_size=10), st.floats() | st.integers(0, 9), max_size=5))
def test_what_is_written_is_read_back(row, folder):
    row = {"epoch": 1, "seconds": 0.0, **{f"x{key}": value for key, value in row.items()}}
    record = HONEST | {"epochs": [row], "status": "failed", "final": None}
    small = all(abs(v) <= ranges.LARGEST for v in row.values() if math.isfinite(v))
    with contextlib.nullcontext() if encodable(row) and small else pytest.raises(RecordError):
        records.write(folder, record)
        finite = {k: v if math.isfinite(v) else None for k, v in row.items()}
        assert records.read(folder)["epochs"] == [finite]


def encodable(value):
    try:
        return bool(json.dumps(value, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


FIELDS = st.sampled_from([*vars(experiments.get("binarynet/bop"))]) | st.text(max_size=12)
NUMBERS = (
    st.floats().map(repr) | st.integers().map(str) | st.sampled_from(["none", "1e-8", "1e400"])
)
VALUES = JSON | NUMBERS


@fuzz
@given(
    values=st.dictionaries(FIELDS, VALUES, max_size=4),
    base=st.sampled_from([*experiments.EXPERIMENTS]),
)
def test_hyperparameters_are_used_or_refused(values, base):
    experiment = experiments.get(base)
    changed, error = attempt(lambda: experiments.override(experiment, values), ConfigError)
    if error:
        return
    same = {key: getattr(changed, key) for key in values}
    assert experiments.override(experiment, same) == changed
    as_text = {key: "none" if value is None else value for key, value in same.items()}
    assert experiments.override(experiment, as_text) == changed
    assert experiments.override(changed, {}) == changed
    assert json.loads(json.dumps(vars(changed), allow_nan=False)) == vars(changed)
    for rate in ("gamma", "threshold", "learning_rate"):
        assert tables.schedule(vars(changed), rate)
    variations.vary(changed, {"epochs": [1]})


@fuzz
@given(text=st.text(max_size=60) | st.lists(st.tuples(FIELDS, NUMBERS), max_size=3).map(
    lambda pairs: ",".join(f"{k}={v}" for k, v in pairs)))  # fmt: skip
def test_hparams_text_is_parsed_or_refused(text):
    parsed, error = attempt(lambda: experiments.parse_hparams(text), ConfigError)
    if not error:
        again = ",".join(f"{key}={value}" for key, value in parsed.items())
        assert experiments.parse_hparams(again) == parsed
        base = experiments.get("binarynet/bop")
        attempt(lambda: experiments.override(base, parsed), ConfigError)
    with contextlib.suppress(ConfigError):
        variations.parse_lines([text])


PARAMETERS = st.sampled_from([*parameters.DEFAULTS, "gamma", "epochs"]) | FIELDS


@fuzz
@given(given_=st.dictionaries(PARAMETERS, VALUES, max_size=4))
def test_a_notebooks_parameters_are_used_or_refused(given_):
    given_ = {"output_dir": "runs"} | given_

    def call():
        read = parameters.settings(given_, "imagenet", networks=("xnornet", "birealnet"))
        assert str(read) and read.experiment(f"{read.network}/bop")
        return read

    read, error = attempt(call, BopkitError)
    if error:
        return
    assert read.preset in presets.PRESETS and type(read.allow_cpu) is bool


WORDS = st.sampled_from(
    ["train", "sweep", "data", "results", "experiments", "binarynet", "--hparams", "--seed", "-1",
     "--hparams-set", "--vary", "gamma=2", "epochs=0", "--dataset", "--help", "--jobs", "--holdout"]
) | st.text(max_size=12)  # fmt: skip


@fuzz
@given(words=st.lists(WORDS, max_size=6))
def test_any_words_give_an_exit_code_and_no_traceback(words, folder):
    # `results` reads the working folder. --seed is always wrong, so that nothing is trained, swept
    # or prepared.
    argv, here, out, err = sys.argv, os.getcwd(), io.StringIO(), io.StringIO()
    wrong = [*words, "--seed=-1"] if words[:1] == ["train"] else words
    if words[:1] in (["sweep"], ["data"]):
        wrong = [*words, "--no-such-option"]
    sys.argv = ["bopkit", *wrong]
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv = argv
        os.chdir(here)
    assert code in (None, 0, 2)
    assert err.getvalue().count("\n") <= 1 or words in ([], ["data"])  # which ask for the help


@fuzz
@given(text=st.text(max_size=40))
def test_escaped_text_is_one_cell_of_one_line(text):
    escaped = tables.escape(text)
    assert escaped.isprintable() and not set("<>") & set(escaped)
    assert escaped.replace("\\\\", "").count("|") == escaped.replace("\\\\", "").count("\\|")
