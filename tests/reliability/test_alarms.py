"""Training that goes wrong: said in one line with the numbers, and the last good state kept."""

import math
from pathlib import Path

import pytest
import tensorflow as tf
from small_runs import rows, run, state

from bopkit import optimizers, records
from bopkit.errors import TrainingError
from bopkit.optimizers.variables import is_binary_variable
from bopkit.training import checkpoints, diagnosis, loop

TWO = {"epochs": 2, "filters": 8, "dense_units": 32, "batch_size": 20}
STEPS = 1437 // 20
RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder, hparams=TWO)
    return folder


def row(epoch=1, flip_ratio=0.0, gamma=1e-3, learning_rate=1e-2):
    return {
        "epoch": epoch, "flip_ratio": flip_ratio, "gamma": gamma, "learning_rate": learning_rate
    }  # fmt: skip


def say(*found, threshold=0.1, largest=2e-4):
    return diagnosis.find(found, threshold=threshold, largest_signal=lambda: largest)


@pytest.mark.parametrize(
    ("found", "settings", "line"),
    [
        (row(3), {}, "the threshold 0.1 is above the largest |m| (2.0e-04)"),
        (row(3), {"largest": 0.0}, "all their gradients are zero"),
        (row(3), {"threshold": 1e-6}, "have settled; if that is too early, keep gamma, now 0.001"),
        (row(3), {"threshold": None}, "no latent weight changed its sign in epoch 3"),
        (row(3, 0.5), {"threshold": 0.0}, "50% of the binary weights flipped in a step of epoch 3"),
        (row(3, 1.0), {}, "100% of the binary weights flipped"),
        (row(3, 0.5), {"threshold": None}, "the learning rate 0.01 is too high"),
    ],
)
def test_what_is_wrong_is_one_line_with_numbers(found, settings, line):
    text = say(found, **settings)
    assert line in text and "\n" not in text and "epoch 3" in text


def test_what_the_books_own_runs_show_is_no_alarm():
    ratios = [row["flip_ratio"] for run in records.collect(RESULTS) for row in run["epochs"]]
    assert len(ratios) > 100 and 0 < min(ratios) < 1e-4 and max(ratios) > 0.04
    assert [ratio for ratio in ratios if say(row(1, ratio))] == []


def test_a_single_step_in_which_most_weights_flip_is_noticed():
    """An epoch's mean does not show it. A half flip by chance in a run's first step."""
    story = [row(1, 1 / 71) | {"max_flip_ratio": 1.0}, row(2, 0.0)]
    assert "100% of the binary weights flipped in a single step of epoch 1" in say(*story[:1])
    assert "one very large gradient holds them as they are" in say(*story, threshold=1e-6)
    assert say(row(1, 1 / 71) | {"max_flip_ratio": 0.55}) is None
    assert "a lower learning rate" in say(story[0], threshold=None)


def test_an_alarm_is_given_when_it_begins_and_when_it_comes_back():
    story = [row(1, 0.0), row(2, 0.0), row(3, 1e-4), row(4, 0.0), row(5, 0.5)]
    said = [bool(say(*story[:n])) for n in range(1, 6)]
    assert said == [True, False, False, True, True]


@pytest.mark.slow
def test_a_threshold_above_the_gradients_scale_is_noticed(tmp_path, capsys):
    record = run(tmp_path, hparams=TWO | {"threshold": 0.1}, progress=True)
    (warning,) = record["warnings"]
    assert warning["epoch"] == 1
    assert "no binary weight flipped in epoch 1: the threshold 0.1 is above" in warning["message"]
    assert f"warning: {warning['message']}" in capsys.readouterr().out.splitlines()
    assert records.read(tmp_path)["warnings"] == [warning]
    # What it advises is of the gradient's scale: with it, weights flip.
    advice = float(warning["message"].rpartition("such as ")[2].rstrip("."))
    better = run(tmp_path / "better", hparams=TWO | {"threshold": advice, "epochs": 1})
    assert better["epochs"][0]["flip_ratio"] > 0 and better["warnings"] == []


@pytest.mark.slow
def test_weights_that_flip_all_the_time_are_noticed_and_the_warning_survives_a_restart(
    tmp_path, monkeypatch
):
    # The most that the rule can do with gradients of no direction: γ 1, τ 0.
    wild = TWO | {"gamma": 1.0, "threshold": 0.0}
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "validate", _stop_in_epoch(2, loop.Loop.validate))
        with pytest.raises(KeyboardInterrupt):
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
    said = diagnosis.before(precision, hardware)
    assert (said is not None and "precision=float32 is for it" in said) == warned


@pytest.mark.parametrize("method", ["bop", "default"])
@pytest.mark.slow
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

    settings = TWO | {"epochs": 1}
    with monkeypatch.context() as patch:
        patch.setattr(kind, "apply_gradients", turned)
        patch.setattr(loop.Loop, "validate", _stop_in_epoch(1, loop.Loop.validate))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, f"binarynet/{method}", settings, checkpoint_minutes=0)
    record = run(tmp_path, f"binarynet/{method}", settings)
    assert record["epochs"][0]["flip_ratio"] < diagnosis.TOO_MANY
    assert record["epochs"][0]["max_flip_ratio"] > 0.9
    (warning,) = record["warnings"]
    assert "of the binary weights flipped in a single step of epoch 1" in warning["message"]


@pytest.mark.slow
def test_a_run_that_began_before_steps_were_counted_one_by_one_goes_on(
    tmp_path, monkeypatch, undisturbed
):
    begin = loop.Loop.__init__

    def older(self, *arguments, **kwargs):
        begin(self, *arguments, **kwargs)
        self.manager = tf.train.CheckpointManager(
            self._older, self.manager.directory, max_to_keep=2
        )

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "__init__", older)
        patch.setattr(loop.Loop, "validate", _stop_in_epoch(2, loop.Loop.validate))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, hparams=TWO)
    (path, *_) = checkpoints.find(tmp_path / "checkpoints")
    assert not any("most_flips" in name for name, _ in tf.train.list_variables(path))
    assert rows(run(tmp_path, hparams=TWO)) == rows(records.read(undisturbed))


def _stop_in_epoch(epoch, validate):
    def stop(self):
        if int(self.epoch) + 1 == epoch:
            raise KeyboardInterrupt
        return validate(self)

    return stop


@pytest.mark.parametrize(("value", "binary"), [(math.nan, True), (math.inf, False)])
@pytest.mark.slow
def test_a_gradient_that_is_not_finite_while_the_loss_is(
    tmp_path, monkeypatch, undisturbed, value, binary
):
    """In the last step of epoch 2: nothing but a look at what is kept would notice."""
    apply = optimizers.Bop.apply_gradients

    def poisoned(self, pairs, **kwargs):
        last = tf.equal(self.iterations, 2 * STEPS - 1)
        found = []
        for gradient, variable in pairs:
            if is_binary_variable(variable) == binary:
                gradient += tf.where(last, value, 0.0)
            found.append((gradient, variable))
        return apply(self, found, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(optimizers.Bop, "apply_gradients", poisoned)
        # Saving all the time: what is broken must not take the place of what is good.
        with pytest.raises(TrainingError, match="became NaN or infinite in epoch 2") as caught:
            run(tmp_path, hparams=TWO, checkpoint_minutes=0)
    assert ("averages m of" if binary else "the weights") in str(caught.value)
    record = records.read(tmp_path)
    assert record["status"] == "failed" and "became NaN or infinite" in record["error"]
    assert len(record["epochs"]) == 1
    # The last good state is there: without the poison it goes on to the undisturbed end.
    assert rows(run(tmp_path, hparams=TWO)) == rows(records.read(undisturbed))
    assert state(tmp_path) == state(undisturbed)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.slow
def test_a_training_loss_that_is_not_finite_stops_the_run(
    tmp_path, monkeypatch, undisturbed, value
):
    """In epoch 2, while it saves all the time; without it the run goes on as if it had not been."""
    update = loop._update

    def broken(metrics, losses, *arguments):
        if metrics is trained[0].train_metrics:
            second = trained[0].optimizer.iterations > STEPS + 9
            losses += tf.where(second, value, 0.0)
        update(metrics, losses, *arguments)

    trained, begin = [], loop.Loop.restore

    def watched(self, progress):
        trained.append(self)
        return begin(self, progress)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_update", broken)
        patch.setattr(loop.Loop, "restore", watched)
        with pytest.raises(
            TrainingError, match=f"the loss became {value} in epoch 2, step"
        ) as caught:
            run(tmp_path, hparams=TWO, checkpoint_minutes=0)
    assert "The last good checkpoint is kept." in str(caught.value)
    record = records.read(tmp_path)
    assert (record["status"], len(record["epochs"])) == ("failed", 1)
    assert checkpoints.find(tmp_path / "checkpoints")
    assert rows(run(tmp_path, hparams=TWO)) == rows(records.read(undisturbed))
    assert state(tmp_path) == state(undisturbed)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_is_not_saved_as_good(tmp_path, monkeypatch, value):
    def broken(self):
        return {"loss": value if int(self.epoch) else 1.0, "accuracy": 0.1}

    monkeypatch.setattr(loop.Loop, "_train_chunk", lambda *_: None)
    monkeypatch.setattr(loop.Loop, "validate", broken)
    with pytest.raises(TrainingError, match=f"the validation loss became {value} in epoch 2"):
        run(tmp_path, hparams=TWO)
    record = records.read(tmp_path)
    assert (record["status"], len(record["epochs"])) == ("failed", 1)
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoints"))
    assert reader.get_tensor("epoch/.ATTRIBUTES/VARIABLE_VALUE") == 1


def test_the_largest_signal_is_the_largest_and_tells_what_is_not_finite():
    variable = tf.Variable([1.0, -1.0, 1.0], name="kernel")
    variable.precision = 1
    bop = optimizers.Bop("adam", threshold=1e-8, gamma=0.5)
    for gradient, largest in (([0.1, -0.4, 0.0], 0.2), ([0.0, math.nan, 0.0], math.inf)):
        bop.apply_gradients([(tf.constant(gradient), variable)])
        assert list(bop.largest_signals().values()) == [pytest.approx(largest)]


def test_records_from_before_there_were_warnings_are_read_and_resumed(undisturbed, tmp_path):
    record = records.read(undisturbed)
    assert record.pop("warnings") == []
    records.write(tmp_path, record)
    assert records.read(tmp_path) == record
    assert run(tmp_path, hparams=TWO)["status"] == "completed"
