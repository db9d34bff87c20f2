"""Binarize in PyTorch: a sign with a surrogate gradient, two layers, and marks on parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

from bopkit.errors import ConfigError
from bopkit.rules.ranges import check_positive


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, clip):
        ctx.save_for_backward(x)
        ctx.clip = clip
        return _signs(x)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        # ∂L/∂x := ∂L/∂sign(x) where |x| ≤ c, and 0 elsewhere
        return gradient * (x.abs() <= ctx.clip), None


def _signs(x):
    one = torch.ones((), dtype=x.dtype, device=x.device)
    return torch.where(x >= 0, one, -one)


def sign_ste(x: torch.Tensor, clip: float = 1.0) -> torch.Tensor:
    r"""Binarize, and pass the gradient through by the straight-through estimator.

    .. math:: \frac{\partial L}{\partial x} := \frac{\partial L}{\partial \operatorname{sign}(x)}
              \cdot 1_{|x| \le c}

    Args:
        x: real numbers; any shape.
        clip: :math:`c > 0`; the gradient passes unchanged where :math:`|x| \le c`.

    Returns:
        -1 below zero and for NaN, +1 at zero and above, of `x`'s shape and type.

    Raises:
        ValueError: `clip` is not above 0.

    Source:
        Bengio et al. 2013, arXiv:1308.3432; the clipped form of Hubara et al. 2016.

    Example:
        >>> x = torch.tensor([-2.0, 0.0, 0.3], requires_grad=True)
        >>> sign_ste(x).tolist()
        [-1.0, 1.0, 1.0]
        >>> sign_ste(x).sum().backward()
        >>> x.grad.tolist()
        [0.0, 1.0, 1.0]
    """
    check_positive(clip, "clip", math.inf)
    return _Sign.apply(x, clip)


def binarize_(
    target: torch.Tensor | nn.Module, names: Iterable[str] = ("weight",)
) -> torch.Tensor | nn.Module:
    """Replace real numbers by their signs in place; of a layer, mark the parameters as binary.

    Args:
        target: a tensor; or a layer of PyTorch's own, whose parameters `split_parameters` then
            counts among the binary ones.
        names: of the layer's parameters; a tensor has none.

    Returns:
        `target`, with -1 below zero and for NaN, and +1 at zero and above.

    Raises:
        ConfigError: the layer has no such parameter; it stays as it was.

    Example:
        >>> binarize_(torch.tensor([-0.5, 0.0, 2.0])).tolist()
        [-1.0, 1.0, 1.0]
        >>> layer = binarize_(torch.nn.Linear(20, 30, bias=False))
        >>> [name for name, _ in split_parameters(layer)[0]]
        ['weight']
    """
    if isinstance(target, torch.Tensor):
        with torch.no_grad():
            return target.copy_(_signs(target))
    names, own = tuple(names), dict(target.named_parameters(recurse=False))
    for name in names:
        if name not in own:
            raise ConfigError(
                f"{type(target).__name__} has no parameter {name!r} of its own; there are: "
                f"{', '.join(own) or 'none'}."
            )
    with torch.no_grad():
        for name in names:
            own[name].copy_(_signs(own[name]))
    # On the layer: a copy of a parameter would lose what is written on the parameter.
    marked = getattr(target, "binary_parameters", ())
    target.binary_parameters = tuple(dict.fromkeys((*marked, *names)))
    return target


def split_parameters(
    model: nn.Module,
) -> tuple[list[tuple[str, nn.Parameter]], list[tuple[str, nn.Parameter]]]:
    """Split the parameters of a model into the binary ones and the others.

    A layer names its binary parameters in `binary_parameters`, as `BinaryLinear` and `BinaryConv2d`
    do, and every layer that was given to `binarize_`. Write ``binary_parameters = ("weight",)``
    into the class of a layer of your own.

    Args:
        model: any model.

    Returns:
        Two lists of pairs of name and parameter, which every optimizer of PyTorch takes.

    Example:
        >>> model = torch.nn.Sequential(BinaryLinear(20, 30), torch.nn.BatchNorm1d(30))
        >>> binary, others = split_parameters(model)
        >>> [name for name, _ in binary], [name for name, _ in others]
        (['0.weight'], ['1.weight', '1.bias'])
    """
    marked = {
        id(getattr(module, name))
        for module in model.modules()
        for name in getattr(module, "binary_parameters", ())
    }
    binary, others = [], []
    for name, parameter in model.named_parameters():
        (binary if id(parameter) in marked else others).append((name, parameter))
    return binary, others


class _RandomSigns:
    """Start a layer's weights at random signs, and mark them as binary."""

    binary_parameters = ("weight",)

    def reset_parameters(self) -> None:
        """Draw random signs."""
        with torch.no_grad():
            binarize_(self.weight.uniform_(-1, 1))


class BinaryLinear(_RandomSigns, nn.Linear):
    """Multiply binary inputs by binary weights, as larq's `QuantDense` does; no bias.

    The weights are -1 and +1 from the start, drawn at random, and `Bop` flips them.

    Args:
        in_features: size of each input.
        out_features: size of each output.
        binary_input: take the signs of the input, with `sign_ste`; false for a network's first
            layer, whose inputs are real.
        device: of the weights.
        dtype: of the weights.

    Example:
        >>> layer = BinaryLinear(20, 30)
        >>> layer(torch.randn(8, 20)).shape, layer.weight.abs().unique().tolist()
        (torch.Size([8, 30]), [1.0])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        binary_input: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(in_features, out_features, bias=False, device=device, dtype=dtype)
        self.binary_input = binary_input

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply the input, or its signs, by the binary weights.

        Args:
            x: the input; (..., `in_features`).

        Returns:
            The products; (..., `out_features`).

        Example:
            >>> layer = BinaryLinear(3, 1)
            >>> x = torch.tensor([[0.3, -2.0, 0.0]])  # its signs are 1, -1 and 1
            >>> layer(x).item() == (layer.weight @ torch.tensor([1.0, -1.0, 1.0])).item()
            True
        """
        return functional.linear(sign_ste(x) if self.binary_input else x, self.weight)


class BinaryConv2d(_RandomSigns, nn.Conv2d):
    """Convolve binary inputs with binary weights, as larq's `QuantConv2D` does; no bias.

    The padding is 0, as larq's is, and is added after the signs are taken.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the window in pixels, or (height, width).
        binary_input: as for `BinaryLinear`.
        **options: `stride`, `padding`, `dilation`, `groups`, `device` and `dtype`, as for
            `torch.nn.Conv2d`.

    Example:
        >>> layer = BinaryConv2d(3, 8, 3, padding=1, binary_input=False)
        >>> layer(torch.randn(2, 3, 28, 28)).shape
        torch.Size([2, 8, 28, 28])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        binary_input: bool = True,
        **options,
    ):
        super().__init__(in_channels, out_channels, kernel_size, bias=False, **options)
        self.binary_input = binary_input

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve the input, or its signs, with the binary weights.

        Args:
            x: the input; (images, channels, height, width).

        Returns:
            The output; (images, channels, height, width), with `out_channels` channels.

        Example:
            >>> layer = BinaryConv2d(2, 5, 3, padding=1)
            >>> y = layer(torch.randn(1, 2, 4, 4))
            >>> y.shape, y.abs().max().item() <= 3 * 3 * 2  # products of -1 and +1 are added
            (torch.Size([1, 5, 4, 4]), True)
        """
        return super().forward(sign_ste(x) if self.binary_input else x)
