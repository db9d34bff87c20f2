"""Bop in PyTorch: its update against PyTorch's Adam, a step in 16 bits against latent weights."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from torch import nn

from benchmarks.timing import in_turn, ratio, summary
from bopkit.pytorch import BinaryConv2d, BinaryLinear, Bop, binarize_, sign_ste, split_parameters

WEIGHTS = 10_000_000
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(smoke: bool) -> dict:
    """Measure.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    can_compile = bool(shutil.which("g++") or shutil.which("clang++"))
    seconds = in_turn(_updates(smoke, can_compile), 2 if smoke else 31, warmup=3)
    figures = {
        f"update, {name}": ratio(
            f"updates per second of Bop{how} against PyTorch's fused Adam",
            seconds["update, fused Adam"],
            seconds[f"update, {name}"],
            at_least=1.0 if name == "Bop compiled" else None,
        )
        for name, how in (("Bop", ""), ("Bop compiled", ", compiled,"))
        if f"update, {name}" in seconds
    }
    figures["update, Adam"] = ratio(
        "updates per second of Bop against PyTorch's Adam as it is by default",
        seconds["update, Adam"],
        seconds["update, Bop"],
    )
    steps = in_turn(_steps(smoke), 2 if smoke else 11)
    figures["step"] = ratio(
        "steps per second in bfloat16, Bop against latent weights with Adam",
        steps["step, latent weights"],
        steps["step, Bop"],
    )
    times = {name: summary(values) for name, values in (seconds | steps).items()}
    settings = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    return {"settings": settings, "times": times, "ratios": figures}


def _updates(smoke, can_compile):
    size = WEIGHTS // 100 if smoke else WEIGHTS
    gradient = torch.randn(size, generator=torch.Generator().manual_seed(0))

    def weights():
        parameter = nn.Parameter(binarize_(gradient.flip(0)))
        parameter.grad = gradient
        return [parameter]

    # γ as a tensor, as for a schedule: a number would be compiled anew at each change.
    bop = Bop(weights(), gamma=torch.tensor(1e-4))
    runs = {
        "update, Bop": lambda: _ignore(bop.step()),
        "update, fused Adam": torch.optim.Adam(weights(), fused=True).step,
        "update, Adam": torch.optim.Adam(weights()).step,
    }
    if can_compile:
        compiled = torch.compile(Bop(weights(), gamma=torch.tensor(1e-4)).step)
        runs["update, Bop compiled"] = lambda: _ignore(compiled())
    return runs


class _Latent:
    """Compute with the signs of the weights, which `_stepper` clips."""

    def forward(self, x):
        weight = sign_ste(self.weight)
        x = sign_ste(x) if self.binary_input else x
        if isinstance(self, nn.Conv2d):
            return nn.functional.conv2d(x, weight, None, self.stride, self.padding)
        return nn.functional.linear(x, weight)


class _LatentConv2d(_Latent, BinaryConv2d):
    binary_parameters = ()


class _LatentLinear(_Latent, BinaryLinear):
    binary_parameters = ()


def _steps(smoke):
    sys.path.insert(0, str(EXAMPLES))
    import pytorch_binarynet

    sys.path.remove(str(EXAMPLES))
    sizes = (8, 16) if smoke else (128, 1024)
    images, labels = torch.randn(50, 3, 32, 32), torch.randint(10, (50,))
    runs = {}
    for name in ("Bop", "latent weights"):
        model = pytorch_binarynet.binarynet((32, 32, 3), 10, *sizes)
        latent = []
        if name == "Bop":
            binary, others = split_parameters(model)
            optimizers = [Bop(binary), torch.optim.Adam(others, fused=True)]
        else:
            for layer in model:
                if isinstance(layer, BinaryConv2d | BinaryLinear):
                    kind = _LatentConv2d if isinstance(layer, BinaryConv2d) else _LatentLinear
                    layer.__class__ = kind
                    latent.append(nn.init.uniform_(layer.weight, -0.1, 0.1))
            trained = [p for p in model.parameters() if p.requires_grad]
            optimizers = [torch.optim.Adam(trained, fused=True)]
        runs[f"step, {name}"] = _stepper(model, optimizers, latent, images, labels)
    return runs


def _stepper(model, optimizers, latent, images, labels):
    def step():
        for optimizer in optimizers:
            optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            for weight in latent:
                weight.clamp_(-1, 1)

    return step


def _ignore(_):
    return None
