"""Cosines between what one view predicts and what the other views are (the loss of the methods without negatives), and
the measure that tells whether these methods have collapsed."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastssl.methods.precision import at_least_float32, without_autocast

SHORTEST = 1e-12
"""Length below which a vector is divided by this instead, as `F.normalize` does."""


def cosine_to_others(p: Float[Tensor, "a b d"], t: Float[Tensor, "a b d"]) -> Float[Tensor, ""]:
    """The mean of cos(p_a, t_c) over images and ordered pairs of views a != c; -1..1, in float32 also under autocast.

    The cosine is linear in the unit target, so the sum over the other views stands for all pairs: A dot products per
    image and not A (A - 1). Any A >= 2. Keeps p and t as they are for the backward pass, and their lengths.
    """
    return _CosineToOthers.apply(at_least_float32(p), at_least_float32(t))  # pyright: ignore


class _CosineToOthers(torch.autograd.Function):
    """With u_a the sum of the other views' unit targets, cos = <p_a, u_a> / |p_a| and

        d cos / d p_a = (u_a - cos p_a / |p_a|) / |p_a|

    The mean over pairs treats p and t alike, and so does the gradient. Works on one view at a time: temporaries are
    (b, d).
    """

    @staticmethod
    def forward(ctx: Any, p: Tensor, t: Tensor) -> Tensor:
        p_scale, t_scale = (1 / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(SHORTEST) for x in (p, t))
        cosines = _summed_cosines(p, p_scale, t, t_scale)
        ctx.save_for_backward(p, p_scale, t, t_scale, cosines)
        return cosines.mean() / (len(t) - 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # pyright: ignore
        p, p_scale, t, t_scale, cosines = ctx.saved_tensors
        grad, dp, dt = grad / (cosines.numel() * (len(t) - 1)), None, None
        if ctx.needs_input_grad[0]:
            dp = _slope(p, p_scale, t, t_scale, cosines, grad)
        if ctx.needs_input_grad[1]:
            dt = _slope(t, t_scale, p, p_scale, _summed_cosines(t, t_scale, p, p_scale), grad)
        return dp, dt


def _summed_cosines(x: Tensor, x_scale: Tensor, y: Tensor, y_scale: Tensor) -> Tensor:
    """(a b 1), of each x_a with all y_c, c != a."""
    dots = [other.mul_(view).sum(-1, keepdim=True) for view, other in zip(x, _units_of_others(y, y_scale))]
    return torch.stack(dots) * x_scale


def _slope(x: Tensor, x_scale: Tensor, y: Tensor, y_scale: Tensor, cosines: Tensor, grad: Tensor) -> Tensor:
    """(a b d), of the sum of `cosines` with respect to x, times `grad`."""
    slope, across = x * (cosines * x_scale.square() * -grad), x_scale * grad
    for a, other in enumerate(_units_of_others(y, y_scale)):
        slope[a].addcmul_(other, across[a])
    return slope


def _units_of_others(y: Tensor, scale: Tensor) -> Iterator[Tensor]:
    """For each view the sum of the others' unit vectors (b d), which may be written to."""
    if len(y) == 2:
        yield from (y[1 - a] * scale[1 - a] for a in range(2))
        return
    together = y[0] * scale[0]
    for view, factor in zip(y[1:], scale[1:]):
        together.addcmul_(view, factor)
    for view, factor in zip(y, scale):
        yield torch.addcmul(together, view, factor, value=-1)


def cosine_to_mean_of_others(p: Float[Tensor, "a b d"], t: Float[Tensor, "a b d"]) -> Float[Tensor, ""]:
    """The mean of cos(p_a, mean_{c != a} t_c) over images and views a; -1..1, in float32 also under autocast. The
    targets are averaged as they are, so that their lengths count."""
    with without_autocast(p):
        p, t = at_least_float32(p), at_least_float32(t)
        return (F.normalize(p, dim=-1) * F.normalize(t.sum(0) - t, dim=-1)).sum(-1).mean()


def dimensions(z: Float[Tensor, "a b d"]) -> Float[Tensor, ""]:
    """How many dimensions the unit embeddings of a view's images fill: one over the mean squared cosine of all pairs of
    images (each with itself, too), mean over views. Detached.

    It is the participation ratio of their second moments: 1 when all images have one embedding (collapse) or lie on one
    line, k when they are spread evenly over k dimensions, at most min(b, d).
    """
    with without_autocast(z):
        unit = F.normalize(at_least_float32(z.detach()), dim=-1)
        return (1 / (unit @ unit.mT).square().mean((1, 2))).mean()
