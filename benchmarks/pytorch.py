"""Bop in PyTorch: its update against PyTorch's Adam, a step in 16 bits against latent weights."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks import torch_steps
from benchmarks.timing import in_turn, ratio, summary
from bopkit.pytorch import Bop, binarize_

WEIGHTS = 10_000_000


def run(smoke: bool) -> dict:
    """Measure.

    Args:
        smoke: small and few, to see that it works.

    Returns:
        The section, as `benchmarks.report` stores it.
    """
    seconds = in_turn(_updates(smoke, torch_steps.can_compile()), 2 if smoke else 31, warmup=3)
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
    names = {"Bop": "bop", "latent weights": "latent"}
    steps = {
        f"step, {what}": torch_steps.step(f"{name} mixed_bfloat16, batch 50", smoke)
        for what, name in names.items()
    }
    steps = in_turn(steps, 2 if smoke else 11)
    figures["step"] = ratio(
        "steps per second in bfloat16, batch 50, not compiled: Bop in PyTorch against latent "
        "weights with Adam in PyTorch",
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


def _ignore(_):
    return None
