"""Barlow Twins: views of an image agree in every dimension, and no two dimensions say the same.

Each dimension of the embeddings is standardised over the batch (mean 0, variance 1). With C the correlation matrix,
over the B images, between a view and its reference

    C = z_a' r_a / B,      loss = mean_a [ sum_i (C_ii - 1)^2  +  weight * sum_{i != j} C_ij^2 ]

What the reference r_a of view a is, when there are more than two, is the multi-view form:
- `leave_one_out` (default): the mean of the *other* views. Equals the two-view loss at A = 2.
- `pairwise`: the mean of the two-view loss over all pairs. The sums of squares are expanded,
  sum_{a != c} |z_a'z_c|^2 = |sum_a z_a z_a'|^2 - sum_a |z_a z_a'|^2, so it takes A products of (B, d) by (d, B); only
  the diagonals, of A^2 B d multiplications, are made pair by pair.
- `mean_autocorr`: the mean of *all* views, and the off-diagonal is that of the mean's own correlation matrix: one
  product. Its diagonal term is exactly ((A - 1) / A)^2 of leave-one-out's, so the size of the loss moves with A; Adam
  hides that, SGD and LARS do not.

`redundancy_weight="auto"` is 3 / d: the values tuned in Agrawal 2023 follow d^-1.02 on CIFAR-10 (weight x d about
2.9), d^-1.03 on STL-10 (about 1.9) and d^-.85 on ImageNet-100 (about 10).

Papers: Zbontar, Jing, Misra, LeCun, Deny 2021, arXiv 2103.03230; small projectors and many views: Agrawal, Ghosh,
Oberman, Richards 2023, arXiv 2312.10725. Authors' code: facebookresearch/barlowtwins, main.py at commit a655214c76c9;
the multi-view forms: kumarkrishna/fastssl, fastssl/models/barlow_twins.py (their code at A > 2 is `mean_autocorr` with
`standardise="joint"` and `l2_first`; at A = 2 it is `leave_one_out`).

Deviations:
- the projector is that of Agrawal 2023, Linear-BN-ReLU-Linear with d = 256, not three layers of 8192;
- one pass of the network over all views shares the statistics of its BatchNorm layers; `per_view_bn` separates them;
- standardising divides by sqrt(variance + 1e-5), the biased variance, as the affine-free BatchNorm of the first paper
  does; the multi-view code divides by the unbiased deviation with no epsilon, which is infinite at collapse.

Over several processes B is the batch of all of them. `moments` averages d x d matrices over ranks, or gathers images
when they are fewer than that many numbers; with the small projectors of this method, d^2 is far less than B d.

Cost: A products of (d, B) by (B, d), or one at A = 2 (there the two matrices are transposes of each other); while 4 B
is not above 3 d, two of (B, d) by (d, B) for each.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.gather import mean_over_ranks
from fastssl.methods.heads import projector
from fastssl.methods.moments import correlations, pair_squares, standardised
from fastssl.methods.precision import at_least_float32, without_autocast
from fastssl.types import DatasetInfo, MethodOutput, Views

Form: TypeAlias = Literal["leave_one_out", "pairwise", "mean_autocorr"]
Scope: TypeAlias = Literal["per_view", "joint"]
AUTO_NUMERATOR = 3.0  # Agrawal 2023, CIFAR-10: tuned weight x d is about 2.9 from d = 64 to 8192
EPS = 1e-5  # nn.BatchNorm1d's default, which the authors' code standardises with


@dataclass(frozen=True, kw_only=True)
class BarlowTwinsConfig:
    """Barlow Twins with a small projector."""

    kind: Literal["barlow_twins"] = "barlow_twins"
    redundancy_weight: float | Literal["auto"] = "auto"
    """Weight of the off-diagonal correlations (lambda in the paper); auto is 3 / projector_dim."""
    multiview: Form = "leave_one_out"
    """What a view is compared with when there are more than two."""
    standardise: Scope = "per_view"
    """Means and deviations over the images of each view, or over all views together."""
    l2_first: bool = False
    """Scale each embedding to unit length before standardising, as the multi-view paper's code does."""
    projector_dim: int = 256
    projector_hidden: int | None = None
    """Width of the projector's inner layers; None is projector_dim, as in the multi-view paper."""
    projector_depth: int = 2
    """Linear layers of the projector; 1 is a linear projector."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        if self.redundancy_weight != "auto" and not self.redundancy_weight >= 0:
            raise InputError(f"redundancy_weight={self.redundancy_weight} is no weight; give 0 or more, or auto")

    @property
    def weight(self) -> float:
        """The redundancy weight as a number."""
        return AUTO_NUMERATOR / self.projector_dim if self.redundancy_weight == "auto" else self.redundancy_weight

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "BarlowTwins":
        return BarlowTwins(self, encoder, dim)


class BarlowTwins(nn.Module):
    """Encoder, projector and the redundancy-reduction loss; takes two or more views."""

    def __init__(self, config: BarlowTwinsConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        hidden = config.projector_dim if config.projector_hidden is None else config.projector_hidden
        self.projector = projector(dim, hidden, config.projector_dim, config.projector_depth)

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Logs the two terms, unweighted. Errors: `InputError` for one view."""
        config = self.config
        require_views(views, 2, config.kind)
        z = encode_views(lambda x: self.projector(self.encoder(x)), views, config.per_view_bn)
        invariance, redundancy = barlow_twins_terms(z, config.multiview, config.standardise, config.l2_first)
        logs = {"invariance": invariance.detach(), "redundancy": redundancy.detach()}
        return MethodOutput(invariance + config.weight * redundancy, logs)


def barlow_twins_loss(
    z: Float[Tensor, "a b d"],
    weight: float,
    form: Form = "leave_one_out",
    scope: Scope = "per_view",
    l2_first: bool = False,
) -> Float[Tensor, ""]:
    """invariance + weight * redundancy of `barlow_twins_terms`."""
    invariance, redundancy = barlow_twins_terms(z, form, scope, l2_first)
    return invariance + weight * redundancy


def barlow_twins_terms(
    z: Float[Tensor, "a b d"], form: Form = "leave_one_out", scope: Scope = "per_view", l2_first: bool = False
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Diagonal term (0 when views agree) and off-diagonal term (0 when dimensions are uncorrelated), both sums over
    dimensions; in float32 also under autocast. Any A >= 2. Of several processes each gives its own images, and the mean
    over ranks is the term of all images."""
    with without_autocast(z):
        z = standardise(F.normalize(at_least_float32(z), dim=-1) if l2_first else at_least_float32(z), scope)
        if form == "mean_autocorr":
            return _mean_autocorr(z)
        if form == "pairwise" and len(z) > 2:
            return _pairwise(z)
        return _leave_one_out(z)


def standardise(z: Float[Tensor, "a b d"], scope: Scope = "per_view") -> Float[Tensor, "a b d"]:
    """Mean 0 and variance 1 in each dimension, over the images of a view or over all views' images together."""
    return standardised(z, (1,) if scope == "per_view" else (0, 1), EPS)


def _leave_one_out(z: Tensor) -> tuple[Tensor, Tensor]:
    num_views = len(z)
    if num_views == 2:  # the second view's matrix is the transpose of the first's
        diagonal, squares = correlations(*z.unflatten(0, (2, 1)).unbind())
    else:
        diagonal, squares = correlations(z, z.sum(0) - z)  # A - 1 times the mean of the others
        diagonal, squares = diagonal / (num_views - 1), squares / (num_views - 1) ** 2
    return (diagonal - 1).square().sum() / len(diagonal), (squares - diagonal.square().sum()) / len(diagonal)


def _pairwise(z: Tensor) -> tuple[Tensor, Tensor]:
    num_views, num_images, _ = z.shape
    num_pairs = num_views * (num_views - 1)  # ordered; both orders of a pair have the same value
    different = ~torch.eye(num_views, dtype=torch.bool, device=z.device)[..., None]
    diagonal = mean_over_ranks(torch.einsum("abd,cbd->acd", z, z) / num_images) * different
    invariance = ((diagonal - 1) * different).square().sum()
    return invariance / num_pairs, (pair_squares(z) - diagonal.square().sum()) / num_pairs


def _mean_autocorr(z: Tensor) -> tuple[Tensor, Tensor]:
    mean = z.mean(0, keepdim=True)
    invariance = (mean_over_ranks((z * mean).mean(1)) - 1).square().sum() / len(z)
    diagonal, squares = correlations(mean)
    return invariance, squares - diagonal.square().sum()
