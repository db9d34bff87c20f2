"""Flip the weights of many tensors, in one pass over them or block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

# Weights per thread and block: what an update writes and reads again then stays in a core's cache.
BLOCK = 2**16


def flip(
    weights: list[torch.Tensor], signals: list[torch.Tensor], threshold: float
) -> list[torch.Tensor]:
    """Flip each weight w in place where w times its signal s is above the threshold.

    Args:
        weights: binary weights, changed in place.
        signals: as many tensors of the same shapes.
        threshold: the threshold τ.

    Returns:
        How many weights of each tensor flipped, as scalars.
    """
    evidence = torch._foreach_mul(weights, signals)
    # flip where w·s > τ, strictly: 1 there, and 0 elsewhere
    for each in evidence:
        each.gt_(threshold)
    counts = [_count(each) for each in evidence]
    flips = [each.to(w.dtype) for each, w in zip(evidence, weights, strict=True)]
    # w - 2 w = -w where a weight flips, which is exact
    torch._foreach_addcmul_(weights, weights, flips, -2.0)
    return counts


def in_passes(
    update: Callable[[list, list], list[torch.Tensor]],
    tensors: list[list[torch.Tensor]],
    states: list[dict],
    together: bool | None,
) -> list[torch.Tensor]:
    """Update many parameters in one pass, or one after the other and block by block.

    Args:
        update: updates some parameters, from their tensors and their states, and returns the number
            of flips of each.
        tensors: what the update of each parameter reads and writes; the weights come first.
        states: what is kept of each parameter.
        together: whether to make one pass; `None` makes one on a GPU and under a compiler.

    Returns:
        The number of flips of each parameter.
    """
    compiling = torch.compiler.is_compiling()  # a compiler makes one pass of it by itself
    if together is None:
        together = compiling or all(weights.device.type != "cpu" for weights, *_ in tensors)
    if together:
        return update(tensors, states)
    counts = []
    for each, state in zip(tensors, states, strict=True):
        parts = [each] if compiling else _blocks(each)
        found = [count for part in parts for count in update([part], [state])]
        counts.append(torch.stack(found).sum(dtype=torch.int64))
    return counts


def _count(flips: torch.Tensor) -> torch.Tensor:
    # A sum is the faster way to count, and float32 holds every whole number up to 2^24.
    return flips.sum() if flips.numel() <= 2**24 else torch.count_nonzero(flips)


def _blocks(tensors: list[torch.Tensor]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Cut the weights of a large parameter, and all that is kept of them, into blocks."""
    first = tensors[0]
    # In the order of memory, which `channels_last` changes.
    order = sorted(range(first.dim()), key=first.stride, reverse=True)
    ordered = [tensor.permute(order) for tensor in tensors]
    size = BLOCK * torch.get_num_threads()
    if first.numel() <= size or not all(tensor.is_contiguous() for tensor in ordered):
        return iter([tensors])
    return zip(*(tensor.view(-1).split(size) for tensor in ordered), strict=True)
