"""What PyTorch lets one do with an optimizer, a row each; every row runs with Adam first.

A row is a function of a `Case`: it builds ordinary networks for Adam and binary ones for a flip
rule, does with them what a user of PyTorch would do, and asserts what must hold of both.
"""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler, swa_utils

from bopkit.pytorch import BinaryConv2d, BinaryLinear, Bop, Bop2ndOrder, split_parameters

ROWS = {}
DDP = "`DistributedDataParallel` with two processes"


def row(title):
    """Enter a function into the table under the title that the page shows."""

    def enter(function):
        ROWS[title] = function
        return function

    return enter


class Case:
    """An optimizer to try, and the layers that go with it."""

    def __init__(self, name):
        self.name, self.flips = name, name != "Adam"

    def optimizer(self, params, **options):
        """A new optimizer for some parameters."""
        if self.name == "Bop":
            return Bop(params, **{"gamma": 0.1, "threshold": 1e-4} | options)
        if self.name == "Bop2ndOrder":
            rates = {"gamma": 0.1, "threshold": 1e-2, "sigma": 0.1, "bias_correction": True}
            return Bop2ndOrder(params, **rates | options)
        return torch.optim.Adam(params, **{"lr": 0.01} | options)

    def net(self, dtype=None):
        """A small network with two layers that the optimizer trains."""
        torch.manual_seed(0)
        if not self.flips:
            first, second = (nn.Linear(i, o, bias=False) for i, o in ((16, 8), (8, 3)))
        else:
            first, second = BinaryLinear(16, 8, binary_input=False), BinaryLinear(8, 3)
        return nn.Sequential(first, nn.BatchNorm1d(8), second, nn.BatchNorm1d(3)).to(dtype)

    def train(self, model=None, steps=4, **options):
        """A network and the optimizers of its two kinds of parameters, after some steps."""
        model = model or self.net()
        optimizer = self.optimizer(mine(self, model), **options)
        others = torch.optim.Adam(split_parameters(model)[1] if self.flips else others_of(model))
        for _ in range(steps):
            step(model, optimizer, others)
        return model, optimizer, others

    def check(self, model, optimizer):
        """Binary weights hold -1 and +1, and every one is counted."""
        if not self.flips:
            return
        binary = [parameter for _, parameter in split_parameters(model)[0]]
        assert all((parameter.abs() == 1).all() for parameter in binary)
        assert sum(optimizer.flip_counts().values()) == optimizer.total_flips()


X = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 16))).float()
Y = X[:, :3].argmax(1)


def mine(case, model):
    """What the optimizer under test trains: of two kinds of layers the first."""
    if case.flips:
        return split_parameters(model)[0]
    return [(name, p) for name, p in model.named_parameters() if p.dim() > 1]


def others_of(model):
    return [p for p in model.parameters() if p.dim() == 1]


def loss_of(model, x=X, y=Y):
    return nn.functional.cross_entropy(model(x).float(), y)


def step(model, *optimizers):
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss = loss_of(model)
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


def same(one, other):
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def continues_alike(case, first, second):
    """Two networks with their optimizers make the same steps."""
    for model, optimizer, others in (first, second):
        for _ in range(4):
            step(model, optimizer, others)
        case.check(model, optimizer)
    same(first[0], second[0])
    if case.flips:
        assert first[1].flip_counts() == second[1].flip_counts()


@row("a training loop with an optimizer for each kind of parameters")
def loop(case):
    model = case.net()
    before = copy.deepcopy(model)
    model, optimizer, _ = case.train(model, steps=20)
    case.check(model, optimizer)
    assert loss_of(model) < loss_of(before)
    changed = [(a != b).any() for a, b in zip(before.parameters(), model.parameters(), strict=True)]
    assert all(changed)


@row("`state_dict` and `load_state_dict`: an interrupted training continues bit for bit")
def restored(case):
    first = case.train(steps=5)
    # As `torch.load` returns it: nothing in it may need code to be run.
    stored = io.BytesIO()
    torch.save([part.state_dict() for part in first], stored)
    stored.seek(0)
    second = case.train(steps=0)
    for part, state in zip(second, torch.load(stored, weights_only=True), strict=True):
        part.load_state_dict(state)
    continues_alike(case, first, second)


@row("`state_dict` of a network in bfloat16 keeps averages in float32")
def restored_half(case):
    first = case.train(case.net(torch.bfloat16), steps=0)
    second = case.train(case.net(torch.bfloat16), steps=0)
    half = X.bfloat16()

    def train(model, optimizer, others):
        for _ in range(4):
            model.zero_grad()
            nn.functional.cross_entropy(model(half), Y).backward()
            optimizer.step()
            others.step()

    train(*first)
    for part, other in zip(first, second, strict=True):
        other.load_state_dict(copy.deepcopy(part.state_dict()))
    train(*first)
    train(*second)
    same(first[0], second[0])
    if case.flips:
        kinds = {state[name].dtype for state in second[1].state.values() for name in ("m", "flips")}
        assert kinds == {torch.float32, torch.int64}


@row("`copy.deepcopy` of a network with its optimizer")
def copied(case):
    first = case.train()
    continues_alike(case, first, copy.deepcopy(first))


@row("`pickle` of a network with its optimizer")
def pickled(case):
    first = case.train()
    continues_alike(case, first, pickle.loads(pickle.dumps(first)))


@row("groups of parameters with rates of their own, and `add_param_group`")
def groups(case):
    model = case.net()
    rate = "gamma" if case.flips else "lr"
    (_, first), (_, second) = mine(case, model)
    optimizer = case.optimizer([{"params": [first], rate: 0.5}])
    optimizer.add_param_group({"params": [second]})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1 if case.flips else 0.01]
    alone = copy.deepcopy(model)
    single = [case.optimizer([p], **{rate: g["lr"]}) for (_, p), g in
              zip(mine(case, alone), optimizer.param_groups, strict=True)]  # fmt: skip
    for _ in range(5):
        step(model, optimizer)
        step(alone, *single)
    same(model, alone)
    case.check(model, optimizer)


@row("named parameters")
def named(case):
    model = case.net()
    optimizer = case.optimizer(mine(case, model))
    assert optimizer.param_groups[0]["param_names"] == ["0.weight", "2.weight"]
    if case.flips:
        assert list(optimizer.flip_counts()) == ["0.weight", "2.weight"]


SCHEDULERS = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.1),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, 4),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 4),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 4),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.5**epoch),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.5, 8, cycle_momentum=False),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o, 0.5, 2), lr_scheduler.ExponentialLR(o, 0.5)], [2]
    ),
}


@row("`torch.optim.lr_scheduler`: nine schedulers move γ as they move Adam's rate")
def schedulers(case):
    for make in SCHEDULERS.values():
        model = case.net()
        rate = "gamma" if case.flips else "lr"
        optimizer = case.optimizer(mine(case, model), **{rate: 0.1})
        twin = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
        pair = make(optimizer), make(twin)
        rates = set()
        for _ in range(5):
            step(model, optimizer)
            twin.step()
            for scheduler in pair:
                scheduler.step()
            assert optimizer.param_groups[0]["lr"] == twin.param_groups[0]["lr"]
            rates.add(optimizer.param_groups[0]["lr"])
        assert len(rates) > 1
        again = make(case.optimizer(mine(case, model)))
        again.load_state_dict(pair[0].state_dict())
        assert again.get_last_lr() == pair[0].get_last_lr()


@row("`ReduceLROnPlateau`")
def plateau(case):
    optimizer = case.train()[1]
    before = optimizer.param_groups[0]["lr"]
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for _ in range(3):
        scheduler.step(1.0)
    assert optimizer.param_groups[0]["lr"] == before / 4


@row("a rate that is a tensor")
def tensor_rate(case):
    rate = "gamma" if case.flips else "lr"
    plain, _, _ = case.train(**{rate: 0.25})
    tensor, optimizer, _ = case.train(**{rate: torch.tensor(0.25)})
    for a, b in zip(plain.parameters(), tensor.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert float(optimizer.param_groups[0]["lr"]) == 0.125


@row("`step(closure)`")
def closure(case):
    model, optimizer, _ = case.train(steps=0)
    twin = copy.deepcopy(model)
    other = case.optimizer(mine(case, twin))
    for _ in range(4):

        def compute():
            optimizer.zero_grad()
            loss = loss_of(model)
            loss.backward()
            return loss

        with torch.no_grad():  # `step` computes gradients for the closure all the same
            found = optimizer.step(compute)
        assert found.item() == step(twin, other)
    same(model, twin)


@row("`foreach=True` and `foreach=False`")
def foreach(case):
    same(case.train(foreach=True)[0], case.train(foreach=False)[0])


@row("`zero_grad(set_to_none=True)` and `zero_grad(set_to_none=False)`")
def zeroed(case):
    models = []
    for to_none in (True, False):
        model, optimizer, _ = case.train(steps=0)
        for _ in range(4):
            optimizer.zero_grad(set_to_none=to_none)
            loss_of(model).backward()
            optimizer.step()
        models.append(model)
    same(*models)


@row("a parameter without a gradient keeps its value and its averages")
def without(case):
    model, optimizer, _ = case.train()
    (_, first), (_, second) = mine(case, model)
    before = first.detach().clone()
    kept = copy.deepcopy(optimizer.state[first])
    optimizer.zero_grad()
    second.grad = torch.ones_like(second) * torch.sign(second.detach())
    for _ in range(30):
        optimizer.step()
    assert torch.equal(first, before)
    assert all(torch.equal(kept[name], value) for name, value in optimizer.state[first].items())


@row("a layer frozen by `requires_grad_(False)`, and thawed")
def frozen(case):
    model, optimizer, others = case.train()
    first = model[0].requires_grad_(False)
    before = first.weight.detach().clone()
    for _ in range(3):
        step(model, optimizer, others)
    assert torch.equal(first.weight, before)
    first.requires_grad_(True)
    for _ in range(10):
        step(model, optimizer, others)
    assert not torch.equal(first.weight, before)
    case.check(model, optimizer)


@row("gradients accumulated over two batches")
def accumulated(case):
    model, optimizer, _ = case.train(steps=0)
    model.eval()
    twin = copy.deepcopy(model)
    other = case.optimizer(mine(case, twin))
    optimizer.zero_grad()
    for half in (slice(0, 32), slice(32, 64)):
        (loss_of(model, X[half], Y[half]) / 2).backward()
    optimizer.step()
    step(twin, other)
    if case.flips:
        same(model, twin)


@row("`clip_grad_norm_`")
def clipped(case):
    model, optimizer, _ = case.train()
    loss_of(model).backward()
    norm = nn.utils.clip_grad_norm_([p for _, p in mine(case, model)], 1e-3)
    assert norm > 1e-3
    optimizer.step()
    case.check(model, optimizer)


@row("`torch.autocast` in bfloat16")
def autocast(case):
    model, optimizer, others = case.train(steps=0)
    before = copy.deepcopy(model)
    for _ in range(5):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model)
        loss.backward()
        optimizer.step()
        others.step()
    case.check(model, optimizer)
    assert not torch.equal(before[0].weight, model[0].weight)


@row("`GradScaler`: scaled gradients give the same steps, infinite ones are skipped")
def scaled(case):
    plain, _, _ = case.train()
    model, optimizer, others = case.train(steps=0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for _ in range(4):
        optimizer.zero_grad()
        others.zero_grad()
        scaler.scale(loss_of(model)).backward()
        scaler.step(optimizer)
        scaler.step(others)
        scaler.update()
    same(plain, model)
    before = copy.deepcopy(model)
    scaler.scale(loss_of(model)).backward()
    for parameter in model.parameters():
        parameter.grad.fill_(float("inf"))
    scaler.step(optimizer)
    same(before, model)


@row("a convolution in `channels_last`")
def channels_last(case):
    torch.manual_seed(0)
    kind = BinaryConv2d if case.flips else lambda *size: nn.Conv2d(*size, bias=False)
    models = [kind(3, 8, 3)]
    models.append(copy.deepcopy(models[0]).to(memory_format=torch.channels_last))
    images = torch.randn(2, 3, 8, 8)
    for model in models:
        optimizer = case.optimizer(model.parameters())
        for _ in range(4):
            optimizer.zero_grad()
            (model(images) ** 2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(models[0].weight, models[1].weight)


@row("`register_step_pre_hook` and `register_step_post_hook`")
def hooks(case):
    model, optimizer, _ = case.train(steps=0)
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("pre"))
    optimizer.register_step_post_hook(lambda *_: seen.append("post"))
    step(model, optimizer)
    assert seen == ["pre", "post"]


@row("`register_post_accumulate_grad_hook`: a step within the backward pass")
def within(case):
    model, *_ = case.train(steps=0)
    twin = copy.deepcopy(model)
    optimizers = {p: case.optimizer([p]) for _, p in mine(case, twin)}

    def update(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in optimizers:
        parameter.register_post_accumulate_grad_hook(update)
    loss_of(twin).backward()
    step(model, case.optimizer(mine(case, model)))
    same(model, twin)


@row("`swa_utils.AveragedModel` averages the parameters that are not binary")
def averaged(case):
    model, optimizer, others = case.train()
    real = nn.ModuleList([model[1], model[3]])
    average = swa_utils.AveragedModel(real)
    for _ in range(3):
        step(model, optimizer, others)
        average.update_parameters(real)
    case.check(model, optimizer)
    assert int(average.n_averaged) == 3


@row("`repr` names the rates of each group")
def shown(case):
    text = repr(case.train(steps=0)[1])
    assert text.startswith(case.name) and "lr: " in text
    assert not case.flips or "threshold: " in text


def worker(rank, address, cases):
    """One of two processes, each with half of the batch."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    for case in cases:
        share(case, rank)
    torch.distributed.destroy_process_group()


def share(case, rank):
    """Train half of each batch here, and compare with training on whole batches."""
    model = case.net().eval()  # without the statistics of a batch, halves and whole agree
    spread = nn.parallel.DistributedDataParallel(model)
    optimizer = case.optimizer(mine(case, model))
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(spread, X[rank::2], Y[rank::2]).backward()
        optimizer.step()
    case.check(model, optimizer)
    alone = case.net().eval()
    other = case.optimizer(mine(case, alone))
    for _ in range(4):
        step(alone, other)
    for a, b in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    both = [torch.empty_like(flat) for _ in range(2)]
    torch.distributed.all_gather(both, flat)
    assert torch.equal(*both)


@row(DDP)
def distributed(cases, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.multiprocessing.spawn(worker, (f"file://{folder}/meet", cases), nprocs=2)


@row("a gradient of another shape is refused")
def other_shape(case):
    _, optimizer, _ = case.train()
    weight = optimizer.param_groups[0]["params"][0]
    with pytest.raises(RuntimeError, match=r"shape|size"):
        weight.grad = torch.ones(1)
