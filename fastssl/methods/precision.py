"""Losses are computed in float32 whatever the network runs in: sums over a batch do not survive bfloat16's 8 bits."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """`x` in float32, or unchanged when it is float64 already (which is how the tests check the formulas)."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def without_autocast(x: Tensor) -> torch.autocast:
    """A context in which matrix products on the device of `x` keep the precision of their inputs."""
    return torch.autocast(x.device.type, enabled=False)
