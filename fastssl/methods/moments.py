"""Second moments over the images of all processes: what the losses that decorrelate dimensions are made of.

`correlations` gives diagonals and sums of squares of C_a = E x_a y_a', the mean over B images of d dimensions, and that
is all those losses need: the off-diagonal squares are all of them less the diagonal's, with no mask and no copy of C.
The sum of squares can be had without C,

    sum_ij C_ij^2 = |x'y|^2 / B^2 = <xx', yy'> / B^2

so either d x d matrices are made or B x B ones, whichever is less work: three products of d d B multiply-adds, there
and back, or four of B B d. At B = 512 and d = 8192 the second is 12 times less, in 1/128 of the memory. The gradients
are written down, because autograd would take each symmetric product twice and keep copies of the matrices.

Over W processes, B counting the images of all, the choice is that of the lesser traffic too: d x d matrices are
averaged over ranks (d^2 numbers, each rank multiplying its own images alone); for B x B ones each rank gathers the
others' images (B d numbers) and takes its own rows against everyone's columns. Backward needs no traffic: every rank
has the same loss, or a part of it that is symmetric to the others', and can compute the gradient it would be sent.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastssl.methods.gather import gather, mean_over_ranks, world_size
from fastssl.methods.precision import without_autocast


def square_sum(x: Tensor) -> Float[Tensor, ""]:
    """Sum of squares, without a copy of x; its gradient is 2 x, at 0 too."""
    return torch.linalg.vector_norm(x).square()


def mean_and_variance(z: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over dimensions that hold images, of all processes; those dimensions are kept as 1."""
    variance, mean = torch.var_mean(z, over, correction=0, keepdim=True)
    if world_size() == 1:
        return mean, variance
    everyone = mean_over_ranks(mean)
    return everyone, mean_over_ranks(variance + (mean - everyone).square())


def standardised(z: Tensor, over: tuple[int, ...], eps: float) -> Tensor:
    """(z - mean) / sqrt(variance + eps), with the mean and biased variance of all processes over those dimensions."""
    if world_size() == 1 and over == (1,) and z.ndim == 3 and z.shape[1] > 1:  # BatchNorm has kernels for it
        return torch.stack([F.batch_norm(view, None, None, training=True, eps=eps) for view in z])
    return _Standardised.apply(z, over, eps)  # pyright: ignore


def correlations(
    x: Float[Tensor, "a b d"], y: Float[Tensor, "a b d"] | None = None
) -> tuple[Float[Tensor, "a d"], Float[Tensor, ""]]:
    """The diagonal of each C_a = mean_b x_ab y_ab', and sum_a sum_ij C_a[i,j]^2, over the images of all processes.

    The mean over ranks of what is returned is that (see `gather`); on one process it is that itself. The loss must
    weigh the second alike on every rank. y: None is x.
    """
    return _Correlations.apply(x, y)  # pyright: ignore


def pair_squares(z: Float[Tensor, "a b d"]) -> Float[Tensor, ""]:
    """sum_{a != c} sum_ij C_ac[i,j]^2 with C_ac = mean_b z_ab z_cb', in A products: with K_a = z_a z_a' it is
    (|sum_a K_a|^2 - sum_a |K_a|^2) / B^2. Over ranks as the second of `correlations`."""
    return _PairSquares.apply(z)  # pyright: ignore


class _Standardised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, over: tuple[int, ...], eps: float) -> Tensor:
        mean, variance = mean_and_variance(z, over)
        scale = torch.rsqrt(variance + eps)
        out = (z - mean).mul_(scale)
        ctx.save_for_backward(out, scale)
        ctx.over = over
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore
        out, scale = ctx.saved_tensors
        common = mean_over_ranks(grad.mean(ctx.over, keepdim=True))
        along = mean_over_ranks((grad * out).mean(ctx.over, keepdim=True))
        return (grad - common).addcmul_(out, along, value=-1).mul_(scale), None, None


class _Correlations(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        _, num_images, dim = x.shape
        everyone = num_images * world_size()
        ctx.pairs, ctx.by_dimension = num_images * everyone, 4 * everyone > 3 * dim
        other = x if y is None else y
        with without_autocast(x):
            if ctx.by_dimension:
                c = mean_over_ranks((x.mT @ other).div_(num_images))
                ctx.save_for_backward(x, y, c)
                return c.diagonal(dim1=1, dim2=2).clone(), square_sum(c)
            x_all = gather(x, 1)
            x_gram = x @ x_all.mT
            y_all = None if y is None else gather(y, 1)
            y_gram = None if y is None or y_all is None else y @ y_all.mT
        ctx.save_for_backward(x, y, x_all, y_all, x_gram, y_gram)
        squares = square_sum(x_gram) if y_gram is None else (x_gram * y_gram).sum()
        return mean_over_ranks((x * other).mean(1)), squares / ctx.pairs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, on_diagonal: Tensor, on_squares: Tensor) -> tuple[Tensor, Tensor | None]:  # pyright: ignore
        x, y, *kept = ctx.saved_tensors
        num_images = x.shape[1]
        both = 2 if y is None else 1  # x stands on both sides of its products, y and x on one each
        with without_autocast(x):
            if ctx.by_dimension:
                (c,), count = kept, num_images
                dx, dy = (x if y is None else y) @ c.mT, None if y is None else x @ c
            else:
                x_all, y_all, x_gram, y_gram = kept
                dx = (x_gram if y is None else y_gram) @ x_all
                dy, count = None if y is None else x_gram @ y_all, ctx.pairs
        on_squares = on_squares * (2 * both / count)
        on_diagonal = (on_diagonal * (both / num_images))[:, None]
        dx.mul_(on_squares).addcmul_(x if y is None else y, on_diagonal)
        return dx, None if dy is None else dy.mul_(on_squares).addcmul_(x, on_diagonal)


class _PairSquares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        with without_autocast(z):
            z_all = gather(z, 1)
            grams = z @ z_all.mT
        total = grams.sum(0)
        squares = square_sum(total) - square_sum(grams)
        ctx.save_for_backward(z_all, grams.neg_().add_(total))  # of each view, the others'
        ctx.pairs = z.shape[1] * z_all.shape[1]
        return squares / ctx.pairs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore
        z_all, others = ctx.saved_tensors
        with without_autocast(z_all):
            return (others @ z_all).mul_(grad * (4 / ctx.pairs))
