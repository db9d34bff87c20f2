"""Training that goes wrong: said in one line with the numbers, and the last good state kept."""

import math
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import tensorflow as tf
from small_runs import HPARAMS, STEPS, checkpoints, rows, run, state, stopped_at_row

import bopkit
from bopkit import optimizers, records
from bopkit.errors import TrainingError
from bopkit.optimizers.variables import is_binary_variable
from bopkit.training import diagnosis
from bopkit.training.state import State

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    return folder


def row(epoch=1, flip_ratio=0.0, most=0.0, accuracy=0.95, gamma=1e-3):
    rates = {"gamma": gamma, "learning_rate": 1e-2}
    flips = {"flip_ratio": flip_ratio, "max_flip_ratio": most}
    return {"epoch": epoch, "accuracy": accuracy, "val_accuracy": accuracy, **flips, **rates}


def say(*found, threshold=0.1, largest=2e-4, gamma=...):
    found = [row | {"threshold": threshold} for row in found]
    signals = {"first": largest / 2, "second": largest}
    optimizer = SimpleNamespace(signal_name="|m|", largest_signals=lambda: signals)
    return diagnosis.warn(found, optimizer, found[0]["gamma"] if gamma is ... else gamma)


@pytest.mark.parametrize(
    ("found", "settings", "line"),
    [
        (row(3), {}, "the threshold 0.1 is above the largest |m| (2.0e-04)"),
        (row(3), {"largest": 0.0}, "all their gradients are zero"),
        (row(3), {"threshold": 1e-6}, "have settled; if that is too early, keep gamma, now 0.001"),
        (
            row(3, gamma=None),
            {"threshold": None},
            "no latent weight changed its sign in epoch 3: the learning rate 0.01 is too low",
        ),
        (row(3), {"threshold": None}, "its sign in epoch 3: the gamma 0.001 is too low"),
        (row(3, 0.5), {"threshold": 0.0}, "50% of the binary weights flipped in a step of epoch 3"),
        (row(3, 1.0), {}, "100% of the binary weights flipped"),
        (row(3, 0.5, gamma=None), {"threshold": None}, "the learning rate 0.01 is too high"),
        (row(3, 0.5), {"threshold": None}, "not learning; the gamma 0.001 is too high"),
    ],
)
def test_what_is_wrong_is_one_line_with_numbers(found, settings, line):
    text = say(found, **settings)
    assert line in text and "\n" not in text and "epoch 3" in text


def test_a_warning_names_the_gamma_of_its_epoch():
    """A row holds the next epoch's, which a drop after the last step has lowered."""
    dropped = row(1, 0.5, gamma=1e-3)
    assert "gamma 1 is too high" in say(dropped, threshold=0.0, gamma=1.0)
    later = [row(1, 1e-3, gamma=0.5), row(2, 0.5, gamma=1e-3)]
    assert "gamma 0.5 is too high" in say(*later, gamma=1.0)
    assert "the gamma 0.5 is too high" in say(*later, threshold=None, gamma=1.0)


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (row(1, 0.5, gamma=None), "learning; the threshold 1e-06 is too low for |m| up to 2.0e-04"),
        (row(1, 1 / 71, 1.0, gamma=None), "then try a threshold above 1e-06."),
        (row(1, gamma=None), "or the weights have settled."),
    ],
)
def test_a_rule_without_gamma_is_not_told_of_one(found, line):
    said = say(found, threshold=1e-6)
    assert line in said and "gamma" not in said


def test_what_the_books_own_runs_show_is_no_alarm():
    found = [row for run in records.collect(RESULTS) for row in run["epochs"]]
    ratios = [row["flip_ratio"] for row in found]
    assert len(ratios) > 100 and 0 < min(ratios) < 1e-4 and max(ratios) > 0.04
    # Some records lack the largest ratio of a step, because they are older than this field.
    own = [row(1, r["flip_ratio"], r.get("max_flip_ratio") or 0.0, r["accuracy"]) for r in found]
    assert [one for one in own if say(one)] == []


def test_a_single_step_in_which_most_weights_flip_is_noticed():
    """An epoch's mean does not show it. A half flip by chance in a run's first step."""
    story = [row(1, 1 / 71, 1.0), row(2, 0.0)]
    assert "100% of the binary weights flipped in a single step of epoch 1" in say(*story[:1])
    assert "one very large gradient dominates the averages" in say(*story, threshold=1e-6)
    assert say(row(1, 1 / 71, 0.55)) is None
    assert "try a gamma below 0.001" in say(story[0], threshold=None)
    latent = story[0] | {"gamma": None}
    assert "try a learning rate below 0.01" in say(latent, threshold=None)


def test_an_alarm_is_given_when_it_begins_and_when_it_comes_back():
    story = [row(1), row(2), row(3, 1e-4), row(4), row(5, 0.5)]
    said = [bool(say(*story[:n])) for n in range(1, 6)]
    assert said == [True, False, False, True, True]


@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("flip_ratio", [1e-6, 1e-3, 0.05])
def test_what_only_a_whole_run_can_tell_is_no_alarm_of_an_epoch(flip_ratio, accuracy):
    """A first epoch may flip much and know little; a last one may flip little."""
    assert say(row(1, flip_ratio, accuracy=accuracy)) is None


def test_a_threshold_above_the_gradients_scale_is_noticed(tmp_path, capsys):
    record = run(tmp_path, hparams=HPARAMS | {"threshold": 0.1}, progress=True)
    (warning,) = record["warnings"]
    assert warning["epoch"] == 1
    assert "no binary weight flipped in epoch 1: the threshold 0.1 is above" in warning["message"]
    assert f"warning: {warning['message']}" in capsys.readouterr().out.splitlines()
    assert records.read(tmp_path)["warnings"] == [warning]
    # What it advises is of the gradient's scale: with it, weights flip.
    advice = float(warning["message"].rpartition("such as ")[2].rstrip("."))
    better = run(tmp_path / "better", hparams=HPARAMS | {"threshold": advice})
    assert better["epochs"][0]["flip_ratio"] > 0 and better["warnings"] == []


def test_weights_that_flip_all_the_time_are_noticed_and_the_warning_survives_a_restart(tmp_path):
    # The most that the rule can do with gradients of no direction: γ 1, τ 0.
    wild = HPARAMS | {"gamma": 1.0, "threshold": 0.0}
    with stopped_at_row(2):
        run(tmp_path, hparams=wild)
    record = run(tmp_path, hparams=wild)
    (warning,) = record["warnings"]
    assert "of the binary weights flipped in a step of epoch 1" in warning["message"]
    assert "gamma 1 is too high, or the threshold 0 too low" in warning["message"]


@pytest.mark.parametrize(
    ("precision", "hardware", "warned"),
    [
        ("mixed_bfloat16", {"machine": "x86_64", "bfloat16": [], "gpus": []}, True),
        ("float32", {"machine": "x86_64", "bfloat16": [], "gpus": []}, False),
        ("mixed_bfloat16", {"machine": "x86_64", "bfloat16": ["avx512_bf16"]}, False),
        ("mixed_bfloat16", {"machine": "x86_64", "bfloat16": [], "gpus": ["GPU:0"]}, False),
        ("mixed_bfloat16", {"machine": "aarch64", "bfloat16": []}, False),
        ("mixed_bfloat16", {"machine": "x86_64"}, False),
    ],
)
def test_bfloat16_on_a_processor_without_it(precision, hardware, warned):
    said = diagnosis.warn_before(precision, hardware)
    assert (said is not None and "use precision=float32" in said) == warned


@pytest.mark.parametrize("method", ["bop", "default"])
def test_one_step_that_turns_all_weights_is_noticed_even_if_the_run_stops_after_it(
    tmp_path, monkeypatch, method
):
    """In the middle of epoch 1, by a gradient that disagrees with every weight."""
    kind = optimizers.Bop if method == "bop" else tf.keras.optimizers.Adam
    apply = kind.apply_gradients

    def turned(self, pairs, **kwargs):
        now, pairs = tf.equal(self.iterations, STEPS // 2), list(pairs)
        for index, (gradient, variable) in enumerate(pairs):
            if getattr(variable, "precision", None) == 1:
                pairs[index] = (tf.where(now, 1e6 * tf.sign(variable), gradient), variable)
                if method == "default":  # Adam's steps are of its rate's size, however large g
                    variable.assign(tf.where(now, 1e-6 * tf.sign(variable), variable))
        return apply(self, pairs, **kwargs)

    settings = HPARAMS | {"epochs": 1}
    with monkeypatch.context() as patch, stopped_at_row(1):
        patch.setattr(kind, "apply_gradients", turned)
        run(tmp_path, f"binarynet/{method}", settings, checkpoint_minutes=0)
    record = run(tmp_path, f"binarynet/{method}", settings)
    assert record["epochs"][0]["flip_ratio"] < diagnosis.CHURNING
    assert record["epochs"][0]["max_flip_ratio"] > 0.9
    (warning,) = record["warnings"]
    assert "of the binary weights flipped in a single step of epoch 1" in warning["message"]


@pytest.mark.parametrize(
    ("value", "binary", "step"),
    [(math.nan, True, 2 * STEPS - 1), (math.inf, False, 2 * STEPS - 1), (math.nan, True, 10)],
)
def test_a_gradient_that_is_not_finite_while_the_loss_is(
    tmp_path, monkeypatch, undisturbed, value, binary, step
):
    """In an epoch's last step, or far from it: only a look at what is kept would notice."""
    apply, epoch = optimizers.Bop.apply_gradients, step // STEPS + 1

    def poisoned(self, pairs, **kwargs):
        now = tf.equal(self.iterations, step)
        found = []
        for gradient, variable in pairs:
            if is_binary_variable(variable) == binary:
                gradient += tf.where(now, value, 0.0)
            found.append((gradient, variable))
        return apply(self, found, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(optimizers.Bop, "apply_gradients", poisoned)
        # Saving all the time: what is broken must not take the place of what is good.
        with pytest.raises(
            TrainingError, match=f"became NaN or infinite in epoch {epoch}"
        ) as caught:
            run(tmp_path, checkpoint_minutes=0)
    assert ("averages m of" if binary else "the weights") in str(caught.value)
    record = records.read(tmp_path)
    assert record["status"] == "failed" and "became NaN or infinite" in record["error"]
    assert len(record["epochs"]) == epoch - 1
    # The last good state is there: without the poison it goes on to the undisturbed end.
    assert rows(run(tmp_path)) == rows(records.read(undisturbed))
    assert state(tmp_path) == state(undisturbed)


@pytest.fixture
def poison(monkeypatch):
    """`poison(split, value, step)`: labels of which the loss is `value` from some step on."""

    def from_now_on(split, value, step):
        load = bopkit.data.load

        def loaded(*arguments, **kwargs):
            data = load(*arguments, **kwargs)
            batches = getattr(data, f"{split}_batches")

            def poisoned(batch_size, start_epoch=0, start_step=0, **kwargs):
                if split == "train":
                    kwargs |= {"start_epoch": start_epoch, "start_step": start_step}
                first = start_epoch * data.steps_per_epoch(batch_size) + start_step

                def infect(number, pair):
                    images, labels = pair
                    sick = tf.logical_and(number + first >= step, labels == 1)
                    return images, tf.where(sick, value, labels)

                return batches(batch_size, **kwargs).enumerate().map(infect)

            setattr(data, f"{split}_batches", poisoned)
            return data

        monkeypatch.setattr(bopkit.data, "load", loaded)

    return from_now_on


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_training_loss_that_is_not_finite_stops_the_run(
    tmp_path, monkeypatch, undisturbed, poison, value
):
    """In epoch 2, while it saves all the time; without it the run goes on as if it had not been.

    In the last step: one infinite loss makes the next one NaN.
    """
    poison("train", value, 2 * STEPS - 1)
    with pytest.raises(TrainingError, match=f"the loss became {value} in epoch 2, step") as caught:
        run(tmp_path, checkpoint_minutes=0)
    monkeypatch.undo()
    assert "The last good checkpoint is kept." in str(caught.value)
    record = records.read(tmp_path)
    assert (record["status"], len(record["epochs"])) == ("failed", 1)
    assert checkpoints(tmp_path)
    assert rows(run(tmp_path)) == rows(records.read(undisturbed))
    assert state(tmp_path) == state(undisturbed)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_is_not_saved_as_good(
    tmp_path, monkeypatch, poison, value
):
    with stopped_at_row(2):
        run(tmp_path)
    good = checkpoints(tmp_path)
    poison("validation", value, 3)
    with pytest.raises(TrainingError, match=f"the validation loss became {value} in epoch 2"):
        run(tmp_path)
    record = records.read(tmp_path)
    assert (record["status"], len(record["epochs"])) == ("failed", 1)
    assert checkpoints(tmp_path) == good
    reader = tf.train.load_checkpoint(good[-1])
    assert reader.get_tensor("epoch/.ATTRIBUTES/VARIABLE_VALUE") == 1


def test_a_binary_weight_that_something_else_has_set_is_not_saved_as_good(tmp_path):
    """Bop would turn a weight of 0.3 to -0.3 and back for ever."""
    start = State.flip_ratio

    def meddle(state, *arguments):
        kernel = next(filter(is_binary_variable, state.model.trainable_variables))
        kernel.assign(tf.tensor_scatter_nd_update(tf.identity(kernel), [[0, 0]], [0.3]))
        return start(state, *arguments)

    with (
        mock.patch.object(State, "flip_ratio", meddle),  # called at the end of an epoch
        pytest.raises(TrainingError, match=r"1 of the binary weights .* are not -1 or \+1 in"),
    ):
        run(tmp_path)
    assert records.read(tmp_path)["status"] == "failed"


def test_the_largest_signal_is_the_largest_and_tells_what_is_not_finite():
    variable = tf.Variable([1.0, -1.0, 1.0], name="kernel")
    variable.precision = 1
    bop = optimizers.Bop("adam", threshold=1e-8, gamma=0.5)
    for gradient, largest in (([0.1, -0.4, 0.0], 0.2), ([0.0, math.nan, 0.0], math.inf)):
        bop.apply_gradients([(tf.constant(gradient), variable)])
        assert list(bop.largest_signals().values()) == [pytest.approx(largest)]
