"""Softmax denominators of a contrastive loss, in the memory of one matrix.

    mean_log_partition(x, y) = mean_i log sum_j exp(scale <x_i, y_j>),        over the columns j that are compared

Written with autograd this keeps the n x m products and makes up to four more matrices of their size on the way there
and back (masked, shifted, exponentiated, times the gradient). Here the products become the softmax where they lie, and
as the gradient is scale / n times softmax @ y, and softmax' @ x, the backward pass is two products with that same
matrix. `unit` does the same for vectors: what autograd would keep five of is kept once.

Cost: n m d multiply-adds forward, 2 n m d backward; n m numbers of memory.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastssl.methods.precision import without_autocast

EPS = 1e-12  # torch.nn.functional.normalize's: a vector of zeros stays one


def unit(z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """`z` scaled to length 1 along its last dimension, as by `torch.nn.functional.normalize`."""
    return _Unit.apply(z)  # pyright: ignore


def mean_log_partition(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"] | None,
    scale: float,
    skip: Int64[Tensor, "n"] | None = None,
    excluded: Bool[Tensor, "n m"] | None = None,
) -> Float[Tensor, ""]:
    """The equation above, in the dtype of x; safe for any scale, as the largest term of a row is taken out first.

    Args:
        y: None is x itself, whose two gradients are then added up in place.
        skip: one column per row that is left out of the sum (usually the row itself).
        excluded: True for each further product that is left out. Some column must stay in every row.
    """
    return _MeanLogPartition.apply(x, y, scale, skip, excluded)  # pyright: ignore


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
        out = z / length.clamp_min(EPS)
        ctx.save_for_backward(out, length)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore
        out, length = ctx.saved_tensors
        along = (grad * out).sum(-1, keepdim=True).neg_().masked_fill_(length < EPS, 0)
        return torch.addcmul(grad, out, along).div_(length.clamp_min(EPS))


class _MeanLogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor | None, scale: float, skip: Tensor | None, excluded: Tensor | None
    ) -> Tensor:
        with without_autocast(x):
            columns = x if y is None else y
            softmax = torch.addmm(x.new_zeros(()), x, columns.T, beta=0, alpha=scale)
        if skip is not None:
            softmax.scatter_(1, skip[:, None], -torch.inf)
        if excluded is not None:
            softmax.masked_fill_(excluded, -torch.inf)
        largest = softmax.amax(1, keepdim=True)
        total = softmax.sub_(largest).exp_().sum(1, keepdim=True)
        softmax.div_(total)
        ctx.save_for_backward(x, y, softmax)
        ctx.scale = scale / len(x)
        return (largest + total.log()).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:  # pyright: ignore
        x, y, softmax = ctx.saved_tensors
        grad = grad * ctx.scale
        with without_autocast(x):
            dx = softmax @ (x if y is None else y)
            if y is None:
                return dx.addmm_(softmax.T, x).mul_(grad), None, None, None, None
            return dx.mul_(grad), (softmax.T @ x).mul_(grad), None, None, None
