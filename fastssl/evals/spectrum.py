"""Spectra of a representation: how many directions it uses, and which ones. No labels."""

import torch
from jaxtyping import Float
from torch import Tensor


def effective_rank(spectrum: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch"]:
    """exp of the entropy of the spectrum's shares: k when all values are equal, 1 when one has everything, 0 of zeros.

    Give the eigenvalues of a covariance, which are squared singular values: then it counts directions by variance.
    (Roy, Vetterli 2007 define it on the singular values themselves, which weighs small directions more.)
    Values are 0 or more, in any order.
    """
    total = spectrum.sum(-1, keepdim=True)
    shares = spectrum / torch.where(total > 0, total, 1.0)
    return torch.special.entr(shares).sum(-1).exp() * (total.squeeze(-1) > 0)


def captured(weight: Float[Tensor, "d k"], directions: Float[Tensor, "m k"]) -> Float[Tensor, ""]:
    """Share, 0 to 1, of the span of m orthonormal directions that lies in the row space of `weight`.

    It is the mean squared cosine of the principal angles: 1 when a linear encoder sees all of the directions however
    it mixes or scales them, about d / k for a random one; a direction missed altogether costs 1 / m.
    """
    _, values, rows = torch.linalg.svd(weight, full_matrices=False)
    # below rounding a singular value is 0, and its row is no direction of the encoder
    seen = values > values.max() * max(weight.shape) * torch.finfo(weight.dtype).eps
    return (rows @ directions.mT * seen[:, None]).square().sum() / len(directions)
