"""BinaryNet in PyTorch trains, and writes a record in the form of `bopkit train`."""

import runpy
from pathlib import Path

import pytest

from bopkit import records
from bopkit.data import fashion_mnist

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "pytorch_binarynet.py"


def test_it_trains_and_writes_a_record(require, tmp_path, monkeypatch, capsys):
    require(fashion_mnist.find("train") is not None, "Fashion-MNIST is not there")
    sizes = ["--examples", "200", "--epochs", "2", "--filters", "8", "--dense-units", "16"]
    monkeypatch.setattr("sys.argv", [EXAMPLE.name, "--output-dir", str(tmp_path / "run"), *sizes])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    record = records.read(tmp_path / "run")
    assert record["status"] == "completed" and len(record["epochs"]) == 2
    assert record["config"]["framework"] == "pytorch" and "torch" in record["versions"]
    assert record["final"]["gamma"] == pytest.approx(1e-6)
    assert 0 < record["final"]["flip_ratio"] < 1
    assert "validation" in capsys.readouterr().out


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_it_has_the_weights_of_the_keras_network(shape):
    from bopkit import models
    from bopkit.pytorch import split_parameters

    model = runpy.run_path(str(EXAMPLE))["binarynet"](shape, 10, filters=8, dense_units=16)
    binary, others = split_parameters(model)
    network = models.binarynet(shape, 10, filters=8, dense_units=16)
    total, in_keras = models.count_weights(network)
    assert sum(p.numel() for _, p in binary) == in_keras
    means = sum(buffer.numel() for name, buffer in model.named_buffers() if "running" in name)
    trained = sum(p.numel() for _, p in others if p.requires_grad)
    assert in_keras + trained + means == total


def test_the_augmentation_keeps_the_size_and_moves_the_pixels():
    import torch

    images = torch.rand(20, 3, 32, 32) + 1
    moved = runpy.run_path(str(EXAMPLE))["augment"](images)
    assert moved.shape == images.shape
    edges = (moved[:, :, 0] == 0).all(dim=(1, 2))
    assert 0 < int(edges.sum()) < 20  # some are shifted down, and show the padding
