"""Weights go from Keras to PyTorch and back, and both networks predict the same."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bopkit.errors import ConfigError, DataError
from bopkit.pytorch import BinaryLinear, Bop, binarize_, load_packed, save_packed, split_parameters

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (28, 28, 1)


@pytest.fixture
def binarynet(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    from pytorch_binarynet import binarynet

    yield lambda seed: (torch.manual_seed(seed), binarynet(SHAPE, 10, 8, 16).eval())[1]
    sys.modules.pop("pytorch_binarynet")


def images():
    return np.random.default_rng(1).uniform(-1, 1, (40, *SHAPE)).astype(np.float32)


def predictions(model):
    with torch.no_grad():
        return torch.softmax(model(torch.from_numpy(images()).permute(0, 3, 1, 2)), 1).numpy()


def test_binarynet_goes_from_keras_to_pytorch_and_back(binarynet, tmp_path):
    import bopkit

    keras, again = (bopkit.models.binarynet(SHAPE, 10, filters=8, dense_units=16) for _ in range(2))
    random = np.random.default_rng(0)
    for variable in keras.weights:  # batch normalization as after training
        if "kernel" not in variable.name:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    bopkit.save_packed(keras, tmp_path / "keras.npz")
    model = load_packed(tmp_path / "keras.npz", into=binarynet(0))
    np.testing.assert_allclose(predictions(model), keras(images()), atol=2e-5)
    save_packed(model, tmp_path / "torch.npz")
    bopkit.load_packed(tmp_path / "torch.npz", into=again)
    for one, other in zip(keras.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # The loaded network trains on.
    binary, _ = split_parameters(model)
    model.train()(torch.randn(8, 1, 28, 28)).square().sum().backward()
    Bop(binary, gamma=0.1).step()


def test_layers_of_pytorchs_own_keep_their_scale_and_bias(tmp_path):
    def build():
        return torch.nn.Sequential(
            binarize_(torch.nn.Linear(20, 30)), torch.nn.BatchNorm1d(30), torch.nn.Linear(30, 3)
        )

    model, other = build(), build()
    with torch.no_grad():
        model[1].weight.uniform_()
    save_packed(model, tmp_path / "a.npz")
    load_packed(tmp_path / "a.npz", into=other)
    for name, value in model.state_dict().items():
        if name != "1.num_batches_tracked":
            torch.testing.assert_close(other.state_dict()[name], value, rtol=0, atol=0)


class Scaled(BinaryLinear):
    """A layer of a reader's own, with a parameter or a buffer that Keras' layer lacks."""

    def __init__(self, *sizes, **buffer):
        super().__init__(*sizes)
        if buffer:
            self.register_buffer("scale", torch.ones(()), **buffer)
        else:
            self.scale = torch.nn.Parameter(torch.ones(()))


@pytest.mark.parametrize(
    "model",
    [
        Scaled(4, 2),
        torch.nn.Sequential(Scaled(4, 2, persistent=True)),
        torch.nn.Sequential(BinaryLinear(4, 2), torch.nn.SyncBatchNorm(2, affine=False)),
    ],
)
def test_refuses_state_that_it_would_lose(model, tmp_path):
    for use in (save_packed, lambda model, path: load_packed(path, into=model)):
        with pytest.raises(ConfigError, match=r"has no place for .*(scale|running_mean): take it"):
            use(model, tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def test_a_layer_that_is_used_twice_is_saved_once(tmp_path):
    layer = Scaled(4, 4, persistent=False)
    save_packed(torch.nn.Sequential(layer, layer), tmp_path / "a.npz")
    other = Scaled(4, 4, persistent=False)
    load_packed(tmp_path / "a.npz", into=torch.nn.Sequential(other, other))
    assert torch.equal(other.weight, layer.weight)


def test_refuses_what_the_file_cannot_hold(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(ConfigError, match=r"batch normalization .* 0 is LayerNorm"):
        save_packed(torch.nn.Sequential(torch.nn.LayerNorm(3)), path)
    layer = BinaryLinear(4, 2)
    with torch.no_grad():
        layer.weight[0, 0] = 0.5
    with pytest.raises(DataError, match=r"values other than -1 and \+1"):
        save_packed(layer, path)
    frozen = torch.nn.BatchNorm1d(3)
    torch.nn.init.constant_(frozen.weight, 2).requires_grad_(False)
    with pytest.raises(DataError, match="frozen and not 1"):
        save_packed(frozen, path)
    with pytest.raises(DataError, match="kernel:0 is float64 and holds numbers that float32"):
        save_packed(torch.nn.Linear(4, 2, dtype=torch.float64), path)
    assert not path.exists()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_binary_weights_of_any_type_come_back(kind, tmp_path):
    layer = BinaryLinear(4, 2, dtype=kind)
    save_packed(layer, tmp_path / "a.npz")
    again = load_packed(tmp_path / "a.npz", into=BinaryLinear(4, 2, dtype=kind))
    assert torch.equal(layer.weight, again.weight) and again.weight.dtype == kind


def test_a_refused_file_changes_nothing(tmp_path):
    path = tmp_path / "a.npz"
    save_packed(BinaryLinear(4, 2), path)
    for other in (BinaryLinear(4, 3), torch.nn.Linear(4, 2, bias=False)):
        before = other.weight.detach().clone()
        with pytest.raises(DataError, match="other shapes"):
            load_packed(path, into=other)
        assert torch.equal(before, other.weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_named_as_such(value, tmp_path):
    layer = BinaryLinear(4, 3)
    with torch.no_grad():
        layer.weight[0, 0] = value
    with pytest.raises(DataError, match=r"NaN or infinity in .*kernel"):
        save_packed(layer, tmp_path / "model.npz")
    assert not (tmp_path / "model.npz").exists()
