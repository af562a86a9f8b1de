"""Cosines between what one view predicts and what the other views are (the loss of the methods without negatives), and
the measure that tells whether these methods have collapsed."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fastssl.methods.precision import at_least_float32, without_autocast


def cosine_to_others(p: Float[Tensor, "a b d"], t: Float[Tensor, "a b d"]) -> Float[Tensor, ""]:
    """The mean of cos(p_a, t_c) over images and ordered pairs of views a != c; -1..1, in float32 also under autocast.

    The cosine is linear in the unit target, so the sum over the other views stands for all pairs: A dot products per
    image and not A (A - 1). Any A >= 2.
    """
    with without_autocast(p):
        p, t = (F.normalize(at_least_float32(x), dim=-1) for x in (p, t))
        return (p * (t.sum(0) - t)).sum(-1).mean() / (len(t) - 1)


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
