r"""Train BinaryNet with Bop in PyTorch, with the layers, rates and seeds of `bopkit train`.

python examples/pytorch_binarynet.py --output-dir runs/pytorch-0 --seed 0
python examples/pytorch_binarynet.py --output-dir runs/pytorch-cifar10 --dataset cifar10 --augment \
    --epochs 60 --batch-size 50 --gamma 3e-3 --gamma-decay-rate 0.926 --threshold 0 \
    --precision mixed_bfloat16 --compile
"""

import argparse
import shlex
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bopkit import records
from bopkit.data import DATASETS
from bopkit.pytorch import BinaryConv2d, BinaryLinear, Bop, split_parameters


def norm(kind, size):
    """Make a batch normalization with Keras' defaults, and without a scale that is trained."""
    layer = kind(size, eps=1e-3, momentum=0.01)
    layer.weight.requires_grad_(False)
    return layer


class Flatten(nn.Module):
    """Flatten maps with the channels last, so that the weights stand in Keras' order."""

    def forward(self, x):
        """Return (images, height * width * channels)."""
        return x.permute(0, 2, 3, 1).flatten(1)


def binarynet(image_shape, num_classes, filters=32, dense_units=256):
    """Build the layers of `bopkit.models.binarynet` for images of (height, width, channels)."""
    channels, layers = filters, []
    layers += [BinaryConv2d(image_shape[2], filters, 3, binary_input=False)]
    layers += [norm(nn.BatchNorm2d, filters)]
    for width, pool in ((1, True), (2, False), (2, True), (4, False), (4, True)):
        layers.append(BinaryConv2d(channels, width * filters, 3, padding=1))
        channels = width * filters
        layers += [nn.MaxPool2d(2)] * pool + [norm(nn.BatchNorm2d, channels)]
    sides = [(side - 2) // 2 // 2 // 2 for side in image_shape[:2]]
    inputs = sides[0] * sides[1] * channels
    layers.append(Flatten())
    for units in (dense_units, dense_units, num_classes):
        layers += [BinaryLinear(inputs, units), norm(nn.BatchNorm1d, units)]
        inputs = units
    return nn.Sequential(*layers)


def load(name, data_dir, examples):
    """Read images, scaled to [-1, 1], channels first, and labels, of both splits."""
    for split in ("train", "test"):
        images, labels = DATASETS[name].read(split, data_dir)
        images, labels = (np.array(a[:examples]) for a in (images, labels))
        yield torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1, torch.from_numpy(labels)


def augment(images):
    """Flip half of the images, and shift all of them by up to four pixels, with one random draw."""
    images = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)
    padded = nn.functional.pad(images, (4, 4, 4, 4), value=-1.0)  # black
    top, left = torch.randint(9, (2, len(images))).tolist()
    height, width = images.shape[2:]
    parts = zip(padded, top, left, strict=True)
    return torch.stack([image[:, t : t + height, x : x + width] for image, t, x in parts])


def evaluate(model, images, labels, half):
    """Return the loss and the accuracy on a whole set."""
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        logits = torch.cat([model(batch).float() for batch in images.split(1000)])
    model.train()
    loss = nn.functional.cross_entropy(logits, labels).item()
    return loss, (logits.argmax(1) == labels).float().mean().item()


def read_settings():
    """Return the settings and the command that repeats them, without this machine's folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="fashion_mnist", choices=["fashion_mnist", "cifar10"])
    parser.add_argument("--data-dir", help="folder of the data; default: the usual places")
    parser.add_argument("--output-dir", type=Path, required=True)
    for name, value in {"seed": 0, "epochs": 6, "batch_size": 100, "filters": 32}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    parser.add_argument("--dense-units", type=int, default=256)
    parser.add_argument("--examples", type=int, help="take only the first images of each split")
    rates = {"gamma": 1e-3, "gamma_end": 1e-6, "threshold": 1e-8}
    for name, value in (rates | {"learning_rate": 1e-2, "learning_rate_end": 1e-5}).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value)
    parser.add_argument("--gamma-decay-rate", type=float, help="factor on γ after each epoch; "
                        "default: γ falls on a line to --gamma-end")  # fmt: skip
    parser.add_argument("--augment", action="store_true", help="crop and flip at random")
    precisions = ["float32", "mixed_bfloat16"]
    parser.add_argument("--precision", default=precisions[0], choices=precisions)
    parser.add_argument("--compile", action="store_true", help="compile the network: torch.compile")
    settings = parser.parse_args()
    words = ["python", "examples/pytorch_binarynet.py"]
    for name, value in vars(settings).items():
        if name not in ("output_dir", "data_dir") and value != parser.get_default(name):
            words.append(f"--{name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return settings, shlex.join(words)


def main():
    """Train, print a line per epoch, and write the record."""
    settings, command = read_settings()
    torch.manual_seed(settings.seed)
    (images, labels), held_out = load(settings.dataset, settings.data_dir, settings.examples)
    shape = [*images.shape[2:], images.shape[1]]
    model = binarynet(shape, 10, settings.filters, settings.dense_units)
    model = model.to(memory_format=torch.channels_last)  # what a CPU's convolutions like best
    forward = torch.compile(model) if settings.compile else model
    half = settings.precision == "mixed_bfloat16"
    binary, others = split_parameters(model)
    bop = Bop(binary, gamma=settings.gamma, threshold=settings.threshold)
    adam = torch.optim.Adam(others, settings.learning_rate, eps=1e-7)
    size = settings.batch_size
    steps = len(images) // size
    total_steps = settings.epochs * steps
    rate, gamma_end = settings.gamma_decay_rate, settings.gamma_end / settings.gamma
    end = settings.learning_rate_end / settings.learning_rate
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(bop, lambda step: rate ** (step // steps))
        if rate
        else torch.optim.lr_scheduler.LinearLR(bop, 1.0, gamma_end, total_steps),
        torch.optim.lr_scheduler.LinearLR(adam, 1.0, end, total_steps),
    ]
    record = new_record(settings, command, shape, len(images), len(held_out[0]), model, bop, steps)
    for epoch in range(1, settings.epochs + 1):
        started, before = time.perf_counter(), int(bop.total_flips())
        total, right = 0.0, 0
        for chosen in torch.randperm(len(images))[: steps * size].split(size):
            batch = augment(images[chosen]) if settings.augment else images[chosen]
            batch = batch.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = forward(batch).float()
            loss = nn.functional.cross_entropy(logits, labels[chosen])
            bop.zero_grad(), adam.zero_grad()
            loss.backward()
            bop.step(), adam.step()
            for schedule in schedules:
                schedule.step()
            total += loss.item()
            right += int((logits.argmax(1) == labels[chosen]).sum())
        seconds = time.perf_counter() - started
        val_loss, val_accuracy = evaluate(model, *held_out, half)
        flips = (int(bop.total_flips()) - before) / bop.binary_weights / steps
        row = {"epoch": epoch, "seconds": round(seconds, 3), "loss": total / steps}
        row |= {"accuracy": right / steps / size, "val_loss": val_loss}
        row |= {"val_accuracy": val_accuracy, "flip_ratio": flips}
        row |= {"gamma": schedules[0].get_last_lr()[0]}
        row |= {"learning_rate": schedules[1].get_last_lr()[0]}
        record["epochs"].append(row)
        print(f"epoch {epoch}  accuracy {row['accuracy']:.1%}  flip ratio {flips:.1e}  "
              f"validation {val_accuracy:.1%}  {seconds:.0f} s", flush=True)  # fmt: skip
        done = epoch == settings.epochs
        record |= {"status": "completed" if done else "running"}
        record |= {"final": {k: v for k, v in row.items() if k != "seconds"} if done else None}
        records.write(settings.output_dir, record)
    torch.save(model.state_dict(), settings.output_dir / "model.pt")


def new_record(settings, command, shape, train_examples, validation_examples, model, bop, steps):
    """Begin a record in the form of `bopkit train`, with the version of PyTorch."""
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    config = {k: v for k, v in vars(settings).items() if k not in ("output_dir", "data_dir")}
    config["preprocess"] = "resize_and_flip" if config.pop("augment") else "default"
    config |= {"name": "binarynet/bop", "network": "binarynet", "method": "bop"}
    config |= {"gamma_end": None} if settings.gamma_decay_rate else {}
    config |= {"framework": "pytorch", "image_shape": shape, "holdout": 0}
    config |= {"train_examples": train_examples, "validation_examples": validation_examples}
    config |= {"steps_per_epoch": steps, "binary_weights": bop.binary_weights}
    return {
        "experiment": "binarynet/bop",
        "config": config,
        "dataset": settings.dataset,
        "seed": settings.seed,
        "command": command,
        "git_commit": records.git_commit(),
        "versions": records.versions() | {"torch": torch.__version__},
        "hardware": records.hardware(),
        "status": "running",
        "epochs": [],
        "final": None,
    }


if __name__ == "__main__":
    main()
