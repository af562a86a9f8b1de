"""Heads: the small networks between the representation that is kept and what the loss looks at.

`projector` with other widths is also a predictor (BYOL, SimSiam), a linear head (depth 1), or, with `last_bn`, the head
of the methods that standardise their outputs.
"""

import itertools
from typing import TypeVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fastssl.errors import InputError

M = TypeVar("M", bound=nn.Module)


def projector(
    dim_in: int,
    hidden: int,
    dim_out: int,
    depth: int = 2,
    bn: bool = True,
    last_bn: bool = False,
    last_affine: bool = True,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """A perceptron (n, dim_in) -> (n, dim_out) of `depth` linear layers: Linear-BN-ReLU, ..., Linear.

    Args:
        hidden: width of the layers between; without effect at depth 1, the linear projector.
        bn: BatchNorm after every linear layer but the last; those layers then have no bias, BatchNorm has its own.
        last_bn: BatchNorm after the last layer too, which then has no bias either.
        last_affine: without it that BatchNorm only standardises: no scale and shift of its own.
        activation: class of the non-linearity.

    Errors: `InputError` for a width or depth below 1.
    """
    for name, value in (("projector_dim", dim_out), ("projector_hidden", hidden), ("projector_depth", depth)):
        if value < 1:
            raise InputError(f"{name}={value} makes no projector; give 1 or more")
    layers: list[nn.Module] = []
    widths = [dim_in] + [hidden] * (depth - 1)
    for width_in, width_out in itertools.pairwise(widths):
        norm = [nn.BatchNorm1d(width_out)] if bn else []
        layers += [nn.Linear(width_in, width_out, bias=not bn), *norm, activation()]
    layers.append(nn.Linear(widths[-1], dim_out, bias=not last_bn))
    return nn.Sequential(*layers, *([nn.BatchNorm1d(dim_out, affine=last_affine)] if last_bn else []))


def truncated_normal_(network: M, std: float = 0.02) -> M:
    """Draws the weights of every linear layer from a normal cut off at +-2, and sets their biases to 0; random."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


class Prototypes(nn.Linear):
    """Cosine similarity to learned directions: (n, dim) -> (n, count) in -1..1, both sides scaled to unit length.

    The rows are scaled where they are used, so they need no separate normalisation step after each update. This is also
    a layer under weight normalisation whose gains are fixed at 1, behind an l2-normalised input.
    """

    frozen: bool = False
    """The rows take no gradient (it stays None, so the optimiser passes them over); the input still does."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__(dim, count, bias=False)

    def forward(self, input: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        weight = self.weight.detach() if self.frozen else self.weight
        return F.linear(F.normalize(input, dim=-1), F.normalize(weight, dim=-1))
