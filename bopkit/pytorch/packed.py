"""Exchange weights with Keras through the packed files of `bopkit export` and `save_packed`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from bopkit.deploy import archives, packed_file
from bopkit.errors import ConfigError, DataError


class _Entry(NamedTuple):
    name: str
    tensor: torch.Tensor
    bits: int
    axes: tuple[int, ...]  # Keras' axes, in PyTorch's numbers


def load_packed(path: str | os.PathLike, into: nn.Module) -> nn.Module:
    """Fill a network with the weights that `save_packed`, here or in Keras, wrote.

    The layers must have the order of the Keras network, and maps must be flattened with the
    channels last, as in ``x.permute(0, 2, 3, 1).flatten(1)``. Each batch normalization needs the
    epsilon of the Keras network, which the file does not hold. For Keras' default, pass
    ``eps=1e-3``, because PyTorch's is 1e-5. A batch normalization whose scale is frozen stands for
    one with ``scale=False`` in Keras. Nothing in the file is run. If the file is refused, the
    network stays as it was.

    Args:
        path: the file.
        into: a network of the same layers and sizes.

    Returns:
        `into`, with the weights of the file.

    Raises:
        ConfigError: a layer of the network has no counterpart in the file's format.
        DataError: the file cannot be read, is damaged, of another kind or version, or of a network
            with other weights.

    Example:
        >>> layer, other = (bopkit.pytorch.BinaryLinear(20, 30) for _ in range(2))
        >>> size = save_packed(layer, "torch.npz")
        >>> torch.equal(load_packed("torch.npz", into=other).weight, layer.weight)
        True
    """
    entries = _entries(into)
    shapes = [tuple(e.tensor.shape[axis] for axis in e.axes) for e in entries]
    names, bits = ([getattr(entry, what) for entry in entries] for what in ("name", "bits"))
    arrays = packed_file.read(path, names, shapes, bits)
    with torch.no_grad():
        for entry, values in zip(entries, arrays, strict=True):
            back = np.transpose(values, np.argsort(entry.axes))
            entry.tensor.copy_(torch.from_numpy(np.array(back)))
        for module in filter(_is_norm, into.modules()):
            if module.affine and not module.weight.requires_grad:
                module.weight.fill_(1)
    return into


def save_packed(model: nn.Module, path: str | os.PathLike) -> int:
    """Write a network with one bit for each binary weight and float32 for everything else.

    `bopkit.load_packed` fills the same network of Keras with the file.

    Args:
        model: a network of convolutions, linear layers and batch normalizations, in the order of
            the Keras network.
        path: the file; by custom its name ends in ``.npz``.

    Returns:
        The file's size in bytes.

    Raises:
        ConfigError: a layer of the network has no counterpart in the file's format.
        DataError: a weight is NaN or infinite, float32 cannot hold it, a binary weight is not -1 or
            +1, or a frozen scale is not 1.
        OSError: the file cannot be written.

    Example:
        >>> save_packed(bopkit.pytorch.BinaryLinear(200, 50), "torch.npz") < 200 * 50  # bytes
        True
    """
    weights = []
    for name, tensor, bits, axes in _entries(model):
        values = tensor.detach().cpu().permute(axes).contiguous()
        # NumPy has no bfloat16, and float64 is for the file to refuse
        values = (values if values.dtype == torch.float64 else values.float()).numpy()
        archives.require_finite("the network", [(name, values)])
        if bits == 1 and not (np.abs(values) == 1).all():
            raise DataError(
                f"{name} holds values other than -1 and +1, which one bit cannot keep: call "
                "binarize_ on the layer, or train the network again."
            )
        weights.append((name, values, bits))
    for module in filter(_is_norm, model.modules()):
        if module.affine and not module.weight.requires_grad and not (module.weight == 1).all():
            raise DataError(
                "the scale of a batch normalization is frozen and not 1, so the file would lose "
                "it: set its requires_grad to True before you save."
            )
    network = {"class_name": type(model).__name__, "module": "torch.nn", "config": str(model)}
    return packed_file.write(path, network, weights)


def _is_norm(module):
    return isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)


def _entries(model: nn.Module) -> list[_Entry]:
    """What the file holds of the network, in Keras' order and layout."""
    found, known = [], []
    for path, module in model.named_modules():
        found += _entries_of_layer(path, module)
        if _is_norm(module):
            known += [module.weight, module.num_batches_tracked]  # a frozen scale is 1
    known += [entry.tensor for entry in found]
    for name, value in model.state_dict(keep_vars=True).items():
        if not any(value is tensor for tensor in known):
            raise ConfigError(
                f"the packed format has no place for {name}: take it out of the network, or make "
                "it a buffer with persistent=False if the network computes it by itself."
            )
    return found


def _entries_of_layer(path: str, module: nn.Module) -> Iterator[_Entry]:
    own = {name for name, _ in module.named_parameters(recurse=False)}
    if isinstance(module, nn.Conv2d | nn.Linear):
        bits = 1 if "weight" in getattr(module, "binary_parameters", ()) else 32
        # Keras: (height, width, in, out) and (in, out)
        axes = (2, 3, 1, 0) if isinstance(module, nn.Conv2d) else (1, 0)
        yield _Entry(f"{path}/kernel:0", module.weight, bits, axes)
        if module.bias is not None:
            yield _Entry(f"{path}/bias:0", module.bias, 32, (0,))
    elif _is_norm(module) and module.track_running_stats:
        if module.affine and module.weight.requires_grad:
            yield _Entry(f"{path}/gamma:0", module.weight, 32, (0,))
        if module.affine:
            yield _Entry(f"{path}/beta:0", module.bias, 32, (0,))
        yield _Entry(f"{path}/moving_mean:0", module.running_mean, 32, (0,))
        yield _Entry(f"{path}/moving_variance:0", module.running_var, 32, (0,))
    elif own or _is_norm(module):
        raise ConfigError(
            f"the packed format holds Conv2d, Linear and batch normalization with running "
            f"statistics; {path or 'the network'} is {type(module).__name__}."
        )
