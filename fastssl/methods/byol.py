"""BYOL: predict, from one view, what a slowly moving copy of the network makes of another view. No negatives.

The online network is encoder f, projector g and predictor q; the target network is f and g with weights xi that follow
the online weights theta after every step. With p_a = q(g(f(x_a))) and t_a = g_xi(f_xi(x_a)) for A views of B images

    loss = mean over images and ordered pairs a != c of  2 - 2 cos(p_a, t_c)
    xi <- tau xi + (1 - tau) theta,    tau = 1 - (1 - tau_0) (1 + cos(pi progress)) / 2

No gradient reaches the target. Values worth knowing: 0 when predictions point where the targets do, 2 when they are
orthogonal to them (about where training starts), 4 at most. A constant output has loss 0 too: that training does not go
there is owed to the predictor and the slow target, so `target_dimensions` is logged, which is 1 at collapse.

Paper: Grill, Strub, Altche, Tallec, Richemond et al. 2020, arXiv 2006.07733. Authors' code: google-deepmind/
deepmind-research, byol/byol_experiment.py, byol/configs/byol.py and byol/utils/helpers.py at commit 4822a45504cb.

Deviations:
- the authors add the two directions; here it is their mean, so that the loss does not grow with the number of views;
- more than two views: each predicts the targets of all others;
- one pass over all views shares the statistics of BatchNorm layers; `per_view_bn` separates them, as in the paper;
- the target starts as a copy of the online network; the authors draw it anew and saw no significant difference;
- in the heads the last linear layer has a bias and the one before a BatchNorm has none; the authors' have it the other
  way round.
The authors' base tau depends on the schedule: .996 at 1000 epochs of ImageNet, .99 at 300 and 100, .97 at 40.

Cost: beside the online network's step one forward pass of the target; the loss takes A dot products per image.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.cosine import cosine_to_others, dimensions
from fastssl.methods.ema import cosine_momentum, follow, slow_copy
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.heads import projector
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class BYOLConfig:
    """BYOL. Defaults are the paper's, for 1000 epochs of ImageNet."""

    kind: Literal["byol"] = "byol"
    target_momentum: float = 0.996
    """Share of the target's weights that a step keeps (tau), at the start; rises to 1 along a cosine. From 0 to 1."""
    projector_dim: int = 256
    projector_hidden: int = 4096
    """Width of the projector's inner layers."""
    projector_depth: int = 2
    """Linear layers of the projector; 1 is a linear projector."""
    predictor_hidden: int = 4096
    """Width of the predictor's one inner layer."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        if not 0 <= self.target_momentum <= 1:
            raise InputError(f"target_momentum={self.target_momentum} is not a share; give a number from 0 to 1")
        if self.predictor_hidden < 1:
            raise InputError(f"predictor_hidden={self.predictor_hidden} makes no predictor; give 1 or more")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "BYOL":
        return BYOL(self, encoder, dim)


class BYOL(nn.Module):
    """Encoder, projector, predictor, and the slow encoder and projector that make the targets; two or more views."""

    def __init__(self, config: BYOLConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.projector = projector(dim, config.projector_hidden, config.projector_dim, config.projector_depth)
        self.predictor = projector(config.projector_dim, config.predictor_hidden, config.projector_dim)
        self.target = slow_copy(nn.Sequential(encoder, self.projector))

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Logs `target_dimensions`, 1 at collapse. Errors: `InputError` for one view."""
        config = self.config
        require_views(views, 2, config.kind)
        p = encode_views(lambda x: self.predictor(self.projector(self.encoder(x))), views, config.per_view_bn)
        with torch.no_grad():
            t = encode_views(self.target, views, config.per_view_bn)
        return MethodOutput(byol_loss(p, t), {"target_dimensions": dimensions(t)})

    def on_step_end(self, step: int, progress: float) -> None:
        """The target follows the weights that the optimiser has just updated."""
        momentum = cosine_momentum(self.config.target_momentum, progress)
        follow(self.target, nn.Sequential(self.encoder, self.projector), momentum)


def byol_loss(p: Float[Tensor, "a b d"], t: Float[Tensor, "a b d"]) -> Float[Tensor, ""]:
    """The equation above, 0 to 4, of predictions and targets; these get no gradient. In float32 also under autocast."""
    return 2 - 2 * cosine_to_others(p, t.detach())
