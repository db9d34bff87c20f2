"""Train with Bop and Bop2ndOrder in PyTorch; `bopkit.rules` has the same rules in NumPy."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from bopkit.pytorch.base import FlipOptimizer
from bopkit.rules import EPSILON, ranges


def _average_(averages, values, rate):
    """Move averages in place: a + rate (x - a), rounded as NumPy rounds it."""
    # Not `lerp`, nor `add` with `alpha`: these multiply and add with one rounding.
    change = torch._foreach_sub(values, averages)
    torch._foreach_mul_(change, rate)
    torch._foreach_add_(averages, change)


class Bop(FlipOptimizer):
    r"""Flip binary parameters by the average of their gradients, one average per weight.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    Any other optimizer trains the parameters that are not binary; call the `step` of both.

    A gradient of NaN makes the average of its weight NaN, and such a weight never flips again. To
    stop at one, call ``torch.nn.utils.clip_grad_norm_(parameters, max_norm,
    error_if_nonfinite=True)`` before `step`, with ``max_norm=float("inf")`` to clip nothing.

    :math:`\gamma` is the group's ``lr``, so PyTorch's schedulers decay it:
    ``torch.optim.lr_scheduler.ExponentialLR(bop, 0.9)``.

    The update makes the same float32 operations as `bopkit.rules.bop_step`, so on a CPU it
    flips the same weights. On an accelerator a compiler may round differently.

    Args:
        params: the binary parameters, each -1 or +1; named pairs, as `split_parameters` returns
            them, give the counts their names. Or a list of groups, each with a `gamma` and a
            `threshold` of its own.
        gamma: the adaptivity rate :math:`\gamma \in (0, 1]`; a float or, for `torch.compile`
            and CUDA graphs, a tensor.
        threshold: :math:`\tau \ge 0`, in units of the gradient.
        foreach: update all parameters of a group together; `None` does so on accelerators. On
            a CPU it updates one parameter after the other, in blocks.

    Raises:
        ConfigError: `gamma` or `threshold` is out of range, or a parameter does not have a
            floating-point type.

    Source:
        Algorithm 2 of arXiv:1906.02107.

    Example:
        >>> layer = bopkit.pytorch.BinaryLinear(20, 30)
        >>> model = torch.nn.Sequential(layer, torch.nn.BatchNorm1d(30))
        >>> binary, others = bopkit.pytorch.split_parameters(model)
        >>> bop, adam = Bop(binary, gamma=1e-3), torch.optim.Adam(others)
        >>> decay = torch.optim.lr_scheduler.ExponentialLR(bop, 0.5)
        >>> model(torch.randn(8, 20)).square().sum().backward()
        >>> bop.step(); adam.step(); decay.step()
        >>> decay.get_last_lr()
        [0.0005]
    """

    def __init__(
        self,
        params: Iterable,
        *,  # by name: Keras' Bop takes the threshold first, and PyTorch's optimizers the rate
        gamma: float | torch.Tensor = 1e-4,
        threshold: float | torch.Tensor = 1e-8,
        foreach: bool | None = None,
    ):
        super().__init__(params, {"lr": gamma, "threshold": threshold, "foreach": foreach})

    def _signals(self, averages, gradients, group, states):
        (m,) = averages
        # m_t = (1 - γ) m_{t-1} + γ g_t, written with one product
        _average_(m, gradients, group["lr"])
        return m


class Bop2ndOrder(FlipOptimizer):
    r"""Flip binary parameters as Bop does, with the average divided by the gradient's usual size.

    .. math::

        m_t &= (1 - \gamma)\, m_{t-1} + \gamma\, g_t, \qquad
        v_t = (1 - \sigma)\, v_{t-1} + \sigma\, g_t^2 \\
        w_t &= \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, m_t / (\sqrt{v_t} + 10^{-10}) > \tau \\
                              \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    As with `Bop`, :math:`\gamma` is the group's ``lr``, and another optimizer trains the rest.

    Args:
        params: the binary parameters, as for `Bop`.
        threshold: :math:`\tau \ge 0`, a share of the gradient's usual size.
        gamma: the adaptivity rate :math:`\gamma \in (0, 1]` of m.
        sigma: the rate :math:`\sigma \in (0, 1]` of v.
        bias_correction: divide m by c and v by d in the condition, where
            :math:`c_t = (1 - \gamma)\, c_{t-1} + \gamma` and
            :math:`d_t = (1 - \sigma)\, d_{t-1} + \sigma` start at zero. This removes the bias that
            comes from starting the averages at zero, even if a scheduler moves γ. For a constant
            rate, :math:`c_t = 1 - (1 - \gamma)^t`.
        foreach: as for `Bop`.
        capturable: keep c and d on the parameter's device, so that a CUDA graph can hold the
            update; only `bias_correction` needs it.

    Raises:
        ConfigError: a hyperparameter is out of range, or a parameter does not have a floating-point
            type.

    Source:
        Suarez-Ramirez et al. 2021, arXiv:2104.05124.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = Bop2ndOrder(
        ...     [weight], threshold=0.5, gamma=0.1, sigma=0.1, bias_correction=True
        ... )
        >>> weight.grad = torch.tensor([1e-6, -3.0])
        >>> optimizer.step()
        >>> weight.tolist()  # the size of a gradient does not matter
        [-1.0, 1.0]
    """

    averages = ("m", "v")

    def __init__(
        self,
        params: Iterable,
        *,
        threshold: float | torch.Tensor,
        gamma: float | torch.Tensor,
        sigma: float | torch.Tensor,
        bias_correction: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ):
        defaults = {"lr": gamma, "threshold": threshold, "sigma": sigma, "foreach": foreach}
        defaults |= {"bias_correction": bool(bias_correction), "capturable": bool(capturable)}
        super().__init__(params, defaults)

    def _checks(self):
        return super()._checks() | {"sigma": ranges.check_sigma}

    def _begin(self, parameter):
        super()._begin(parameter)
        group = next(g for g in self.param_groups if any(p is parameter for p in g["params"]))
        if group["bias_correction"]:
            for name in ("c", "d"):
                self.state[parameter][name] = _share(0.0, parameter, group)

    def _load_as_saved(self, state_dict):
        super()._load_as_saved(state_dict)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state.get(parameter, {})
                for name in state.keys() & {"c", "d"}:
                    state[name] = _share(state[name], parameter, group)

    def _update(self, group, parameters):
        if group["bias_correction"]:
            # c_t = (1 - γ) c_{t-1} + γ;  d_t = (1 - σ) d_{t-1} + σ
            for name, rate in (("c", group["lr"]), ("d", group["sigma"])):
                shares = [self.state[parameter][name] for parameter in parameters]
                rate = rate.to(shares[0].device) if isinstance(rate, torch.Tensor) else rate
                _average_(shares, [torch.ones_like(share) for share in shares], rate)
        super()._update(group, parameters)

    def _signals(self, averages, gradients, group, states):
        m, v = averages
        # m_t = (1 - γ) m_{t-1} + γ g_t;  v_t = (1 - σ) v_{t-1} + σ g_t²
        _average_(m, gradients, group["lr"])
        _average_(v, torch._foreach_mul(gradients, gradients), group["sigma"])
        if group["bias_correction"]:
            m, v = (
                torch._foreach_div(
                    average, [_divisor(state[name], group["capturable"]) for state in states]
                )
                for average, name in ((m, "c"), (v, "d"))
            )
        # m / (√v + 1e-10)
        size = [_sqrt(each) for each in v]
        torch._foreach_add_(size, EPSILON)
        return torch._foreach_div(m, size)


def _sqrt(values):
    # PyTorch's root of float32 on a CPU is often one bit off; by way of float64 it is right.
    if values.device.type == "cpu" and not torch.compiler.is_compiling():
        return values.double().sqrt_().to(values.dtype)
    return values.sqrt()


def _share(value, parameter, group):
    device = parameter.device if group["capturable"] else torch.device("cpu")
    # float64 where the device has it, because a small rate vanishes beside a share of nearly 1
    kind = torch.float32 if device.type == "mps" else torch.float64
    return torch.as_tensor(value, dtype=kind, device=device)


def _divisor(share, capturable):
    # A share is 0 only while every rate was 0: then its average is 0 too.
    if capturable:
        return torch.where(share > 0, share, torch.ones_like(share))
    return share.item() or 1.0
