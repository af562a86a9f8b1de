"""SwAV: predict, from one view, the cluster that another view of the image was assigned to.

Scores are cosines of a projection to K learned prototypes. The codes q of a global view are its scores through a
softmax, exp(scores / .05), made even over the batch: Sinkhorn's algorithm divides in turn by the sum of each prototype
and by the sum of each image, three times, so that every prototype takes part equally and all images cannot share one.
No gradient passes through the codes.

    p_v  = softmax( scores_v / .1 )
    loss = mean over global g and v != g of  -<q_g, log p_v>

Values worth knowing: equal embeddings have uniform codes, so at collapse the loss is log K at equal scores and more at
any other; the loss is never below the codes' entropy.

Small batches cannot fill K clusters: a queue of earlier embeddings may take part in the codes (`queue_length`).

Paper: Caron, Misra, Mairal, Goyal, Bojanowski, Joulin 2020, arXiv 2006.09882. Authors' code: facebookresearch/swav,
main_swav.py at commit 5e073db0cc69 and src/resnet50.py at 04b8f4310a21.

Deviations:
- Sinkhorn finds a factor per prototype and one per image instead of writing all codes in each turn; more than 3 turns,
  whose factors could overflow, work on logarithms;
- epochs are shares of the run: the queue joins at 15 of 200 and the prototypes stand still in the first of 200, as in
  the authors' settings for a batch of 256;
- prototypes have unit length where they are used, instead of being scaled after each step;
- the queue fills from the first step on, and its places that are still empty count for nothing; theirs starts to fill
  when it is due to join, and joins when it is full. It holds the embeddings of all ranks, so any rank's checkpoint has
  it;
- over several processes embeddings are gathered (128 numbers each) and scored again, instead of summing K columns in
  each iteration.

Cost: scores of A B K floats and codes of G B K are kept; Sinkhorn holds G (B + queue) K floats, which it writes six
times and reads twice a turn. The loss takes a product per view.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.cross_view import prediction_entropy
from fastssl.methods.encode import encode_views, global_views, project_views, require_views
from fastssl.methods.gather import gather, rank
from fastssl.methods.heads import Prototypes, projector
from fastssl.methods.precision import at_least_float32, without_autocast
from fastssl.types import DatasetInfo, MethodOutput, Views

FACTOR_TURNS = 3
"""Turns of Sinkhorn's algorithm whose factors fit in float32 whatever the scores: with N images and K prototypes they
lie within N, K N^2 and K^2 N^3 of 1, K^2 N^3 being 7e17 at 4096 and 3000."""


@dataclass(frozen=True, kw_only=True)
class SwAVConfig:
    """SwAV. Defaults are the paper's for ImageNet, without a queue."""

    kind: Literal["swav"] = "swav"
    num_prototypes: int = 3000
    """Clusters (K)."""
    temperature: float = 0.1
    """Divides the scores of the prediction; above 0."""
    sinkhorn_epsilon: float = 0.05
    """Divides the scores of the codes; above 0. Larger makes codes softer."""
    sinkhorn_iterations: int = 3
    """Turns of making the codes even; more than 3 take some three times the time each."""
    freeze_prototypes_fraction: float = 0.005
    """Share of the run, from its start, in which the prototypes stand still."""
    queue_length: int = 0
    """Earlier images, of all ranks, that take part in the codes; the authors take 3840 for a batch of 256."""
    queue_start: float = 0.075
    """Share of the run after which the queue takes part."""
    global_views: int | None = None
    """The first so many views have codes; None is every view of the largest size (2 when there is a queue)."""
    projector_dim: int = 128
    projector_hidden: int = 2048
    projector_depth: int = 2
    """Linear layers of the projector; 1 is a linear projector."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views of its size together."""

    def __post_init__(self) -> None:
        for name in ("temperature", "sinkhorn_epsilon"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} cannot divide scores; give a number above 0")
        for name in ("freeze_prototypes_fraction", "queue_start"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}={getattr(self, name)} is not a share; give a number from 0 to 1")
        if self.num_prototypes < 2:
            raise InputError(f"num_prototypes={self.num_prototypes} makes no clusters; give 2 or more")
        if self.sinkhorn_iterations < 1:
            raise InputError(f"sinkhorn_iterations={self.sinkhorn_iterations} makes no codes; give 1 or more")
        if self.queue_length < 0:
            raise InputError(f"queue_length={self.queue_length} is no length; give 0 (no queue) or more")
        if self.global_views is not None and self.global_views < 1:
            raise InputError(f"global_views={self.global_views} leaves nothing to make codes of; give 1 or more")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "SwAV":
        return SwAV(self, encoder, dim)


class SwAV(nn.Module):
    """Encoder, projector, prototypes and an optional queue; takes two or more views, of one size or several."""

    queue: Tensor

    def __init__(self, config: SwAVConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.projector = projector(dim, config.projector_hidden, config.projector_dim, config.projector_depth)
        self.prototypes = Prototypes(config.projector_dim, config.num_prototypes)
        self.use_queue = False
        self.batch: Tensor | None = None
        """What the queue takes in at the end of the step."""
        if config.queue_length:
            num_queues = 2 if config.global_views is None else config.global_views
            self.register_buffer("queue", torch.zeros(num_queues, config.queue_length, config.projector_dim))
        self.on_step_start(0, 0.0)

    def on_step_start(self, step: int, progress: float) -> None:
        """Sets whether the prototypes are frozen, and whether the queue takes part."""
        self.prototypes.frozen = progress < self.config.freeze_prototypes_fraction
        self.use_queue = self.config.queue_length > 0 and progress >= self.config.queue_start

    def on_step_end(self, step: int, progress: float) -> None:
        """Puts the step's embeddings in front of the queue, which loses its oldest."""
        if self.config.queue_length and self.batch is not None:
            self.queue.copy_(torch.cat((self.batch, self.queue), 1)[:, : self.config.queue_length])

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Logs the codes' entropy in nats. Errors: `InputError` for one view, or when
        the queue was built for another number of global views."""
        config = self.config
        require_views(views, 2, config.kind)
        own = global_views(views, config.global_views)
        z = project_views(self.projector, encode_views(self.encoder, views, config.per_view_bn), config.per_view_bn)
        scores = project_views(self.prototypes, z)
        codes = self._codes(torch.stack([z[v] for v in own]))
        loss = swav_loss(scores, codes, own, config.temperature)
        return MethodOutput(loss, {"code_entropy": torch.special.entr(codes).sum(-1).mean()})

    @torch.no_grad()
    def _codes(self, z: Float[Tensor, "g b d"]) -> Float[Tensor, "g b k"]:
        """Of this rank's embeddings, among those of all ranks and the queue's."""
        config, num_images = self.config, z.shape[1]
        with without_autocast(z):
            everyone = gather(F.normalize(at_least_float32(z), dim=-1), dim=1)
            if config.queue_length:
                if len(z) != len(self.queue):
                    raise InputError(
                        f"global_views={config.global_views} finds {len(z)} views of the largest size and has queues "
                        f"for {len(self.queue)}; set it to the number of views that make codes"
                    )
                self.batch = everyone
            if self.use_queue:
                everyone = torch.cat((everyone, self.queue), 1)
            scores = project_views(self.prototypes, everyone)
            empty = (everyone == 0).all(-1) if self.use_queue else None
            codes = sinkhorn(scores, config.sinkhorn_epsilon, config.sinkhorn_iterations, empty)
        return codes.narrow(1, rank() * num_images, num_images)


def swav_loss(
    scores: Float[Tensor, "a b k"], codes: Float[Tensor, "g b k"], own: list[int], temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Mean cross-entropy of each view's codes against the predictions of the other views, in nats; codes get no
    gradient. In float32 also under autocast.

    Args:
        own: for each of the g codes, which of the a views it was made of; they are not compared.
    """
    return prediction_entropy(codes, scores, own, temperature)


@torch.no_grad()
def sinkhorn(
    scores: Float[Tensor, "g n k"], epsilon: float = 0.05, iterations: int = 3, empty: Bool[Tensor, "g n"] | None = None
) -> Float[Tensor, "g n k"]:
    """Codes: exp(scores / epsilon), scaled by turns so that each prototype's sum over images is the same and each
    image's sum over prototypes is 1; the latter exactly, being last. Any scores and epsilon. In float32 also under
    autocast; no gradient.

    Args:
        empty: rows that are no image; they count in no sum over images.
    """
    with without_autocast(scores):
        scores = at_least_float32(scores)
        return (_by_factors if iterations <= FACTOR_TURNS else _by_logarithms)(scores, epsilon, iterations, empty)


def _by_factors(scores: Tensor, epsilon: float, iterations: int, empty: Tensor | None) -> Tensor:
    """Finds a factor per prototype and one per image, and writes the codes once.

    Each prototype's largest exponential is made 1, then each image's, so that no sum underflows to 0. The former is
    what the turns do anyway; the latter is the first factor of the images.
    """
    top = (scores if empty is None else scores.masked_fill(empty[..., None], -torch.inf)).amax(1, keepdim=True)
    codes = (scores - top).div_(epsilon)
    largest = codes.amax(-1, keepdim=True)
    codes.sub_(largest).exp_()
    by_image, by_prototype = largest.exp_(), codes.new_ones(len(codes), 1, codes.shape[-1])
    for i in range(iterations):
        if i:
            by_image = 1 / (codes @ by_prototype.mT)
        if empty is not None:
            by_image = by_image.masked_fill(empty[..., None], 0)
        by_prototype = 1 / (by_image.mT @ codes)
    codes.mul_(by_prototype)
    return codes.div_(codes.sum(-1, keepdim=True))


def _by_logarithms(scores: Tensor, epsilon: float, iterations: int, empty: Tensor | None) -> Tensor:
    log_codes = scores / epsilon
    for _ in range(iterations):
        counted = log_codes if empty is None else log_codes.masked_fill(empty[..., None], -torch.inf)
        log_codes = log_codes.sub_(counted.logsumexp(1, keepdim=True)).log_softmax(-1)
    return log_codes.exp_()
