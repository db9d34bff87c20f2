"""BinaryNet in PyTorch trains, and writes a record in the form of `bopkit train`."""

import runpy
from pathlib import Path

import pytest

from bopkit import records
from bopkit.data import fashion_mnist

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "pytorch_binarynet.py"


def train(require, tmp_path, monkeypatch, *options):
    require(fashion_mnist.find("train") is not None, "Fashion-MNIST is not there")
    sizes = ["--examples", "200", "--epochs", "2", "--filters", "8", "--dense-units", "16"]
    where = ["--output-dir", str(tmp_path / "run")]
    monkeypatch.setattr("sys.argv", [EXAMPLE.name, *where, *sizes, *options])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    return records.read(tmp_path / "run")


def test_it_trains_and_writes_a_record(require, tmp_path, monkeypatch, capsys):
    record = train(require, tmp_path, monkeypatch)
    assert record["status"] == "completed" and len(record["epochs"]) == 2
    assert record["config"]["framework"] == "pytorch" and "torch" in record["versions"]
    assert record["final"]["gamma"] == pytest.approx(1e-6)
    assert record["command"].startswith("python examples/pytorch_binarynet.py --epochs 2")
    assert record["command"].endswith("--filters 8 --dense-units 16 --examples 200")
    assert 0 < record["final"]["flip_ratio"] < 1
    assert "validation" in capsys.readouterr().out


def test_it_decays_gamma_by_a_factor_in_sixteen_bits(require, tmp_path, monkeypatch):
    rates = ["--gamma", "1e-2", "--gamma-decay-rate", "0.5", "--threshold", "0"]
    half = ["--precision", "mixed_bfloat16", "--augment"]
    record = train(require, tmp_path, monkeypatch, *rates, *half)
    # After the last step of epoch 1 the schedule stands at the second epoch's γ.
    assert [row["gamma"] for row in record["epochs"]] == pytest.approx([5e-3, 2.5e-3])
    assert record["config"]["gamma_end"] is None
    assert record["config"]["precision"] == "mixed_bfloat16"
    assert 0 < record["final"]["flip_ratio"] < 1


@pytest.mark.parametrize("where", [["--output-dir", "my runs"], ["--output-dir=/scratch/me/x"]])
def test_the_command_in_the_record_names_no_folder_of_this_machine(monkeypatch, where):
    monkeypatch.setattr("sys.argv", [EXAMPLE.name, *where, "--seed", "3", "--compile"])
    _, command = runpy.run_path(str(EXAMPLE))["read_settings"]()
    assert command == "python examples/pytorch_binarynet.py --seed 3 --compile"


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


def test_the_augmentation_keeps_the_size_and_moves_the_pixels_before_black():
    import torch

    images = torch.rand(20, 3, 32, 32) - 0.5  # without black, which is -1
    moved = runpy.run_path(str(EXAMPLE))["augment"](images)
    assert moved.shape == images.shape
    edges = (moved[:, :, 0] == -1).all(dim=(1, 2))
    assert 0 < int(edges.sum()) < 20  # some are shifted down, and show the padding
    assert int((moved == 0).sum()) == 0
