"""What the processes of one run tell each other: every gather and reduction of a loss is here.

One process per device, each with its own images, `torch.distributed` initialised by whoever started them (`torchrun`).
Without it, or with one process, each function gives back its input, so a method is written once.

The contract of a loss over several processes: **the mean over ranks of the losses is the loss of the global batch, and
the mean over ranks of the gradients is its gradient** (averaging gradients is what data-parallel training does).
Gather, mean and sum are differentiable and send gradients to the rank they belong to, summed over the ranks that used
the values; so a loss that gathers everything and computes the same number on every rank fulfils the contract, and so
does one that takes the mean over its own rows against everyone's.

Batches have the same size on every rank: the loaders see to it.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def world_size() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def gather(x: Tensor, dim: int = 0) -> Tensor:
    """The tensors of all ranks, concatenated along `dim` in the order of ranks; differentiable."""
    return x if world_size() == 1 else _Gather.apply(x, dim)  # pyright: ignore


def mean_over_ranks(x: Tensor) -> Tensor:
    """The mean of the ranks' tensors, which have one shape; differentiable."""
    return x if world_size() == 1 else _Sum.apply(x / world_size())  # pyright: ignore


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of the ranks' tensors, which have one shape; differentiable."""
    return x if world_size() == 1 else _Sum.apply(x)  # pyright: ignore


@torch.no_grad()
def max_over_ranks(x: Tensor) -> Tensor:
    """The element-wise maximum of the ranks' tensors, which have one shape; no gradient passes."""
    if world_size() > 1:
        x = x.contiguous().clone()
        dist.all_reduce(x, dist.ReduceOp.MAX)
    return x


def _all_reduce(x: Tensor) -> Tensor:
    total = x.contiguous().clone()
    dist.all_reduce(total)
    return total


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        ctx.dim, ctx.rows = dim, x.shape[dim]
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts, dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        return _all_reduce(grad).narrow(ctx.dim, rank() * ctx.rows, ctx.rows), None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _all_reduce(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore
        return _all_reduce(grad)
