"""The cost of a run: by hand, against networks that are known, and what is refused."""

import dataclasses

import pytest

from bopkit import experiments
from bopkit.errors import ConfigError
from bopkit.experiments import cost


def test_a_tiny_network_by_hand():
    import larq as lq
    import tensorflow as tf

    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((8, 8, 3)),
            lq.layers.QuantConv2D(4, 3, padding="valid"),  # 6 x 6 places, 3 x 3 x 3 products
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Conv2D(5, 3, strides=2, padding="same"),  # 3 x 3 places
            tf.keras.layers.Flatten(),
            lq.layers.QuantDense(10),
        ]
    )
    assert cost.count_macs(model) == 6 * 6 * 4 * 27 + 3 * 3 * 5 * 9 * 4 + 45 * 10


def test_convolutions_of_each_kind_and_models_within_models():
    import larq as lq
    import tensorflow as tf

    layers = tf.keras.layers
    inner = tf.keras.Sequential(
        [
            layers.Input((4, 4, 6)),
            layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),  # 12 channels
            lq.layers.QuantSeparableConv2D(5, 3, padding="same"),
        ]
    )
    outer = tf.keras.Sequential(
        [
            layers.Input((2, 2, 3)),
            layers.Conv2DTranspose(6, 3, strides=2, padding="same"),
            inner,
            layers.PReLU(),
            layers.Reshape((16, 5)),
            layers.Dense(7),  # at each of 16 places
        ]
    )
    by_layer = [2 * 2 * 9 * 6 * 3, 4 * 4 * 9 * 12, 4 * 4 * 9 * 12 + 4 * 4 * 12 * 5, 16 * 5 * 7]
    assert cost.count_macs(outer) == sum(by_layer)
    first = tf.keras.Sequential(
        [layers.Input((3, 8, 9)), layers.Conv2D(4, 3, data_format="channels_first")]
    )
    assert cost.count_macs(first) == 6 * 7 * 4 * 27


def test_what_cannot_be_counted_is_refused():
    import tensorflow as tf

    layers = tf.keras.layers
    recurrent = tf.keras.Sequential([layers.Input((5, 3)), layers.LSTM(4, name="memory")])
    with pytest.raises(ConfigError, match="can be counted; memory is of the class LSTM"):
        cost.count_macs(recurrent)
    any_size = tf.keras.Sequential([layers.Input((None, None, 3)), layers.Conv2D(4, 3, name="c")])
    with pytest.raises(ConfigError, match="c has images of unknown size"):
        cost.count_macs(any_size)


def test_binarynet_by_hand():
    by_layer = [
        30 * 30 * 128 * 9 * 3,
        30 * 30 * 128 * 9 * 128,
        15 * 15 * 256 * 9 * 128,
        15 * 15 * 256 * 9 * 256,
        7 * 7 * 512 * 9 * 256,
        7 * 7 * 512 * 9 * 512,
        3 * 3 * 512 * 1024,
        1024 * 1024,
        1024 * 10,
    ]
    assert cost.forward_macs("binarynet/bop") == sum(by_layer)


@pytest.mark.parametrize(
    ("name", "known", "tolerance"),
    [
        # torchvision lists 1.81 GMAC for ResNet-18 and 0.71 for AlexNet. Bi-Real Net has the
        # former's layers; Binary AlexNet pads its first layer and has a wider fourth.
        ("birealnet/bop", 1.81e9, 0.01),
        ("binary_alexnet/bop", 0.71e9, 0.2),
        ("xnornet/bop", 1.135e9, 0.01),  # AlexNet as published, but for its two groups
    ],
)
def test_imagenet_networks_against_what_is_known_of_their_kind(name, known, tolerance):
    assert cost.forward_macs(name) == pytest.approx(known, rel=tolerance)


def test_a_run_is_all_its_steps():
    macs, epochs, steps = cost.forward_macs("birealnet/bop"), 300, 1_281_167 // 1024
    assert cost.training_flops("birealnet/bop") == 6 * macs * 1024 * steps * epochs
    short = experiments.override(experiments.get("birealnet/bop"), {"epochs": 1})
    assert cost.training_flops(short) * 300 == cost.training_flops("birealnet/bop")


def test_hours_follow_the_peak_of_the_precision():
    flops = cost.training_flops("birealnet/bop")
    assert cost.gpu_hours("birealnet/bop") == flops / (0.3 * 156e12) / 3600
    half = experiments.override(experiments.get("birealnet/bop"), {"precision": "mixed_bfloat16"})
    assert cost.gpu_hours(half, "A100", 0.1) == pytest.approx(flops / (0.1 * 312e12) / 3600)
    with pytest.raises(ConfigError, match="a V100 cannot run precision mixed_bfloat16"):
        cost.gpu_hours(half, "V100")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("birealnet/bop", "A10"), "unknown GPU 'A10': there are: V100, A100, H100"),
        (("birealnet/bop", "A100", 0), "fraction must be above 0"),
        (("birealnet/bop", "A100", 30), "fraction must be above 0 and at most 1; got 30"),
        (("birealnt/bop",), "unknown network 'birealnt': did you mean birealnet"),
    ],
)
def test_refused_in_one_line(arguments, message):
    with pytest.raises(ConfigError, match=message):
        cost.gpu_hours(*arguments)


def test_other_data_has_no_cost():
    digits = dataclasses.replace(experiments.get("binarynet/bop"), dataset="digits")
    with pytest.raises(ConfigError, match="on the paper's data: cifar10, imagenet2012; got digits"):
        cost.training_flops(digits)


def test_a_misspelt_network_is_refused():
    misspelt = dataclasses.replace(experiments.get("birealnet/bop"), network="birealnt")
    with pytest.raises(ConfigError, match="unknown network 'birealnt': did you mean birealnet"):
        cost.forward_macs(misspelt)


def test_table():
    lines = cost.cost_table(["birealnet/bop"], "A100", [0.3]).splitlines()
    assert lines[0] == (
        "| experiment | GMAC per image | steps | EFLOP | A100 hours at 30% of peak (ms per step) |"
    )
    assert lines[2] == "| `birealnet/bop` | 1.81 | 375,300 | 4.2 | 25 (238) |"


def test_a_measured_step_gives_hours_of_its_own():
    names = ["binarynet/bop_sec52", "binarynet/bop"]
    table = cost.cost_table(names, measured={names[0]: 0.5}, machine="my CPU").splitlines()
    assert table[0].endswith("| hours at the measured ms per step in float32, my CPU |")
    assert table[2].endswith("| 69 (500) |") and table[3].endswith("| – |")
    assert cost.training_steps(names[0]) * 0.5 / 3600 == pytest.approx(69.4, abs=0.1)


@pytest.mark.parametrize(("seconds", "shown"), [(0.0994, "99"), (0.0996, "100"), (1.2344, "1,234")])
def test_milliseconds_have_no_exponent(seconds, shown):
    (row,) = cost.cost_table(["binarynet/bop"], measured={"binarynet/bop": seconds}).splitlines()[
        2:
    ]
    assert row.endswith(f" ({shown}) |")


def test_counting_makes_no_weights_and_no_noise(run_python):
    code = """
import psutil
import tensorflow
from bopkit.experiments import cost
from bopkit import models
process = psutil.Process()
before = process.memory_info().rss
cost.forward_macs("xnornet/bop")
print((process.memory_info().rss - before) >> 20)
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100  # MB; the network's weights are 250
    assert "deprecated" not in done.stderr
