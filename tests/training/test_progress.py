"""What a run says while nobody watches: in a log file, in its record, in TensorBoard."""

import re

import pytest
from small_runs import HPARAMS, STEPS, run

from bopkit import records
from bopkit._tensorflow import tf
from bopkit.training import progress
from bopkit.training.progress import Progress


class Clock:
    """Minutes that pass when the test says so."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


METRICS = {"loss": 2.5, "accuracy": 0.125}


def test_a_long_epoch_says_how_far_it_is(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    show = Progress(epochs=150, steps=25_000, batch_size=50)
    show.start(3, 0)
    assert show.advance(1, 40.0, METRICS, lambda: 1e-4) is None  # the first call compiles
    asked = []
    for _ in range(10):
        clock.now += 18
        scalars = show.advance(100, 18.0, METRICS, lambda: asked.append(0) or 1e-4)
    assert len(asked) == 1  # only where it is shown: it waits for the device
    assert scalars == {
        "loss": 2.5,
        "accuracy": 0.125,
        "flip_ratio": 1e-4,
        "images_per_second": pytest.approx(50 * 1000 / 180),
    }
    (line,) = capsys.readouterr().out.splitlines()
    # 148 epochs of 25,000 steps, less 1,001, at 100 steps per 18 seconds.
    assert line == (
        "epoch   3/150  step  1,001/25,000  loss 2.500  top-1  12.5%  flip ratio 1.0e-04"
        "  278 images/s  about 7 days 17 h of training left"
    )
    clock.now += 100
    assert show.advance(100, 18.0, METRICS, lambda: 1e-4) is None


@pytest.mark.parametrize(
    ("steps", "left"), [(10, "about 1 min"), (6000, "about 50 min"), (60_000, "about 8 h 20 min")]
)
def test_the_time_left_is_of_the_whole_run(monkeypatch, capsys, steps, left):
    clock = Clock(monkeypatch)
    show = Progress(epochs=1, steps=steps + 360, batch_size=1)
    show.start(1, 0)
    clock.now += 180
    show.advance(360, 180.0, METRICS, lambda: 0.0)
    assert f" {left} of training left" in capsys.readouterr().out


def test_a_silent_run_still_has_its_scalars(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    show = Progress(epochs=1, steps=9, batch_size=1, silent=True)
    show.start(1, 0)
    clock.now += 180
    assert show.advance(1, 1.0, METRICS, lambda: 0.5)["flip_ratio"] == 0.5
    assert capsys.readouterr().out == ""


def test_a_run_logs_its_steps_and_its_speed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(progress, "EVERY", 0)
    record = run(tmp_path, progress=True, tensorboard=True)
    lines = re.findall(r"^epoch [12]/2  step .*$", capsys.readouterr().out, re.MULTILINE)
    assert len(lines) > 4
    found = {}
    for path in (tmp_path / "tensorboard" / "steps").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    last = record["epochs"][-1]
    for key in ("loss", "flip_ratio"):  # after the last step of all they are the epoch's
        assert found[f"within_epoch/{key}", 2 * STEPS] == pytest.approx(last[key])
    assert found["within_epoch/images_per_second", 2 * STEPS] > 0
    for row in records.read(tmp_path)["epochs"]:
        images = STEPS * HPARAMS["batch_size"]
        assert row["images_per_second"] == pytest.approx(images / row["seconds"], rel=0.05)
    assert "images_per_second" not in record["final"]
