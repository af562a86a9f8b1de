"""The idealized loss: features that augmentation leaves alone, and that are orthonormal. Its minima are eigenfunctions.

Each of the d features f_j is standardised over all AB embeddings (mean 0, variance 1), m_j is its mean over an image's
views, and C = E[f f'] over all embeddings. With E over images, and views where they are still there

    loss = sum_j E (m_j - f_j)^2  +  weight * sum_{i != j} C_ij^2

Averaging over the views of an image estimates the augmentation kernel T, whose eigenfunctions, T f = lambda f, are what
a representation should span: the first term is (A - 1)/A sum_j (1 - lambda_j) at such features, so it wants the largest
lambda, and the second wants different ones. `spectral` and Barlow Twins seek the same span; here the kernel is spelt
out. Two features gain (A - 1)/A (lambda_1 - lambda_2) by both being the first eigenfunction, and pay 2 weight: a weight
of 1/2 or more never lets features double, a weak one lets the spectrum of the representation fall off.

The first term is computed as sum_j (1 - E m_j^2): the same number when variances are 1, and 1 for a dimension that has
died, which has no variance to standardise; the first form would give 0 there, and collapse would be a minimum. Values
worth knowing: views that agree and uncorrelated features give 0; views that correlate rho give d (A - 1)/A (1 - rho);
unrelated views d (A - 1)/A; collapse d.

Paper: Agrawal, Ghosh, Oberman, Richards 2023, arXiv 2312.10725 (the equation; the authors' code trains its Barlow Twins
and VICReg forms only: see there). The eigenfunction problem: HaoChen 2021, arXiv 2106.04156; Johnson, El Hanchi,
Maddison 2023, arXiv 2210.01883.

Deviations: the weight's default is that of Barlow Twins, 3 / d: the slopes of the two invariance terms are equal for
A = 2 where views correlate 3/4.

Over several processes E is over the images of all of them (see `moments`).

Cost: one product of (d, AB) by (AB, d), or of (AB, d) by (d, AB) while 4 AB is not above 3 d.
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.barlow_twins import AUTO_NUMERATOR, standardise
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.heads import projector
from fastssl.methods.moments import correlations, square_sum
from fastssl.methods.precision import at_least_float32, without_autocast
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class IdealizedConfig:
    """The idealized loss with the small projector of Agrawal 2023."""

    kind: Literal["idealized"] = "idealized"
    orthogonality_weight: float | Literal["auto"] = "auto"
    """Weight of the off-diagonal correlations (beta); auto is 3 / projector_dim."""
    projector_dim: int = 256
    projector_hidden: int | None = None
    """Width of the projector's inner layers; None is projector_dim, as in the multi-view paper."""
    projector_depth: int = 2
    """Linear layers of the projector; 1 is a linear projector."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        if self.orthogonality_weight != "auto" and not self.orthogonality_weight >= 0:
            raise InputError(f"orthogonality_weight={self.orthogonality_weight} is no weight; give 0 or more, or auto")

    @property
    def weight(self) -> float:
        """The orthogonality weight as a number."""
        beta = self.orthogonality_weight
        return AUTO_NUMERATOR / self.projector_dim if beta == "auto" else beta

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "Idealized":
        return Idealized(self, encoder, dim)


class Idealized(nn.Module):
    """Encoder, projector and the idealized loss; takes two or more views."""

    def __init__(self, config: IdealizedConfig, encoder: nn.Module, dim: int) -> None:
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
        invariance, redundancy = idealized_terms(z)
        logs = {"invariance": invariance.detach(), "redundancy": redundancy.detach()}
        return MethodOutput(invariance + config.weight * redundancy, logs)


def idealized_loss(z: Float[Tensor, "a b d"], weight: float) -> Float[Tensor, ""]:
    """invariance + weight * redundancy of `idealized_terms`."""
    invariance, redundancy = idealized_terms(z)
    return invariance + weight * redundancy


def idealized_terms(z: Float[Tensor, "a b d"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The two terms above, sums over dimensions and over pairs of them; in float32 also under autocast. Any A >= 2. Of
    several processes each gives its own images, and the mean over ranks is the term of all images."""
    num_images, dim = z.shape[1:]
    with without_autocast(z):
        z = standardise(at_least_float32(z), "joint")
        invariance = dim - square_sum(z.mean(0)) / num_images
        diagonal, squares = correlations(z.flatten(0, 1)[None])
        return invariance, squares - diagonal.square().sum()
