"""The denominator of a contrastive loss, in the memory of one matrix.

    log_partition(x, y)_i = log sum_j exp(scale <x_i, y_j>),        the sum over the columns j that are compared

Written with autograd this keeps the n x m products and makes up to four more matrices of their size on the way there
and back (masked, shifted, exponentiated, times the gradient). Here the products become the terms of the sum where they
lie, and as d/dx_i = scale sum_j (term_ij / sum_i) y_j the backward pass is two products with those same terms: what is
divided by, and what the gradient is multiplied with, belongs to a row, so it multiplies vectors and not the matrix.

Cost: n m d multiply-adds forward, 2 n m d backward; n m numbers of memory.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastssl.methods.precision import without_autocast


def log_partition(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"] | None,
    scale: float,
    skip: Int64[Tensor, "n"] | None = None,
    excluded: Bool[Tensor, "n m"] | None = None,
) -> Float[Tensor, "n"]:
    """The equation above, in the dtype of x; safe for any scale, as the largest term of a row is taken out first.

    Args:
        y: None is x itself, whose two gradients are then added up in place.
        skip: one column per row that is left out of the sum (usually the row itself).
        excluded: True for each further product that is left out. Some column must stay in every row.
    """
    return _LogPartition.apply(x, y, scale, skip, excluded)  # pyright: ignore


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor | None, scale: float, skip: Tensor | None, excluded: Tensor | None
    ) -> Tensor:
        with without_autocast(x):
            columns = x if y is None else y
            terms = torch.addmm(x.new_zeros(()), x, columns.T, beta=0, alpha=scale)
        if skip is not None:
            terms.scatter_(1, skip[:, None], -torch.inf)
        if excluded is not None:
            terms.masked_fill_(excluded, -torch.inf)
        largest = terms.amax(1, keepdim=True)
        total = terms.sub_(largest).exp_().sum(1, keepdim=True)
        ctx.save_for_backward(x, y, terms, total)
        ctx.scale = scale
        return (largest + total.log()).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:  # pyright: ignore
        x, y, terms, total = ctx.saved_tensors
        per_row = ctx.scale * grad[:, None] / total
        with without_autocast(x):
            dx = (terms @ (x if y is None else y)).mul_(per_row)
            if y is None:
                return dx.addmm_(terms.T, x * per_row), None, None, None, None
            return dx, terms.T @ (x * per_row), None, None, None
