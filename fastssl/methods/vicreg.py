"""VICReg: views agree, no dimension dies, no two dimensions say the same; no negatives, no standardising.

For A views of B images in d dimensions, with Cov_a the unbiased covariance matrix over the images of view a

    invariance = mean_a mean_{b,j} (z_abj - m_abj)^2            m_a: what view a is compared with
    variance   = mean_a mean_j max(0, 1 - sqrt(Cov_a[j,j] + 1e-4))
    covariance = 2 mean_a (1/d) sum_{i != j} Cov_a[i,j]^2
    loss       = 25 invariance + 25 variance + 1 covariance

Multi-view forms, which differ in the invariance alone:
- `leave_one_out` (default): m_a is the mean of the *other* views;
- `pairwise`: the mean of the squared difference over all pairs of views.
Both are multiples of the views' spread around their common mean, A^2/(A-1)^2 and 2A/(A-1) times
mean (z_a - mean_a z_a)^2, and both are the two-view loss at A = 2. The hinge is on each *view's* own deviation: that of
a mean of A - 1 views is smaller by nature, and a hinge on it would push the views apart.

Paper: Bardes, Ponce, LeCun 2021, arXiv 2105.04906; many views: Agrawal, Ghosh, Oberman, Richards 2023, arXiv
2312.10725. Authors' code: facebookresearch/vicreg, main_vicreg.py at commit b42aa2327afe; the multi-view form:
kumarkrishna/fastssl, fastssl/models/vicreg.py at f962eff5e1ce.

Deviations:
- as in the authors' code (not the paper's equation) the invariance is a mean over dimensions and the variance term a
  mean over views, while the covariance term is the *sum* over the two views; hence its factor 2 with A views;
- the projector is that of Agrawal 2023, Linear-BN-ReLU-Linear with d = 256, not three layers of 8192. Agrawal 2023
  tunes the weights of invariance and variance together: about 20 at d = 64, 25-75 at 1024, 800 at 8192;
- the multi-view code applies hinge and covariance to the mean of the other views too; here to views only (see above).

Over several processes B is the batch of all of them: means, variances and the squares of the covariances are theirs
(`moments` says at which traffic), while the invariance is a mean over own images.

Cost: A products of (d, B) by (B, d), or of (B, d) by (d, B) while 4 B is not above 3 d.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.gather import mean_over_ranks, world_size
from fastssl.methods.heads import projector
from fastssl.methods.moments import correlations
from fastssl.methods.precision import at_least_float32, without_autocast
from fastssl.types import DatasetInfo, MethodOutput, Views

Form: TypeAlias = Literal["leave_one_out", "pairwise"]
TARGET_STD = 1.0  # gamma, section 4.1 of the paper
EPS = 1e-4  # inside the root, section 4.1 of the paper


@dataclass(frozen=True, kw_only=True)
class VICRegConfig:
    """VICReg. The three weights are the paper's (25, 25, 1)."""

    kind: Literal["vicreg"] = "vicreg"
    invariance_weight: float = 25.0
    variance_weight: float = 25.0
    covariance_weight: float = 1.0
    multiview: Form = "leave_one_out"
    """What a view is compared with when there are more than two."""
    projector_dim: int = 256
    projector_hidden: int | None = None
    """Width of the projector's inner layers; None is projector_dim, as in the multi-view paper."""
    projector_depth: int = 2
    """Linear layers of the projector; 1 is a linear projector."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        for name in ("invariance_weight", "variance_weight", "covariance_weight"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}={getattr(self, name)} is no weight; give 0 or more")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "VICReg":
        return VICReg(self, encoder, dim)


class VICReg(nn.Module):
    """Encoder, projector and the variance-invariance-covariance loss; takes two or more views."""

    def __init__(self, config: VICRegConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        hidden = config.projector_dim if config.projector_hidden is None else config.projector_hidden
        self.projector = projector(dim, hidden, config.projector_dim, config.projector_depth)

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Logs the three terms, unweighted. Errors: `InputError` for one view."""
        config = self.config
        require_views(views, 2, config.kind)
        z = encode_views(lambda x: self.projector(self.encoder(x)), views, config.per_view_bn)
        invariance, variance, covariance = vicreg_terms(z, config.multiview)
        loss = (
            config.invariance_weight * invariance
            + config.variance_weight * variance
            + config.covariance_weight * covariance
        )
        logs = {"invariance": invariance, "variance": variance, "covariance": covariance}
        return MethodOutput(loss, {name: value.detach() for name, value in logs.items()})


def vicreg_loss(
    z: Float[Tensor, "a b d"],
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    form: Form = "leave_one_out",
) -> Float[Tensor, ""]:
    """The weighted sum of `vicreg_terms`."""
    invariance, variance, covariance = vicreg_terms(z, form)
    return invariance_weight * invariance + variance_weight * variance + covariance_weight * covariance


def vicreg_terms(
    z: Float[Tensor, "a b d"], form: Form = "leave_one_out"
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """Invariance, variance and covariance as above; in float32 also under autocast. A, B >= 2. Of
    several processes each gives its own images, and the mean over ranks is the term of all images."""
    num_views, num_images, dim = z.shape
    with without_autocast(z):
        z = at_least_float32(z)
        ratio = num_views / (num_views - 1)
        # No gradient goes through either mean: deviations from it sum to 0, so whatever moves it changes nothing.
        common, mean = z.detach().mean(0), mean_over_ranks(z.detach().mean(1, keepdim=True))
        invariance = F.mse_loss(z, common.expand_as(z)) * (ratio**2 if form == "leave_one_out" else 2 * ratio)
        variance, squares = correlations(z - mean)
        unbiased = 1 - 1 / (num_images * world_size())
        variance, squares = variance / unbiased, squares / unbiased**2
        hinge = torch.relu(TARGET_STD - torch.sqrt(variance + EPS)).mean()
        return invariance, hinge, 2 * (squares - variance.square().sum()) / (num_views * dim)
