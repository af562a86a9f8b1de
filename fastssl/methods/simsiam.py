"""SimSiam: predict, from one view, the embedding of another view of the image. No negatives and no slow network.

With embeddings z_a = g(f(x_a)) of A views of B images, predictions p_a = h(z_a) and sg the stop-gradient

    pairwise (default):   loss = mean over images and ordered pairs a != c of  -cos(p_a, sg(z_c))
    mean_target:          loss = mean over images and views a of  -cos(p_a, sg(mean_{c != a} z_c))

The two are equal at A = 2. `mean_target` is FastSiam: a target averaged over three or more views is steadier than that
of a single one, and training needs fewer images and smaller batches (32 in the paper). Its gradient is the one of
`pairwise` up to two weights: longer targets count for more in the mean, and an image whose targets disagree, so that
their mean is short, counts for as much as any other.

Values worth knowing: -1 at least, 0 when predictions and targets are orthogonal (about where training starts), 1 at
most. Embeddings that are the same for all images, or lie on one line, reach -1 too: that training does not go there is
owed to the stop-gradient and the predictor, so `target_dimensions` is logged, which is 1 there. (The deviation that the
paper plots sees the first alone, which the BatchNorm behind the projector makes rare.)

Papers: Chen, He 2020, arXiv 2011.10566; FastSiam: Pototzky, Sultan, Schmidt-Thieme 2022, DAGM GCPR (LNCS 13485).
Authors' code: facebookresearch/simsiam, simsiam/builder.py and main_simsiam.py at commit 39ac33e61894. FastSiam's
authors published none; lightly-ai/lightly's, examples/pytorch/fastsiam.py at b73ebbaf050e, averages the embeddings
before they are scaled to unit length, as here.

As in the authors' code the predictor's learning rate is the base rate throughout, without decay (and without warm-up,
which their runs do not have); `predictor_schedule="run"` lets it follow the run's schedule (their table 1: 68.1 and
67.7 % on ImageNet).

Deviations:
- one pass over all views shares the statistics of BatchNorm layers; `per_view_bn` separates them, as the authors do;
- more than two views in the pairwise form: each predicts all others.

Cost: A dot products per image beside the network's step; no second network, no second forward pass.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.cosine import cosine_to_mean_of_others, cosine_to_others, dimensions
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.heads import projector
from fastssl.types import DatasetInfo, MethodOutput, Views

Targets: TypeAlias = Literal["pairwise", "mean_target"]


@dataclass(frozen=True, kw_only=True)
class SimSiamConfig:
    """SimSiam. Defaults are the paper's for ImageNet; on CIFAR-10 it takes two layers in the projector."""

    kind: Literal["simsiam"] = "simsiam"
    multiview: Targets = "pairwise"
    """What a view predicts when there are more than two: each other view, or (FastSiam) the mean of the others."""
    predictor_schedule: Literal["constant", "run"] = "constant"
    """The predictor's learning rate: the base rate throughout, or the schedule of all other weights."""
    projector_dim: int = 2048
    projector_hidden: int | None = None
    """Width of the projector's inner layers; None is the encoder's own width, as in the authors' code."""
    projector_depth: int = 3
    """Linear layers of the projector, each with BatchNorm; 1 is a linear projector."""
    predictor_hidden: int = 512
    """Width of the predictor's one inner layer: a bottleneck, a quarter of projector_dim in the paper."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        if self.predictor_hidden < 1:
            raise InputError(f"predictor_hidden={self.predictor_hidden} makes no predictor; give 1 or more")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "SimSiam":
        return SimSiam(self, encoder, dim)


class SimSiam(nn.Module):
    """Encoder, projector and predictor; takes two or more views."""

    floor = -1.0
    """The least possible loss."""

    def __init__(self, config: SimSiamConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        hidden = dim if config.projector_hidden is None else config.projector_hidden
        self.projector = projector(dim, hidden, config.projector_dim, config.projector_depth, last_bn=True,
                                   last_affine=False)  # fmt: skip
        self.predictor = projector(config.projector_dim, config.predictor_hidden, config.projector_dim)

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Logs `target_dimensions`, 1 at collapse. Errors: `InputError` for one view."""
        require_views(views, 2, self.config.kind)
        p, z = encode_views(self._prediction_and_embedding, views, self.config.per_view_bn).chunk(2, dim=-1)
        return MethodOutput(simsiam_loss(p, z, self.config.multiview), {"target_dimensions": dimensions(z)})

    def param_group_overrides(self) -> list[tuple[list[Tensor], dict[str, Any]]]:
        """The predictor's own learning-rate schedule, for the optimiser's groups."""
        if self.config.predictor_schedule == "run":
            return []
        return [(list(self.predictor.parameters()), {"schedule": "constant"})]

    def _prediction_and_embedding(self, x: Tensor) -> Tensor:
        z = self.projector(self.encoder(x))
        return torch.cat((self.predictor(z), z), dim=1)


def simsiam_loss(
    p: Float[Tensor, "a b d"], z: Float[Tensor, "a b d"], multiview: Targets = "pairwise"
) -> Float[Tensor, ""]:
    """The equation above, -1 to 1, of predictions p and embeddings z, which get no gradient; float32 also under
    autocast."""
    similarity = cosine_to_others if multiview == "pairwise" else cosine_to_mean_of_others
    return -similarity(p, z.detach())
