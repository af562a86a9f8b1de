"""MoCo v3: find, among the embeddings that a slow copy of the network gives to the batch, the one of one's own image.

The online network is encoder, projector and predictor and makes the queries q; the momentum network is encoder and
projector with weights that follow the online ones, and makes the keys k. Both are scaled to unit length. For A views of
B images, with N keys per view (B, or those of all processes together), s(x, y) = <x, y> / tau and temperature tau

    loss = 2 tau * mean over images i and ordered pairs a != c of  -log( exp s(q_ai, k_ci) / sum_j exp s(q_ai, k_cj) )

so a query is compared with the keys of one other view at a time, and its own view is never among them. No gradient
reaches the keys. Values worth knowing: all embeddings equal gives 2 tau log N; the infimum is 0; the regular simplex
(queries of an image where its keys are, B images at cosine -1/(B - 1)) gives
2 tau log(1 + (B - 1) exp(-(B / (B - 1)) / tau)).

Paper: Chen, Xie, He 2021, arXiv 2104.02057, algorithm 1. Authors' code: facebookresearch/moco-v3, moco/builder.py at
commit 0c5d00a3d513 and main_moco.py at 02655ae4d6ac.

Deviations:
- the authors add the two directions; here it is their mean, so that the loss does not grow with the number of views;
- the momentum network follows right after the optimiser's step, not before the next forward pass: the same keys;
- one pass over all views shares the statistics of BatchNorm layers; `per_view_bn` separates them, as the authors do;
- more than two views: each queries the keys of every other view.
The temperature is the one of the authors' commands for vision transformers, .2; their default, for ResNet-50, is 1.

Cost: beside the online network's step one forward pass of the momentum network, and A (A - 1) products of (B, d) by
(d, N), each giving a B x N matrix of logits.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.cosine import dimensions
from fastssl.methods.ema import cosine_momentum, follow, slow_copy
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.gather import gather, rank
from fastssl.methods.heads import projector
from fastssl.methods.precision import at_least_float32, without_autocast
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class MoCoV3Config:
    """MoCo v3. Defaults are the authors' for ResNets, but for the temperature."""

    kind: Literal["moco_v3"] = "moco_v3"
    temperature: float = 0.2
    """Divides the cosine similarities; above 0."""
    target_momentum: float = 0.99
    """Share of the momentum network's weights that a step keeps, at the start; rises to 1 along a cosine. 0 to 1."""
    projector_dim: int = 256
    projector_hidden: int = 4096
    """Width of the projector's inner layers."""
    projector_depth: int = 2
    """Linear layers of the projector, each with BatchNorm; the authors take 2 on ResNets, 3 on vision transformers."""
    predictor_hidden: int = 4096
    """Width of the predictor's one inner layer."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature={self.temperature} cannot divide similarities; give a number above 0")
        if not 0 <= self.target_momentum <= 1:
            raise InputError(f"target_momentum={self.target_momentum} is not a share; give a number from 0 to 1")
        if self.predictor_hidden < 1:
            raise InputError(f"predictor_hidden={self.predictor_hidden} makes no predictor; give 1 or more")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "MoCoV3":
        return MoCoV3(self, encoder, dim)


class MoCoV3(nn.Module):
    """Encoder, projector, predictor, and the slow encoder and projector that make the keys; two or more views."""

    def __init__(self, config: MoCoV3Config, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        width, depth = config.projector_dim, config.projector_depth
        self.projector = projector(dim, config.projector_hidden, width, depth, last_bn=True, last_affine=False)
        self.predictor = projector(width, config.predictor_hidden, width, last_bn=True, last_affine=False)
        self.target = slow_copy(nn.Sequential(encoder, self.projector))

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Logs `target_dimensions`, 1 at collapse. Errors: `InputError` for one view."""
        config = self.config
        require_views(views, 2, config.kind)
        q = encode_views(lambda x: self.predictor(self.projector(self.encoder(x))), views, config.per_view_bn)
        with torch.no_grad():
            k = gather(encode_views(self.target, views, config.per_view_bn), dim=1)
        loss = moco_v3_loss(q, k, config.temperature, rank() * q.shape[1])
        return MethodOutput(loss, {"target_dimensions": dimensions(k)})

    def on_step_end(self, step: int, progress: float) -> None:
        """The momentum network follows the weights that the optimiser has just updated."""
        momentum = cosine_momentum(self.config.target_momentum, progress)
        follow(self.target, nn.Sequential(self.encoder, self.projector), momentum)


def moco_v3_loss(
    q: Float[Tensor, "a b d"], k: Float[Tensor, "a n d"], temperature: float, first: int = 0
) -> Float[Tensor, ""]:
    """The equation above, in nats times 2 tau, at least 0; in float32 also under autocast.

    Args:
        q: queries; need no unit length.
        k: keys of the same views, of all processes' images; they get no gradient.
        first: where this process's images begin among the keys: query i belongs to key first + i.
    """
    num_views, num_images, _ = q.shape
    own = torch.arange(first, first + num_images, device=q.device)
    with without_autocast(q):
        q, k = F.normalize(at_least_float32(q), dim=-1), F.normalize(at_least_float32(k.detach()), dim=-1)
        total = q.new_zeros(())
        for shift in range(1, num_views):  # view a against view a + shift, for all a at once
            logits = q @ k.roll(-shift, 0).mT / temperature
            total = total + F.cross_entropy(logits.flatten(0, 1), own.repeat(num_views))
        return 2 * temperature * total / (num_views - 1)
