"""Training steps of the same network in PyTorch: in this process, or in one of its own.

A process of its own reads the name of a contestant from each line, makes one step, and writes the
seconds it took. So PyTorch and TensorFlow share no threads.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


class Peer:
    """A process that makes PyTorch's steps."""

    def __init__(self, smoke: bool) -> None:
        """Start it.

        Args:
            smoke: a small network.
        """
        command = [sys.executable, "-m", "benchmarks.torch_steps", *(["--smoke"] * smoke)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, **pipes)

    def stepper(self, name: str) -> Callable[[], float]:
        """A function that makes one step of a contestant and returns the seconds it took.

        Args:
            name: as `step` takes it.

        Raises:
            RuntimeError: when it is called, and the process has ended.
        """

        def run():
            print(name, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
            if not answer:
                raise RuntimeError(f"PyTorch's process ended at {name!r}; its message is above.")
            return float(answer)

        return run

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def can_compile() -> bool:
    """Whether there is the C++ compiler that `torch.compile` needs on a processor."""
    return bool(shutil.which("g++") or shutil.which("clang++"))


def step(name: str, smoke: bool) -> Callable[[], None]:
    """Make a function that trains BinaryNet for one step on the same batch of noise.

    Args:
        name: method, precision and batch, such as "latent mixed_bfloat16 compiled, batch 50"; the
            method is "latent", sign with a straight-through estimator and fused Adam, or "bop".
        smoke: a small network.

    Returns:
        The function.
    """
    import torch
    from torch import nn

    from bopkit.pytorch import BinaryConv2d, BinaryLinear, Bop, sign_ste, split_parameters

    class Latent:
        """Compute with the signs of the weights, which the step clips."""

        def forward(self, x):
            weight = sign_ste(self.weight)
            x = sign_ste(x) if self.binary_input else x
            if isinstance(self, nn.Conv2d):
                return nn.functional.conv2d(x, weight, None, self.stride, self.padding)
            return nn.functional.linear(x, weight)

    kinds = {
        kind: type(f"Latent{kind.__name__}", (Latent, kind), {"binary_parameters": ()})
        for kind in (BinaryConv2d, BinaryLinear)
    }
    how, _, batch = name.partition(", batch ")
    method, precision, *compiled = how.split()
    model = _binarynet()((32, 32, 3), 10, *((8, 16) if smoke else (128, 1024)))
    latent = []
    if method == "latent":
        for layer in (layer for layer in model if type(layer) in kinds):
            layer.__class__ = kinds[type(layer)]
            latent.append(nn.init.uniform_(layer.weight, -0.1, 0.1))
    binary, others = split_parameters(model)
    others = [parameter for _, parameter in others if parameter.requires_grad]
    # γ as a tensor, as for a schedule: a number would be compiled anew at each change.
    bop = [Bop(binary, gamma=torch.tensor(1e-4))] if binary else []
    optimizers = [torch.optim.Adam(others, fused=True), *bop]
    updates = [
        torch.compile(one.step) if compiled and one in bop else one.step for one in optimizers
    ]
    model = model.to(memory_format=torch.channels_last)
    forward = torch.compile(model) if compiled else model
    images = torch.randn(int(batch), 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (int(batch),))

    def train():
        for optimizer in optimizers:
            # With new arrays at every step, a compiled update would be compiled anew, and given up.
            optimizer.zero_grad(set_to_none=not (compiled and bop))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "mixed_bfloat16"):
            logits = forward(images)
        nn.functional.cross_entropy(logits.float(), labels).backward()
        for update in updates:
            update()
        with torch.no_grad():
            for weight in latent:
                weight.clamp_(-1, 1)

    return train


def _binarynet():
    sys.path.insert(0, str(EXAMPLES))
    import pytorch_binarynet

    sys.path.remove(str(EXAMPLES))
    return pytorch_binarynet.binarynet


def _serve(smoke):
    steps = {}
    for line in sys.stdin:
        name = line.strip()
        steps[name] = steps.get(name) or step(name, smoke)
        started = time.perf_counter()
        steps[name]()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    _serve("--smoke" in sys.argv)
