import copy
import math

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.optim import LARS, OptimConfig, set_lr
from fastssl.optim.groups import param_groups

KINDS = ("sgd", "adamw", "lars")


class Headed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
        self.head = nn.Linear(2, 5, bias=False)

    def param_group_overrides(self):
        return [([self.head.weight], {"lr_scale": 10.0, "weight_decay_scale": 0.5})]

    def forward(self, x):
        return self.head(self.body(x))


def step(method, optimizer, seed):
    x = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    method(x).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("kind", KINDS)
def test_build_gives_every_parameter_once_with_its_own_scales(kind):
    method = Headed()
    optimizer = OptimConfig(optimiser=kind, lr=0.1, weight_decay=0.02).build(method)
    assert isinstance(optimizer, {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW, "lars": LARS}[kind])
    where = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(where) == len(list(method.parameters()))
    for name, p in method.named_parameters():
        group = where[id(p)]
        decay = {"head.weight": 0.01, "body.0.weight": 0.02, "body.3.weight": 0.02}.get(name, 0.0)
        assert group["weight_decay"] == pytest.approx(decay), name
        assert group["base_lr"] == group["lr"] == pytest.approx(1.0 if name == "head.weight" else 0.1), name
        assert group["adapt"] is (p.ndim > 1), name


def test_groups_hold_norm_and_bias_too_when_told_so():
    groups = param_groups(Headed().body, 0.1, 0.02, exclude_norm_and_bias=False)
    assert len(groups) == 1
    assert groups[0]["weight_decay"] == 0.02
    assert groups[0]["adapt"]


def test_groups_skip_frozen_parameters_and_refuse_to_train_nothing():
    method = Headed()
    method.body.requires_grad_(False)
    assert [len(g["params"]) for g in param_groups(method, 0.1, 0.0, True)] == [1]
    with pytest.raises(InputError, match="Headed has no parameter to train"):
        OptimConfig().build(method.requires_grad_(False))


class Steady(Headed):
    def param_group_overrides(self):
        return [([self.head.weight], {"lr_scale": 2.0, "schedule": "constant"})]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("progress", [0.0, 0.1, 0.6, 1.0])
def test_group_with_a_constant_schedule_keeps_its_base_rate_from_start_to_end(kind, progress):
    config = OptimConfig(optimiser=kind, lr=0.1, warmup_fraction=0.2)
    method = Steady()
    optimizer = config.build(method)
    set_lr(optimizer, config.lr_scale(progress))
    for group in optimizer.param_groups:
        own = any(p is method.head.weight for p in group["params"])
        assert group["lr"] == pytest.approx(0.2 if own else 0.1 * config.lr_scale(progress))


def test_constant_schedule_survives_a_state_dict():
    config = OptimConfig(optimiser="sgd", lr=0.1)
    optimizer = config.build(Steady())
    optimizer.load_state_dict(copy.deepcopy(config.build(Steady()).state_dict()))
    set_lr(optimizer, 0.0)
    assert sorted(group["lr"] for group in optimizer.param_groups) == pytest.approx([0, 0, 0.2])


@pytest.mark.parametrize("override", [{"lr_scal": 2.0}, {"schedule": "cosine"}], ids=str)
def test_override_without_an_effect_is_refused(override):
    method = Headed()
    method.param_group_overrides = lambda: [([method.head.weight], override)]
    with pytest.raises(AssertionError):
        OptimConfig().build(method)


@pytest.mark.parametrize("kind", KINDS)
def test_optimiser_state_survives_a_strict_round_trip(kind):
    torch.manual_seed(0)
    config = OptimConfig(optimiser=kind, lr=0.01, weight_decay=0.1)
    method = Headed()
    optimizer = config.build(method)
    for seed in range(3):
        step(method, optimizer, seed)
    twin = copy.deepcopy(method)
    other = config.build(twin)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for seed in range(3, 6):
        step(method, optimizer, seed)
        step(twin, other, seed)
    for mine, theirs in zip(method.parameters(), twin.parameters()):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(("kind", "slow"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_fused_optimiser_moves_like_the_plain_one(kind, slow):
    torch.manual_seed(0)
    method = Headed()
    twin = copy.deepcopy(method)
    momentum = {"momentum": 0.8} if kind == "sgd" else {"betas": (0.8, 0.999)}
    optimizer = OptimConfig(optimiser=kind, lr=0.05, weight_decay=0.1, momentum=0.8).build(method)
    plain = slow(param_groups(twin, 0.05, 0.1, True), lr=0.05, foreach=False, **momentum)
    for _ in range(4):
        for mine, theirs in zip(method.parameters(), twin.parameters()):
            mine.grad = torch.randn_like(mine)
            theirs.grad = mine.grad.clone()
        optimizer.step()
        plain.step()
    for mine, theirs in zip(method.parameters(), twin.parameters()):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_optimiser_takes_in_a_parameter_whose_first_gradient_comes_later(kind):
    torch.manual_seed(0)
    method = Headed()
    optimizer = OptimConfig(optimiser=kind, lr=0.01, weight_decay=0.1).build(method)
    late, *early = method.parameters()
    before = late.clone()
    for p in early:
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert torch.equal(late, before)  # no gradient: not even the weight decay moves it
    for p in method.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert not torch.equal(late, before)


@pytest.mark.parametrize(
    "bad",
    [
        {"lr": 0.0},
        {"lr": math.nan},
        {"lr": math.inf},
        {"weight_decay": -1e-4},
        {"momentum": 1.0},
        {"warmup_fraction": 1.5},
        {"final_lr_fraction": -0.1},
        {"final_lr_fraction": 0.1, "schedule": "constant"},
    ],
)
def test_optim_config_refuses(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        OptimConfig(**bad)
