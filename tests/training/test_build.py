"""An experiment's settings as Keras' objects, and the rule that says when XLA compiles a step."""

from types import SimpleNamespace

import pytest

from bopkit import experiments
from bopkit._tensorflow import tf
from bopkit.training import build


def test_schedules_count_epochs_in_steps():
    staircase = experiments.get("binarynet/bop_sec52")
    bop = build.build_optimizer(staircase, train_examples=50_000)
    for step, gamma in ((0, 1e-4), (99_999, 1e-4), (100_000, 1e-5), (499_999, 1e-8)):
        bop.iterations.assign(step)
        assert float(bop.gamma) == pytest.approx(gamma, rel=1e-4)
    linear = experiments.get("xnornet/bop")
    bop = build.build_optimizer(linear, train_examples=1_281_167)
    for epochs, gamma in ((0, 1e-4), (50, 5.05e-5), (100, 1e-6), (101, 1e-6)):
        bop.iterations.assign(1_281_167 * epochs // 1024)
        assert float(bop.gamma) == pytest.approx(gamma, rel=1e-4)
    schedule = bop.fp_optimizer._learning_rate
    assert float(schedule(100 * 1_281_167 // 1024)) == pytest.approx(5e-6)


@pytest.mark.parametrize(
    ("gpus", "replicas", "asked", "compiled"),
    [
        (0, 1, None, False),  # on processors it is slower
        (1, 1, None, True),
        (2, 2, None, False),  # nobody has tried
        (0, 1, True, True),
        (1, 1, False, False),
    ],
)
def test_the_step_is_compiled_on_one_gpu_or_where_asked(
    gpus, replicas, asked, compiled, monkeypatch
):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU"] * gpus)
    cluster = SimpleNamespace(strategy=SimpleNamespace(num_replicas_in_sync=replicas))
    assert build.compiles(cluster, asked) is compiled
