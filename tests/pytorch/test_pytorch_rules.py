"""PyTorch's Bop flips what the NumPy rule and the Keras optimizer flip, in every way to call it."""

import shutil
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bopkit import rules
from bopkit.errors import ConfigError
from bopkit.pytorch import Bop, Bop2ndOrder, binarize_, flipping, sign_ste, split_parameters

RATES = {"gamma": 0.1, "threshold": 0.02}
DECAY = 0.97  # of γ per step, where a test decays it


def parameter(shape, seed=0, dtype=torch.float32):
    values = np.random.default_rng(seed).normal(size=shape)
    return torch.nn.Parameter(binarize_(torch.as_tensor(values, dtype=dtype)))


def gradients(shape, steps=20, seed=1, scale=1.0):
    """A consistent part and noise."""
    random = np.random.default_rng(seed)
    trend = random.normal(size=shape)
    for _ in range(steps):
        yield torch.as_tensor(scale * (trend + random.normal(size=shape)), dtype=torch.float32)


def run(optimizer, weight, steps=20, step=None):
    for gradient in gradients(weight.shape, steps):
        weight.grad = gradient.to(weight.dtype)
        (step or optimizer.step)()
    return weight.detach().float().numpy()


def run_in_keras(rule, rates, start, steps):
    """The same gradients in Keras: the weights at the end, and how many flipped."""
    import bopkit  # isort: skip  # before TensorFlow
    import larq as lq
    import tensorflow as tf

    variable = lq.quantized_variable.QuantizedVariable.from_variable(
        tf.Variable(start), precision=1
    )
    # Not compiled: XLA may round m + γ(g - m) once, and a weight at the threshold then differs.
    optimizer = getattr(bopkit, rule)("sgd", **rates, jit_compile=False)
    for number, gradient in enumerate(gradients(start.shape, steps)):
        optimizer.gamma = rates["gamma"] * DECAY**number
        optimizer.apply_gradients([(tf.constant(gradient.numpy()), variable)])
    return variable.numpy(), int(optimizer.total_flips())


HYPERS = {
    "threshold": st.sampled_from([0.0, 1e-8, 1e-3, 0.1]),
    "gamma": st.one_of(st.just(1.0), st.floats(1e-6, 1.0)),
    "seed": st.integers(0, 2**31),
    "shape": st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    "scale": st.sampled_from([1e-6, 1.0, 100.0]),
    "foreach": st.sampled_from([None, True, False]),
    "block": st.sampled_from([1, 7, 2**16]),
}


@settings(max_examples=40, deadline=None)
@given(**HYPERS)
def test_bop_flips_every_weight_that_numpy_flips(
    threshold, gamma, seed, shape, scale, foreach, block
):
    weight = parameter(shape, seed)
    optimizer = Bop([weight], gamma=gamma, threshold=threshold, foreach=foreach)
    weights, m, count = weight.detach().numpy().copy(), np.zeros(shape, np.float32), 0
    for gradient in gradients(shape, 10, seed, scale):
        weight.grad = gradient
        with mock.patch.object(flipping, "BLOCK", block):
            optimizer.step()
        weights, m, flips = rules.bop_step(
            weights, m, gradient.numpy(), threshold=np.float32(threshold), gamma=np.float32(gamma)
        )
        count += flips.sum()
        np.testing.assert_array_equal(weight.detach().numpy(), weights)
        np.testing.assert_array_equal(optimizer.state[weight]["m"].numpy(), m)
    assert optimizer.flip_counts() == {"0.0": count}


@settings(max_examples=40, deadline=None)
@given(
    sigma=st.one_of(st.just(1.0), st.floats(1e-6, 1.0)),
    bias_correction=st.booleans(),
    decay=st.sampled_from([1.0, 0.9, 0.1]),
    **HYPERS,
)
def test_bop2ndorder_flips_every_weight_that_numpy_flips(
    threshold, gamma, sigma, bias_correction, decay, seed, shape, scale, foreach, block
):
    rates = {"threshold": threshold, "gamma": gamma, "sigma": sigma}
    weight = parameter(shape, seed)
    optimizer = Bop2ndOrder([weight], **rates, bias_correction=bias_correction, foreach=foreach)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, decay)
    weights = weight.detach().numpy().copy()
    m = v = np.zeros(shape, np.float32)
    shares = (0.0, 0.0) if bias_correction else None
    for gradient in gradients(shape, 10, seed, scale):
        weight.grad = gradient
        rates["gamma"] = scheduler.get_last_lr()[0]
        with mock.patch.object(flipping, "BLOCK", block):
            optimizer.step()
        scheduler.step()
        weights, m, v, _, shares = rules.bop2ndorder_step(
            weights, m, v, gradient.numpy(), shares=shares, **rates
        )
        np.testing.assert_array_equal(weight.detach().numpy(), weights)
        np.testing.assert_array_equal(optimizer.state[weight]["v"].numpy(), v)


def test_a_signal_that_equals_the_threshold_is_rounded_as_in_numpy():
    """After one step the signal is γ/√σ, here τ, so that the last bit of the root decides."""
    rates = {"gamma": 0.01, "sigma": 0.01, "threshold": 0.1}
    weight = parameter((20_000,))
    weights = weight.detach().numpy().copy()
    (gradient,) = gradients(weight.shape, 1)
    optimizer = Bop2ndOrder([weight], **rates)
    weight.grad = gradient
    optimizer.step()
    zeros = np.zeros_like(weights)
    expected = rules.bop2ndorder_step(weights, zeros, zeros, gradient.numpy(), **rates)
    np.testing.assert_array_equal(weight.detach().numpy(), expected.weights)
    assert optimizer.total_flips() == expected.flips.sum()


@pytest.mark.parametrize("rule", ["Bop", "Bop2ndOrder"])
def test_it_flips_what_keras_flips(rule):
    """While γ decays; for the second order, with the bias correction."""
    more = {"sigma": 0.05, "bias_correction": True}
    rates = {"gamma": 0.1, "threshold": 0.1} | (more if rule == "Bop2ndOrder" else {})
    weight = parameter((300, 7))
    start = weight.detach().numpy().copy()
    optimizer = {"Bop": Bop, "Bop2ndOrder": Bop2ndOrder}[rule]([weight], **rates)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, DECAY)

    def step():
        optimizer.step()
        scheduler.step()

    ours = run(optimizer, weight, 50, step)
    theirs, flips = run_in_keras(rule, rates, start, 50)
    np.testing.assert_array_equal(ours, theirs)
    assert optimizer.total_flips() == flips > 0


@pytest.mark.parametrize("capturable", [False, True])
def test_the_bias_correction_follows_gamma_wherever_it_goes(capturable):
    """Of a constant gradient the corrected signal is 1, after a drop of γ and at γ = 0 too."""
    for threshold, flips in ((1.001, 0), (0.999, 1)):
        weight = torch.nn.Parameter(torch.tensor([1.0, -1.0, -1.0]))
        options = {"bias_correction": True, "capturable": capturable}
        optimizer = Bop2ndOrder([weight], threshold=threshold, gamma=0.1, sigma=0.1, **options)
        for gamma in (0.0, 0.1, 1e-6, 1e-6, 0.0):
            optimizer.param_groups[0]["lr"] = gamma
            weight.grad = torch.tensor([2.0, 0.5, -1.0])
            optimizer.step()
            # At γ = 0 before all others m is 0, and nothing flips.
            assert optimizer.total_flips() == (2 * flips if optimizer.state[weight]["c"] else 0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_blocks_in_the_order_of_memory_flip_the_same(memory_format, monkeypatch):
    results = []
    for block in (50, 2**16):
        monkeypatch.setattr(flipping, "BLOCK", block)
        weight = parameter((8, 6, 3, 3))
        weight.data = weight.data.contiguous(memory_format=memory_format)
        optimizer = Bop([weight], **RATES)
        for gradient in gradients(weight.shape):
            weight.grad = gradient.contiguous(memory_format=memory_format)
            optimizer.step()
        results.append((weight.detach().numpy(), int(optimizer.total_flips())))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1] > 0


def test_a_gradient_in_another_order_of_memory_flips_the_same(monkeypatch):
    monkeypatch.setattr(flipping, "BLOCK", 50)
    results = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        weight = parameter((8, 6, 3, 3))
        optimizer = Bop([weight], **RATES)
        for gradient in gradients(weight.shape):
            weight.grad = gradient.contiguous(memory_format=memory_format)
            optimizer.step()
        results.append(weight.detach().numpy())
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_averages_of_half_precision_are_float32(dtype):
    weight = parameter((40, 5), dtype=dtype)
    optimizer = Bop2ndOrder([weight], **RATES, sigma=0.1)
    values = run(optimizer, weight)
    assert set(np.unique(values)) == {-1, 1} and weight.dtype == dtype
    kind = torch.float64 if dtype == torch.float64 else torch.float32
    assert {optimizer.state[weight][name].dtype for name in "mv"} == {kind}


def test_the_counts_are_the_changes_made():
    first, second = parameter((30, 4)), parameter((9,), seed=3)
    optimizer = Bop([("first", first), ("second", second)], **RATES)
    assert optimizer.flip_counts() == {"first": 0, "second": 0} and optimizer.total_flips() == 0
    made = {"first": 0, "second": 0}
    for step, gradient in enumerate(gradients((30, 4))):
        before = {"first": first.detach().clone(), "second": second.detach().clone()}
        first.grad, second.grad = gradient, gradient[:9, 0].clone() if step % 2 else None
        optimizer.step()
        ratios = {"first": first, "second": second}
        for name, weight in ratios.items():
            changed = int((before[name] != weight).sum())
            made[name] += changed
            if weight.grad is not None:
                assert optimizer.flip_ratio()[name] == changed / weight.numel()
    assert optimizer.flip_counts() == made and optimizer.total_flips() == sum(made.values()) > 0
    assert optimizer.binary_weights == 129


def test_groups_may_use_a_name_again_or_be_empty():
    """As two modules do, whose parameters `split_parameters` calls `weight` both."""
    weights = parameter((3,)), parameter((5,), seed=3)
    assert Bop([{"params": []}, {"params": [weights[0]]}]).total_flips() == 0
    groups = [{"params": [("weight", weight)]} for weight in weights]
    optimizer = Bop(groups, gamma=1.0, threshold=0.0)
    for weight in weights:
        weight.grad = weight.detach().clone()
    optimizer.step()
    assert optimizer.flip_counts() == {"weight": 3, "weight (2)": 5}
    assert optimizer.flip_ratio() == {"weight": 1.0, "weight (2)": 1.0}
    assert optimizer.total_flips() == 8


def test_the_count_of_blocks_is_exact_above_2_to_the_24(monkeypatch):
    """Each block's count is a float32, which holds it; their sum is not."""
    monkeypatch.setattr(flipping, "BLOCK", 1)
    counts = iter([2.0**24, 1.0])
    monkeypatch.setattr(flipping, "_count", lambda flips: torch.tensor(next(counts)))
    weight = parameter((2 * torch.get_num_threads(),))
    weight.grad = torch.ones_like(weight)
    optimizer = Bop([weight])
    optimizer.step()
    assert optimizer.total_flips() == 2**24 + 1


def corrected(weight):
    return Bop2ndOrder([weight], **RATES, sigma=0.1, bias_correction=True)


def test_optimizers_that_load_one_dictionary_share_nothing():
    weight = parameter((9,))
    optimizer = corrected(weight)
    run(optimizer, weight)
    stored = optimizer.state_dict()
    before = {name: value.clone() for name, value in stored["state"][0].items()}
    other = corrected(parameter((9,)))
    other.load_state_dict(stored)
    run(other, other.param_groups[0]["params"][0])
    for name, value in stored["state"][0].items():
        assert torch.equal(value, before[name]), name


def test_hooks_around_load_state_dict_act_on_what_is_loaded():
    weight = parameter((9,), dtype=torch.bfloat16)
    optimizer, other, seen = Bop([weight], **RATES), Bop([weight], **RATES), []
    run(optimizer, weight)

    def double(_, given):
        state = {key: each | {"m": 2 * each["m"]} for key, each in given["state"].items()}
        return given | {"state": state}

    other.register_load_state_dict_pre_hook(double)
    other.register_load_state_dict_post_hook(lambda o: seen.append(o.state[weight]["m"].dtype))
    other.load_state_dict(optimizer.state_dict())
    assert torch.equal(other.state[weight]["m"], 2 * optimizer.state[weight]["m"])
    assert seen == [torch.float32]


def test_binarize_marks_what_it_binarizes():
    layer = torch.nn.Linear(3, 2)
    with pytest.raises(ConfigError, match="no parameter 'wieght' of its own"):
        binarize_(layer, ["bias", "wieght"])
    assert not hasattr(layer, "binary_parameters") and (layer.bias.abs() != 1).any()
    binarize_(layer, (name for name in ["weight"]))
    binarize_(layer, ["bias"])
    assert [name for name, _ in split_parameters(layer)[0]] == ["weight", "bias"]
    assert all((parameter.abs() == 1).all() for parameter in layer.parameters())


@pytest.mark.parametrize("clip", [0, -1.0, float("nan"), None])
def test_the_estimators_window_has_a_width(clip):
    with pytest.raises(ValueError, match="clip must be a positive number"):
        sign_ste(torch.ones(2), clip)
    x = torch.tensor([-1e30], requires_grad=True)
    sign_ste(x, float("inf")).backward()
    assert x.grad.item() == 1


def test_nan_becomes_minus_one():
    x = torch.tensor([float("nan")], requires_grad=True)
    sign_ste(x).backward()
    assert sign_ste(x).item() == binarize_(x.detach().clone()).item() == -1 and x.grad.item() == 0


@pytest.mark.parametrize("bias_correction", [False, True])
def test_capturable_flips_the_same(bias_correction):
    """Rates and counts of steps are tensors; the correction is rounded to float32."""
    results = []
    for capturable in (False, True):
        weight = parameter((40, 5))
        rates = {"threshold": 0.3, "gamma": 0.1, "sigma": 0.05}
        if capturable:
            rates = {name: torch.tensor(value) for name, value in rates.items()}
        optimizer = Bop2ndOrder(
            [weight], **rates, bias_correction=bias_correction, capturable=capturable
        )
        results.append(run(optimizer, weight))
    np.testing.assert_array_equal(*results)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [Bop, Bop2ndOrder])
def test_a_compiled_step_flips_the_same(rule):
    if not shutil.which("g++") and not shutil.which("clang++"):
        pytest.skip("torch.compile needs a C++ compiler: apt install g++")
    results = []
    for compiled in (False, True):
        weight = parameter((300, 7))
        # As a tensor γ can change without another compilation.
        rates = RATES | {"gamma": torch.tensor(0.1)} | ({"sigma": 0.1} if rule != Bop else {})
        optimizer = rule([weight], **rates)
        step = torch.compile(optimizer.step) if compiled else optimizer.step
        run(optimizer, weight, 10, step)
        optimizer.param_groups[0]["lr"].fill_(0.05)
        run(optimizer, weight, 10, step)
        results.append((weight.detach().numpy(), optimizer.flip_counts()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gamma": 0.0}, "gamma, the adaptivity rate"),
        ({"gamma": 1.5}, "gamma, the adaptivity rate"),
        ({"gamma": float("nan")}, "gamma, the adaptivity rate"),
        ({"threshold": -1.0}, "threshold must be a finite number of at least 0"),
        ({"threshold": float("inf")}, "threshold must be a finite number of at least 0"),
        ({"sigma": 0.0}, "sigma, the rate of the second moment"),
        ({"gamma": "fast"}, "gamma, the adaptivity rate"),
    ],
)
def test_refuses_hyperparameters(wrong, message):
    weight = parameter((3,))
    kind, rates = (Bop2ndOrder, {"sigma": 0.1}) if "sigma" in wrong else (Bop, {})
    with pytest.raises(ConfigError, match=message):
        kind([weight], **(RATES | rates | wrong))
    optimizer = kind([weight], **RATES, **rates)
    with pytest.raises(ConfigError, match=message):
        optimizer.add_param_group({"params": [parameter((2,))], **wrong})
    assert len(optimizer.param_groups) == 1  # it stays as it was


def test_a_group_has_gamma_or_lr():
    optimizer = Bop([parameter((3,))])
    with pytest.raises(ConfigError, match="gamma or lr, not both"):
        optimizer.add_param_group({"params": [parameter((3,))], "gamma": 0.1, "lr": 0.1})
    optimizer.param_groups[0]["gamma"] = 0.5
    with pytest.raises(ConfigError, match=r'γ is group\["lr"\]'):
        optimizer.step()


def test_a_schedule_may_end_at_zero_and_not_below():
    weight = parameter((3,))
    weight.grad = torch.ones(3)
    optimizer = Bop2ndOrder([weight], **RATES, sigma=0.1)
    (group,) = optimizer.param_groups
    for key, message in (
        ("lr", r'group\["lr"\], the adaptivity rate, must be a number in \(0, 1\]'),
        ("sigma", r'group\["sigma"\], the rate of the second moment, must be a number in \(0, 1\]'),
        ("threshold", r'group\["threshold"\] must be a finite number of at least 0'),
    ):
        before = group[key]
        for right in (0.0, 1e-40, torch.tensor(0.5)):
            group[key] = right
            optimizer.step()
        for wrong in (-0.1, float("inf"), float("nan"), "fast"):
            group[key] = wrong
            with pytest.raises(ConfigError, match=message):
                optimizer.step()
        group[key] = before


@pytest.mark.parametrize("values", [[0.3, 1.0], [0.0, 1.0], [float("nan"), 1.0]])
def test_refuses_weights_that_are_not_binary_before_any_flips(values):
    good, bad = parameter((2,)), torch.nn.Parameter(torch.tensor(values))
    before = good.detach().clone()
    good.grad = bad.grad = 100 * torch.ones(2)
    optimizer = Bop([("good", good), ("bad", bad)], gamma=1.0)
    with pytest.raises(ConfigError, match=r"parameter bad holds values other than -1 and \+1"):
        optimizer.step()
    assert torch.equal(good, before)
    binarize_(bad)
    optimizer.step()


def test_refuses_sparse_gradients_and_complex_parameters():
    weight = parameter((4, 2))
    weight.grad = torch.ones(4, 2).to_sparse()
    with pytest.raises(TypeError, match=r"parameter 0\.0 is sparse; Bop needs every weight's"):
        Bop([weight]).step()
    with pytest.raises(ConfigError, match=r"floating-point type; got torch\.complex64"):
        Bop([torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))])
