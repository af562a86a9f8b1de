"""DIET's loss: cross-entropy over as many classes as there are samples, without the matrix of all logits.

    loss = mean_b( logsumexp_j <z_b, W_j>  -  (1 - eps) <z_b, W_y>  -  eps <z_b, mean_j W_j> )

Blocks of rows of W are streamed. The forward pass keeps a running maximum m and sum s of exp(logit - m) per sample; the
backward pass computes each block again and has, with g = (softmax - q) / B, dz = g W and dW_block = g_block' z. Nothing
larger than one block of logits is alive at a time, so memory beside W and dW is O(B block_rows), whatever N. (dW itself
is N x K: the softmax reaches every row.) Where all rows are one block, the block is kept instead of computed again:
three products of N K B multiply-adds instead of four.

Two arrangements save passes over memory: logits are laid out (rows, b), so that `- m` is a bias of the product and
exp the one elementwise pass of the backward; and 1 / s, the scale of the loss and the smoothing's part of dW are
applied to (b, k) and (k,) operands and never to a block.

No kernel of our own, by arithmetic and not yet by measurement: at N = 1,281,167, K = 512, B = 256 the four products are
1.3 TFLOP of float32, 20 ms at an H100's 67 TFLOP/s; some nine passes over the logits, if none hit the cache, are 12 GB,
3.5 ms at 3.35 TB/s. A fused kernel could save that much at best, and would have to match the library's products. Were
the products in TF32 the balance would turn.
"""

import math
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastssl.errors import InputError
from fastssl.methods.precision import at_least_float32, without_autocast

KEPT_BYTES = 256 << 20
"""With `block_rows="auto"`, logits of all rows up to this size are one block, kept for the backward pass: 50,000 rows
at up to 1,342 embeddings."""
BLOCK_BYTES = 16 << 20
"""Size of a block beyond that: 16,384 rows at 256 embeddings. A block is written once and read twice, so it should stay
in the last cache (50 MB on an H100)."""


def diet_loss(
    z: Float[Tensor, "b k"],
    weight: Float[Tensor, "n k"],
    target: Int64[Tensor, "b"],
    label_smoothing: float,
    block_rows: int | Literal["auto"] = "auto",
) -> Float[Tensor, ""]:
    """Cross-entropy of the logits z W' against the smoothed one-hot target, in nats, mean over b; at least `floor`.

    Equals `torch.nn.functional.cross_entropy(z @ weight.T, target, label_smoothing=...)` without the b x n matrix.
    """
    z, weight = at_least_float32(z), at_least_float32(weight)
    rows = rows_per_block(len(weight), len(z), block_rows)
    return _StreamedCrossEntropy.apply(z, weight, target, label_smoothing, rows)  # pyright: ignore


def floor(num_classes: int, label_smoothing: float) -> float:
    """Least possible loss in nats: the entropy of the smoothed target."""
    off_target = label_smoothing / num_classes
    on_target = 1 - label_smoothing + off_target
    counts = ((1, on_target), (num_classes - 1, off_target))
    return -sum(count * share * math.log(share) for count, share in counts if share > 0)


def check_loss_options(label_smoothing: float, block_rows: int | Literal["auto"]) -> None:
    """Errors: `InputError` for what no loss can be computed with."""
    if not 0 <= label_smoothing <= 1:
        raise InputError(f"label_smoothing={label_smoothing} is not a share; give a number from 0 to 1")
    if block_rows != "auto" and block_rows < 1:
        raise InputError(f"block_rows={block_rows} streams nothing; give 1 or more, or auto")


def rows_per_block(num_rows: int, num_embeddings: int, block_rows: int | Literal["auto"] = "auto") -> int:
    """How many rows of W go through the loss at a time, from 1 to `num_rows`; all of them means kept, not streamed."""
    if block_rows == "auto":
        row_bytes = 4 * num_embeddings
        block_rows = num_rows if num_rows * row_bytes <= KEPT_BYTES else max(BLOCK_BYTES // row_bytes, 1)
    return min(block_rows, num_rows)


def rows_memory_bytes(
    num_rows: int, dim: int, num_embeddings: int, block_rows: int | Literal["auto"], optimiser_states: int = 2
) -> int:
    """Bytes in training: float32 rows, their (dense) gradient, the optimiser's states, and a block of logits."""
    block = num_embeddings * rows_per_block(num_rows, num_embeddings, block_rows)
    return 4 * (num_rows * dim * (2 + optimiser_states) + block)


def streamed_exp(z: Tensor, weight: Tensor, block_rows: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Maximum m of the logits of each embedding (b,), the sum of exp(logit - m) (b,), and, where one block holds all
    rows, those exponentials themselves (n, b), else None."""
    largest = z.new_full((len(z),), -torch.inf)
    total = z.new_zeros(len(z))
    exponentials = None
    for rows in weight.split(block_rows):
        exponentials = None  # the last block goes before the next one comes
        exponentials = rows @ z.T
        new = torch.maximum(largest, exponentials.amax(0))
        exponentials.sub_(new).exp_()
        total = total * torch.exp(largest - new) + exponentials.sum(0)
        largest = new
    return largest, total, exponentials if block_rows >= len(weight) else None


def streamed_gradients(
    z: Tensor, weight: Tensor, largest: Tensor, share: Tensor, offset: Tensor, kept: Tensor | None, block_rows: int
) -> tuple[Tensor, Tensor]:
    """With p_bj = share_b exp(logit_bj - largest_b): dz = p W (b, k), and dW = p' z + offset (n, k).

    Args:
        kept: the exponentials of `streamed_exp`, or None to compute them again, block by block.
    """
    shared = z * share[:, None]
    dz, dweight = torch.zeros_like(z), torch.empty_like(weight)
    for rows, drows in zip(weight.split(block_rows), dweight.split(block_rows)):
        exponentials = None  # as above
        exponentials = torch.addmm(-largest, rows, z.T).exp_() if kept is None else kept
        torch.addmm(dz, exponentials.T, rows, out=dz)
        torch.addmm(offset, exponentials, shared, out=drows)
    return dz.mul_(share[:, None]), dweight


class _StreamedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor, target: Tensor, eps: float, block_rows: int) -> Tensor:
        with without_autocast(z):
            largest, total, kept = streamed_exp(z, weight, block_rows)
            aim = (1 - eps) * weight[target] + eps * weight.mean(0)
        ctx.save_for_backward(z, weight, target, largest, total, aim, kept)
        ctx.eps, ctx.block_rows = eps, block_rows
        return (largest + total.log() - (z * aim).sum(1)).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # pyright: ignore
        z, weight, target, largest, total, aim, kept = ctx.saved_tensors
        scale, eps = grad / len(z), ctx.eps
        offset = -scale * eps / len(weight) * z.sum(0)
        with without_autocast(z):
            dz, dweight = streamed_gradients(z, weight, largest, scale / total, offset, kept, ctx.block_rows)
        dweight.index_add_(0, target, -scale * (1 - eps) * z)
        return dz - scale * aim, dweight, None, None, None
