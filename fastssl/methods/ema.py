"""A slow copy of a network: the exponential moving average of its weights (the target, teacher or momentum network)."""

import copy
import math
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def slow_copy(network: M) -> M:
    """A copy that no gradient reaches; it is in the owner's state dict, so checkpoints carry it."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(slow: nn.Module, network: nn.Module, momentum: float) -> None:
    """slow <- momentum slow + (1 - momentum) network, weight by weight; never waits for the device.

    The statistics of BatchNorm are not averaged: in training mode a network uses its batch's, and keeps its own.
    """
    torch._foreach_lerp_(list(slow.parameters()), [p.detach() for p in network.parameters()], 1 - momentum)


def cosine_momentum(base: float, progress: float) -> float:
    """The momentum's schedule in BYOL and its followers: from `base` at progress 0 to 1 at progress 1, along a cosine.

    Source: Grill 2020, arXiv 2006.07733, section 3.3.
    """
    return 1 - (1 - base) * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2
