"""DIET's loss with the head's rows split over the processes of a run: rank r holds rows n r / R to n (r + 1) / R.

Every rank sees the embeddings of all ranks and its own rows of W. The ranks then tell each other, per sample, the
maximum of the logits, and the sums over rows of exp(logit - maximum), of the target's logit (which one rank has) and of
all logits (for the smoothing); so the loss is that of the whole matrix, on every rank.

Gradients, with R ranks and the same scale of the loss on each:
- of z: each rank's rows give a part, `gather` sums the parts and hands each rank those of its own images, times R, so
  that the mean over ranks that data-parallel training takes is the gradient of the global batch (see `gather.py`);
- of the shard: exactly those rows of the whole matrix's gradient. **A trainer must not average it over ranks**: there
  are no two ranks with the same rows. `DIET.unreduced_parameters()` names what to leave out of the reduction (for
  DistributedDataParallel, `_set_params_and_buffers_to_ignore_for_model`). What is computed from all gradients, a global
  norm or the gradient scaler's search for infinities, then needs a reduction of its own.

Communication per step, for B embeddings over all ranks: B K numbers gathered and B K reduced (in place of the N K of a
head that every rank has), and 4 B for the sums.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastssl.errors import InputError
from fastssl.methods.diet_loss import rows_per_block, streamed_exp, streamed_gradients
from fastssl.methods.gather import gather, max_over_ranks, rank, sum_over_ranks, world_size
from fastssl.methods.precision import at_least_float32, without_autocast


def shard_bounds(num_rows: int) -> tuple[int, int]:
    """First row of this rank and the one after its last: all of them in a single process.

    Errors: `InputError` when there are fewer rows than ranks.
    """
    if num_rows < world_size():
        raise InputError(f"sharded=True splits {num_rows} rows over {world_size()} processes; run fewer of them")
    return num_rows * rank() // world_size(), num_rows * (rank() + 1) // world_size()


def sharded_diet_loss(
    z: Float[Tensor, "b k"],
    shard: Float[Tensor, "m k"],
    target: Int64[Tensor, "b"],
    num_rows: int,
    label_smoothing: float,
    block_rows: int | Literal["auto"] = "auto",
) -> Float[Tensor, ""]:
    """`diet_loss` of the embeddings of all ranks against all rows, in nats; the same number on every rank.

    Args:
        z: this rank's embeddings, as many as on any other.
        shard: rows `shard_bounds(num_rows)` of the head.
        target: of this rank's embeddings, 0..num_rows-1: rows of any rank.
    """
    start, stop = shard_bounds(num_rows)
    assert len(shard) == stop - start
    shard = at_least_float32(shard)
    everyone, targets = gather(at_least_float32(z)), gather(target)
    rows = rows_per_block(len(shard), len(everyone), block_rows)
    return _ShardedCrossEntropy.apply(everyone, shard, targets - start, num_rows, label_smoothing, rows)  # pyright: ignore


class _ShardedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, shard: Tensor, target: Tensor, num_rows: int, eps: float, block_rows: int
    ) -> Tensor:
        mine = (target >= 0) & (target < len(shard))
        target = torch.where(mine, target, 0)
        with without_autocast(z):
            own_largest, own_total, kept = streamed_exp(z, shard, block_rows)
            aim = (1 - eps) * (shard[target] * mine[:, None]) + eps / num_rows * shard.sum(0)
        largest = max_over_ranks(own_largest)
        own_share = torch.exp(own_largest - largest)
        total, aimed = sum_over_ranks(torch.stack((own_total * own_share, (z * aim).sum(1))))
        ctx.save_for_backward(z, shard, target, mine, own_largest, own_share / total, aim, kept)
        ctx.num_rows, ctx.eps, ctx.block_rows = num_rows, eps, block_rows
        return (largest + total.log() - aimed).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:  # pyright: ignore
        z, shard, target, mine, largest, share, aim, kept = ctx.saved_tensors
        scale, eps = grad / len(z), ctx.eps
        offset = -scale * eps / ctx.num_rows * z.sum(0)
        with without_autocast(z):
            dz, dshard = streamed_gradients(z, shard, largest, scale * share, offset, kept, ctx.block_rows)
        dshard.index_add_(0, target, -scale * (1 - eps) * (z * mine[:, None]))
        return world_size() * (dz - scale * aim), dshard, None, None, None, None
