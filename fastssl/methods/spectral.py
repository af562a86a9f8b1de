"""Spectral contrastive: InfoNCE's logarithm and exponential replaced by a square, so that theory is exact.

For embeddings z of A views of B images (not of unit length)

    loss = ( -2 mean_{a != c} mean_i <z_ai, z_ci>  +  mean_{a != c} mean_{i != j} <z_ai, z_cj>^2 ) / mu

Up to a constant this is the error |S - ZZ'|^2 of factorising S, the normalised matrix of how likely two views are to
come from one image (the augmentation graph's adjacency): the best z of d dimensions span its top d eigenvectors.
`idealized` is the same problem written with the eigenvectors' orthogonality in the loss instead of the square.

Vectors longer than sqrt(mu) are first scaled down to that length. Without it the loss has no minimum as soon as d >= B:
orthogonal vectors pay nothing for their length. With it the loss is at least -2, reached when views agree, all have
full length and images are orthogonal. All embeddings equal, at full length, gives mu - 2; the regular simplex (cosines
-1/(B - 1)) gives -2 + mu / (B - 1)^2.

Paper: HaoChen, Wei, Gaidon, Ma 2021, arXiv 2106.04156; the kernel view: Agrawal, Ghosh, Oberman, Richards 2023, arXiv
2312.10725. Authors' code: jhaochenz96/spectral_contrastive_learning, models/spectral.py and
models/backbones/cifar_resnet_1_mlp_norelu.py at commit ee745a2bcdba (mu = 1 on CIFAR-10 and 10 on ImageNet).

Deviations: any A >= 2, as the mean of the two-view loss over all pairs of views; linear layers before a BatchNorm have
no bias.

Over several processes the second mean runs over images of all of them: d x d matrices are averaged over ranks, or own
images multiplied with everyone's, whichever is less work.

Cost: A products of (d, b) by (b, d): sum_{a != c} |z_a z_c'|^2 = |sum_a z_a'z_a|^2 - sum_a |z_a'z_a|^2. While (A - 1) B
is not above d, pairs of views, (b, d) by (d, B), are less work. The A^2 b products of views of one image are vectors'.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.gather import gather, mean_over_ranks, world_size
from fastssl.methods.heads import projector
from fastssl.methods.moments import square_sum
from fastssl.methods.precision import at_least_float32, without_autocast
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class SpectralConfig:
    """Spectral contrastive learning. Defaults are those of the authors' code for CIFAR-10."""

    kind: Literal["spectral"] = "spectral"
    max_square_norm: float | None = 1.0
    """mu: longer embeddings are scaled down to this squared length; above 0. None leaves them, and divides by 1."""
    projector_dim: int = 1000
    projector_hidden: int = 2048
    """Width of the projector's inner layers."""
    projector_depth: int = 2
    """Linear layers of the projector, which ends in a BatchNorm; 1 is a linear projector."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        if self.max_square_norm is not None and not self.max_square_norm > 0:
            raise InputError(f"max_square_norm={self.max_square_norm} leaves no embedding; give a number above 0")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "Spectral":
        return Spectral(self, encoder, dim)


class Spectral(nn.Module):
    """Encoder, projector and the spectral contrastive loss; takes two or more views of two or more images."""

    def __init__(self, config: SpectralConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        hidden, depth = config.projector_hidden, config.projector_depth
        self.projector = projector(dim, hidden, config.projector_dim, depth, last_bn=True)
        self.floor = -math.inf if config.max_square_norm is None else -2.0  # the least possible loss

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Logs the two means, over mu. Errors: `InputError` for one view."""
        config = self.config
        require_views(views, 2, config.kind)
        z = encode_views(lambda x: self.projector(self.encoder(x)), views, config.per_view_bn)
        attraction, repulsion = spectral_terms(z, config.max_square_norm)
        logs = {"attraction": attraction.detach(), "repulsion": repulsion.detach()}
        return MethodOutput(repulsion - 2 * attraction, logs)


def spectral_loss(z: Float[Tensor, "a b d"], max_square_norm: float | None = 1.0) -> Float[Tensor, ""]:
    """The equation above: repulsion - 2 attraction of `spectral_terms`."""
    attraction, repulsion = spectral_terms(z, max_square_norm)
    return repulsion - 2 * attraction


def spectral_terms(
    z: Float[Tensor, "a b d"], max_square_norm: float | None = 1.0
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """mean <z_ai, z_ci> and mean <z_ai, z_cj>^2, both over mu; in float32 also under autocast. A, B >= 2.

    Of several processes each gives its own images, and the mean over ranks is the term of all images.
    """
    num_views, num_images, _ = z.shape
    everyone = num_images * world_size()
    num_pairs = num_views * (num_views - 1)
    with without_autocast(z):
        z = at_least_float32(z)
        if max_square_norm is not None:
            radius = math.sqrt(max_square_norm)
            z = z * (radius / torch.linalg.vector_norm(z, dim=-1, keepdim=True).clamp_min(radius))
        by_image = z.transpose(0, 1)
        same_image = by_image @ by_image.mT
        same_image = same_image - torch.diag_embed(same_image.diagonal(dim1=1, dim2=2))
        attraction = same_image.sum() / (num_pairs * num_images)
        squares = _squares_between_views(z) - square_sum(same_image) / (num_images * everyone)
        repulsion = squares * everyone / ((everyone - 1) * num_pairs)
        mu = 1.0 if max_square_norm is None else max_square_norm
        return attraction / mu, repulsion / mu


def _squares_between_views(z: Tensor) -> Tensor:
    """sum_{a != c} mean_ij <z_ai, z_cj>^2 over all images, an image with itself among them."""
    num_views, num_images, dim = z.shape
    everyone = num_images * world_size()
    if (num_views - 1) * everyone > dim:
        moments = mean_over_ranks(z.mT @ z) / num_images
        return square_sum(moments.sum(0)) - square_sum(moments)
    others = gather(z, 1)
    turns = [square_sum(z @ others.roll(turn, 0).mT) for turn in range(1, num_views)]
    return torch.stack(turns).sum() / (num_images * everyone)
