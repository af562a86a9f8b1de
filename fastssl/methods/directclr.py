"""DirectCLR: contrast the first few features of the representation itself; there is no projector.

With r the representation (what a probe sees), d0 a number of features and z = r[:d0], the loss is InfoNCE between
views: for an anchor view a of image i and its positive, view c of the same image,

    loss = mean_{a != c} mean_i  -log( exp s(z_ai, z_ci) / sum_{e != a} sum_j exp s(z_ai, z_ej) )

with s the cosine over the temperature. The other features get no gradient of their own; the residual stream of the last
block carries the signal to them. The projector of SimCLR keeps the representation from collapsing onto few dimensions;
the paper's claim is that a fixed low-rank diagonal one, which is what taking the first d0 features amounts to, does so
as well.

Values worth knowing, at A = 2: all embeddings equal gives log B; the infimum is 0; the regular simplex gives
log(1 + (B - 1) exp(-(B / (B - 1)) / temperature)).

Paper: Jing, Vincent, LeCun, Tian 2021, arXiv 2110.09348. Authors' code: facebookresearch/directclr, main.py at commit
010c2f8cde97 (360 of ResNet-50's 2048 features, temperature .1).

It is SimCLR's loss with the negatives of the authors' code: those in the other views, (A - 1)(B - 1) of them, which are
the first in its order, and none in the anchor's own view.

Deviations:
- more than two views (the other positives then stand in the denominator, as in SimCLR);
- the authors' probe trains beside the encoder in the same step; here probes are evaluations.

Cost: one product of (Ab, d0) by (d0, AB).
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.simclr import everyone, simclr_loss
from fastssl.types import DatasetInfo, MethodOutput, Views

SHARE = 360 / 2048  # of the representation: ResNet-50 in the authors' code


@dataclass(frozen=True, kw_only=True)
class DirectCLRConfig:
    """DirectCLR. Defaults are those of the authors' code."""

    kind: Literal["directclr"] = "directclr"
    temperature: float = 0.1
    """Divides the cosine similarities; above 0."""
    num_features: int | None = None
    """How many of the representation's features the loss looks at; None is the paper's share, 360 of 2048."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature={self.temperature} cannot divide similarities; give a number above 0")
        if self.num_features is not None and self.num_features < 1:
            raise InputError(f"num_features={self.num_features} leaves the loss nothing to look at; give 1 or more")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "DirectCLR":
        """Errors: `InputError` when the encoder has fewer features than the loss is to look at."""
        if self.num_features is not None and self.num_features > dim:
            raise InputError(f"num_features={self.num_features} is more than the encoder's {dim}; give {dim} or fewer")
        return DirectCLR(self, encoder, dim)


class DirectCLR(nn.Module):
    """Encoder and the contrastive loss on its first features; takes two or more views."""

    def __init__(self, config: DirectCLRConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.num_features = max(1, round(SHARE * dim)) if config.num_features is None else config.num_features

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Errors: `InputError` for one view."""
        config = self.config
        require_views(views, 2, config.kind)
        z = encode_views(self.encoder, views, config.per_view_bn)[..., : self.num_features]
        return MethodOutput(directclr_loss(z, config.temperature, *everyone(z)), {})


def directclr_loss(
    z: Float[Tensor, "a b d"],
    temperature: float,
    candidates: Float[Tensor, "a n d"] | None = None,
    first: int = 0,
) -> Float[Tensor, ""]:
    """The equation above, in nats, at least 0; arguments as those of `simclr_loss`."""
    num_views, num_images, _ = z.shape if candidates is None else candidates.shape
    return simclr_loss(z, temperature, (num_views - 1) * (num_images - 1), candidates, first)
