"""Flip binary parameters by a rule: all that PyTorch asks of an optimizer, and the counts of flips.

A rule keeps averages of each weight's gradients and makes a signal of them. A weight w flips where
w times its signal is above the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from bopkit._support.text import tell_apart
from bopkit.errors import ConfigError
from bopkit.pytorch.flipping import flip, in_passes
from bopkit.rules import ranges


class FlipOptimizer(torch.optim.Optimizer):
    r"""Group what `Bop` and `Bop2ndOrder` have in common.

    .. math::

        w_t = \begin{cases} -w_{t-1} & \text{if } w_{t-1}\, s_t > \tau \\
                             \phantom{-}w_{t-1} & \text{otherwise} \end{cases}

    for each binary weight :math:`w`. The rule computes the signal :math:`s_t` from its averages of
    the gradient. :math:`\gamma` is ``group["lr"]``, because PyTorch's schedulers change this entry.

    Args:
        params: the binary parameters, as for `Bop`.
        defaults: the values of a group that gives none: ``lr``, ``threshold``, ``foreach`` and what
            else the rule reads.

    Raises:
        ConfigError: a hyperparameter is out of range, or a parameter does not have a floating-point
            type.

    Source:
        Algorithm 2 of arXiv:1906.02107, where the signal is :math:`m`.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0, -1.0]))
        >>> optimizer = bopkit.pytorch.Bop([weight], gamma=0.5, threshold=0.1)
        >>> isinstance(optimizer, FlipOptimizer), optimizer.param_groups[0]["lr"]
        (True, 0.5)
    """

    averages: tuple[str, ...] = ("m",)  # what the rule keeps of each weight, from zero

    def _checks(self) -> dict[str, Callable[[float, str], None]]:
        """The check of each hyperparameter that a group holds."""
        return {"gamma": ranges.check_gamma, "threshold": ranges.check_threshold}

    def _signals(self, averages, gradients, group, states):
        """Update the averages in place, and return each parameter's signal.

        Args:
            averages: for each of the rule's averages, a list of tensors.
            gradients: a list of as many tensors.
            group: the hyperparameters, as the group of parameters holds them.
            states: a list of what is kept of these parameters.
        """
        raise NotImplementedError

    def add_param_group(self, param_group: dict) -> None:
        """Add a group of binary parameters, with hyperparameters of its own.

        Args:
            param_group: ``params``, and any of ``gamma``, ``threshold`` and, for `Bop2ndOrder`,
                ``sigma``; what is missing is the optimizer's.

        Raises:
            ConfigError: a hyperparameter is out of range, ``gamma`` and ``lr`` are both given, or a
                parameter does not have a floating-point type.

        Example:
            >>> first, second = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
            >>> optimizer = bopkit.pytorch.Bop([first], gamma=1e-3)
            >>> optimizer.add_param_group({"params": [second], "gamma": 1e-4})
            >>> [group["lr"] for group in optimizer.param_groups]
            [0.001, 0.0001]
        """
        if isinstance(param_group, dict) and "gamma" in param_group:
            if "lr" in param_group:
                raise ConfigError("a group of parameters has gamma or lr, not both: γ is its lr.")
            param_group = {**param_group, "lr": param_group["gamma"]}
            del param_group["gamma"]
        super().add_param_group(param_group)
        try:
            self._check_group(self.param_groups[-1])
        except ValueError:
            self.param_groups.pop()
            raise

    def _check_group(self, group):
        for name, check in self._checks().items():
            value = group["lr" if name == "gamma" else name]
            _check(check, value.item() if isinstance(value, torch.Tensor) else value, name)
        for parameter in group["params"]:
            if not parameter.is_floating_point():
                raise ConfigError(
                    f"a binary parameter must have a floating-point type; got {parameter.dtype}."
                )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update the averages, and flip the weights whose signal exceeds the threshold.

        The step leaves parameters without a gradient as they are.

        Args:
            closure: computes the loss and its gradients again; the step calls it once.

        Returns:
            What `closure` returned, or `None`.

        Raises:
            ConfigError: at the first update of a parameter, it holds anything but -1 and +1; at any
                update, a hyperparameter that is not a tensor is out of range, or a group holds
                ``gamma``. The constructor refuses a γ of 0, but a scheduler may end at 0.
            TypeError: a gradient is sparse.

        Example:
            >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0, -1.0]))
            >>> optimizer = bopkit.pytorch.Bop([weight], gamma=0.5, threshold=0.1)
            >>> (weight * torch.tensor([0.4, -0.4, 0.1])).sum().backward()
            >>> optimizer.step()
            >>> weight.tolist()
            [-1.0, 1.0, -1.0]
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # All groups are checked before the first is updated.
        updates = [(group, self._with_gradients(group)) for group in self.param_groups]
        for group, parameters in updates:
            if parameters:
                self._update(group, parameters)
        return loss

    def _with_gradients(self, group):
        if "gamma" in group:
            raise ConfigError('γ is group["lr"], which schedulers move; set it, and not "gamma".')
        for name, check in self._checks().items():
            key = "lr" if name == "gamma" else name
            # A tensor is not read here: that would make the CPU wait. A schedule may end at 0.
            value = 0 if isinstance(group[key], torch.Tensor) else group[key]
            if not (ranges.is_number(value) and 0 <= value < ranges.SMALLEST):
                _check(check, value, f'group["{key}"]')
        found = [parameter for parameter in group["params"] if parameter.grad is not None]
        for parameter in found:
            if parameter.grad.layout != torch.strided:
                raise TypeError(
                    f"the gradient of the binary parameter {self._name(parameter)} is sparse; "
                    f"{type(self).__name__} needs every weight's gradient."
                )
            if not self.state[parameter]:
                self._begin(parameter)
        return found

    @torch.compiler.disable  # a check, once
    def _begin(self, parameter):
        if not bool((parameter.abs() == 1).all()):
            del self.state[parameter]
            raise ConfigError(
                f"the binary parameter {self._name(parameter)} holds values other than -1 and +1; "
                "give the optimizer the binary parameters alone (split_parameters), and call "
                "binarize_ on them first."
            )
        # In half precision γ·g would vanish beside m.
        kind = parameter.dtype if parameter.dtype == torch.float64 else torch.float32
        state = self.state[parameter]
        for name in self.averages:
            state[name] = torch.zeros_like(
                parameter, dtype=kind, memory_format=torch.preserve_format
            )
        for name in ("flips", "flipped"):
            state[name] = torch.zeros((), dtype=torch.int64, device=parameter.device)

    def _update(self, group, parameters):
        states = [self.state[parameter] for parameter in parameters]
        tensors = [
            [p.detach(), p.grad, *(state[name] for name in self.averages)]
            for p, state in zip(parameters, states, strict=True)
        ]

        def update(tensors, states):  # of some parameters, or of one block of a parameter
            weights, gradients, *averages = (list(each) for each in zip(*tensors, strict=True))
            gradients = [g.to(m.dtype) for g, m in zip(gradients, averages[0], strict=True)]
            signals = self._signals(averages, gradients, group, states)
            return flip(weights, signals, group["threshold"])

        counts = in_passes(update, tensors, states, group["foreach"])
        # The counts stay on the device of the weights: to count does not wait for it, to read does.
        flipped = [state["flipped"] for state in states]
        torch._foreach_copy_(flipped, counts)
        torch._foreach_add_([state["flips"] for state in states], flipped)

    def load_state_dict(self, state_dict: dict) -> None:
        """Continue from what `state_dict` returned, bit for bit.

        Args:
            state_dict: of an optimizer of the same class with groups of the same sizes.

        Example:
            >>> weight = torch.nn.Parameter(torch.ones(3))
            >>> optimizer = bopkit.pytorch.Bop([weight], gamma=1e-3)
            >>> other = bopkit.pytorch.Bop([weight], gamma=1e-4)
            >>> other.load_state_dict(optimizer.state_dict())
            >>> other.param_groups[0]["lr"]
            0.001
        """
        found = []
        # After the user's hooks that change the dictionary, and before those that see the result.
        hooks = [
            self.register_load_state_dict_pre_hook(lambda _, given: found.append(given)),
            self.register_load_state_dict_post_hook(
                lambda _: self._load_as_saved(found[-1]), prepend=True
            ),
        ]
        try:
            super().load_state_dict(state_dict)
        finally:
            for hook in hooks:
                hook.remove()

    def _load_as_saved(self, state_dict):
        # PyTorch casts what it loads to the parameter's type: averages to half precision, counts to
        # float32. Loaded again, they keep their own.
        saved = [key for group in state_dict["param_groups"] for key in group["params"]]
        own = [parameter for group in self.param_groups for parameter in group["params"]]
        for key, parameter in zip(saved, own, strict=True):
            for name, value in state_dict["state"].get(key, {}).items():
                self.state[parameter][name] = value.detach().to(parameter.device, copy=True)

    @property
    def binary_weights(self) -> int:
        """The number of binary weights in all groups.

        Example:
            >>> bopkit.pytorch.Bop([torch.nn.Parameter(torch.ones(4, 2))]).binary_weights
            8
        """
        return sum(parameter.numel() for _, parameter in self._named())

    def flip_counts(self) -> dict[str, int]:
        """Count the flips since training began, by parameter.

        Returns:
            The name of each parameter, with its flips so far. Parameters that were given without
            names are called "0.0", "0.1" and so on, by the numbers of group and parameter. A name
            that occurs again, in another group, is numbered: "weight (2)".

        Example:
            >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0, -1.0]))
            >>> optimizer = bopkit.pytorch.Bop([("kernel", weight)], gamma=0.5, threshold=0.1)
            >>> weight.grad = torch.tensor([0.4, -0.4, 0.1])
            >>> optimizer.step()
            >>> optimizer.flip_counts()
            {'kernel': 1}
        """
        return {name: int(count) for name, count in self._kept("flips")}

    def total_flips(self) -> torch.Tensor:
        """Count the flips since training began, of all parameters together.

        Returns:
            An int64 scalar on the device of the first parameter; reading it is what waits for it.

        Example:
            >>> bopkit.pytorch.Bop([torch.nn.Parameter(torch.ones(4))]).total_flips()
            tensor(0)
        """
        device = next((parameter.device for _, parameter in self._named()), None)
        zero = torch.zeros((), dtype=torch.int64, device=device)  # before the first step
        kept = [state["flips"].to(device) for state in self.state.values() if state]
        return torch.stack([zero, *kept]).sum()

    def flip_ratio(self) -> dict[str, float]:
        """Measure the share of each parameter's weights that its last update flipped.

        Returns:
            The name of each parameter, with a number from 0 to 1.

        Example:
            >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0, -1.0, 1.0]))
            >>> optimizer = bopkit.pytorch.Bop([weight], gamma=0.5, threshold=0.1)
            >>> weight.grad = torch.tensor([0.4, -0.4, 0.1, 0.0])
            >>> optimizer.step()
            >>> optimizer.flip_ratio()
            {'0.0': 0.25}
        """
        sizes = dict(self._named())
        return {
            name: int(count) / max(1, sizes[name].numel()) for name, count in self._kept("flipped")
        }

    def _named(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        names, parameters = [], []
        for number, group in enumerate(self.param_groups):
            numbered = [f"{number}.{index}" for index in range(len(group["params"]))]
            names += group.get("param_names", numbered)
            parameters += group["params"]
        return zip(tell_apart(names), parameters, strict=True)

    def _name(self, parameter) -> str:
        return next(name for name, each in self._named() if each is parameter)

    def _kept(self, what):
        for name, parameter in self._named():
            yield name, self.state.get(parameter, {}).get(what, 0)


def _check(check, value, name):
    try:
        check(value, name)
    except ValueError as error:
        raise ConfigError(str(error)) from None
