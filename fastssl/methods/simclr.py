"""SimCLR: tell the other views of the same image from everything else in the batch.

Embeddings z of A views of B images lie on the unit sphere; s(x, y) = <x, y> / temperature. For an anchor x with
positives P(x) (the A - 1 other views of its image) and negatives N(x) (views of other images)

    loss = mean_x  mean_{p in P(x)}  -log( exp s(x, p) / sum_{y in P(x) u N(x)} exp s(x, y) )

With two views and all 2(B - 1) negatives this is the NT-Xent loss of the paper. Values worth knowing, at A = 2: all
embeddings equal gives log(2B - 1); the infimum is 0; the regular simplex (views agree, images at cosine -1/(B - 1))
gives log(1 + (2B - 2) exp(-(B / (B - 1)) / temperature)). With more views the other positives stay in the denominator,
so the infimum is log(A - 1).

Paper: Chen, Kornblith, Norouzi, Hinton 2020, arXiv 2002.05709. Few negatives: Bordes, Balestriero, Vincent 2023,
arXiv 2303.01986. Authors' code: google-research/simclr, tf2/objective.py at commit 67b562524223 and tf2/model.py at
dec99a81a4ce.

Deviations:
- the authors' code adds the losses of the two views; here, as in the paper's equation, it is the mean over anchors;
- the authors' projector ends in a BatchNorm; here it ends in the linear layer, as in the paper's g(h) = W2 relu(W1 h);
- `num_negatives` takes the first k of a fixed order instead of drawing at random: image i looks at images i+1, i+2,
  ... (mod B) in the next view, then at the same images in the view after that. The loader has shuffled the batch
  already, so the next image in it *is* a random image, and the loss stays a function of its input.

Over several processes each takes its own anchors against everyone's embeddings, which are gathered with their gradient;
positives are views of an own image. Negatives are numbered as in the batch of all processes, so the mean over ranks is
its loss.

Cost: one product of (Ab, d) by (d, AB) and as many logits, for b own images among B (see `contrast` for the memory).
This is the one loss here that grows as A^2: each anchor's denominator is a sum of exponentials, one per pair, and does
not fall apart into sums over views as the squares of the other losses do.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.contrast import mean_log_partition, unit
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.gather import gather, rank, world_size
from fastssl.methods.heads import projector
from fastssl.methods.moments import square_sum
from fastssl.methods.precision import at_least_float32, without_autocast
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig:
    """SimCLR. Defaults are the paper's for CIFAR-10 (its appendix B.9)."""

    kind: Literal["simclr"] = "simclr"
    temperature: float = 0.5
    """Divides the cosine similarities; above 0. The paper takes .5 on CIFAR-10 and .1 on ImageNet."""
    num_negatives: int | None = None
    """Negative embeddings per anchor, from 1 to views x (batch_size - 1); None takes all of them."""
    projector_dim: int = 128
    projector_hidden: int | None = None
    """Width of the projector's inner layers; None is the encoder's own width, as in the paper."""
    projector_depth: int = 2
    """Linear layers of the projector; 1 is a linear projector."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature={self.temperature} cannot divide similarities; give a number above 0")
        if self.num_negatives is not None and self.num_negatives < 1:
            raise InputError(f"num_negatives={self.num_negatives} leaves nothing to contrast with; give 1 or more")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "SimCLR":
        return SimCLR(self, encoder, dim)


class SimCLR(nn.Module):
    """Encoder, projector and the contrastive loss; takes two or more views."""

    def __init__(self, config: SimCLRConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        hidden = dim if config.projector_hidden is None else config.projector_hidden
        self.projector = projector(dim, hidden, config.projector_dim, config.projector_depth)

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Errors: `InputError` for one view, or more negatives than the batch holds."""
        config = self.config
        require_views(views, 2, config.kind)
        z = encode_views(lambda x: self.projector(self.encoder(x)), views, config.per_view_bn)
        return MethodOutput(simclr_loss(z, config.temperature, config.num_negatives, *everyone(z)), {})


def everyone(z: Float[Tensor, "a b d"]) -> tuple[Float[Tensor, "a n d"] | None, int]:
    """What `simclr_loss` compares with: all processes' embeddings and where this one's begin; None when it is alone."""
    return (gather(at_least_float32(z), 1), rank() * z.shape[1]) if world_size() > 1 else (None, 0)


def simclr_loss(
    z: Float[Tensor, "a b d"],
    temperature: float,
    num_negatives: int | None = None,
    candidates: Float[Tensor, "a n d"] | None = None,
    first: int = 0,
) -> Float[Tensor, ""]:
    """The equation above, in nats, at least 0; in float32 also under autocast. Embeddings need no unit length.

    Args:
        candidates: what the b images of z are compared with: n images that include them, from image `first` on. None
            is z. The mean over parts z of the candidates is the loss of the whole.
    """
    num_views, num_images, _ = z.shape
    num_candidates = num_images if candidates is None else candidates.shape[1]
    with without_autocast(z):
        u = unit(at_least_float32(z))
        others = None if candidates is None else unit(at_least_float32(candidates)).flatten(0, 1)
        # sum_{a != c} <u_a, u_c> = |sum_a u_a|^2 - sum_a |u_a|^2. The second has no gradient: its vectors keep their
        # length, 1, whatever z does. It is not the number A for z = 0 alone.
        agreement = square_sum(u.sum(0)) - square_sum(u.detach())
        view = torch.arange(num_views, device=z.device)
        itself = (view[:, None] * num_candidates + torch.arange(first, first + num_images, device=z.device)).flatten()
        excluded = None
        if num_negatives is not None:
            excluded = _excluded(num_views, num_images, num_candidates, first, num_negatives, z.device)
        denominator = mean_log_partition(u.flatten(0, 1), others, 1 / temperature, itself, excluded)
        return denominator - agreement / ((num_views - 1) * num_views * num_images * temperature)


def _excluded(
    num_views: int, num_images: int, num_candidates: int, first: int, num_negatives: int, device: torch.device
) -> Bool[Tensor, "n m"]:
    """True for the negatives of each anchor after its first `num_negatives`.

    A negative's rank counts images first (the next one in the batch has offset 1), then views (the next one first, the
    anchor's own view last): it is among the first k if offset <= k - (images - 1) x (view's place), which compares a
    table of images with a table of views.
    """
    if num_negatives > num_views * (num_candidates - 1):
        raise InputError(
            f"num_negatives={num_negatives} is more than the {num_views * (num_candidates - 1)} embeddings of other "
            f"images in {num_views} views of {num_candidates}; lower it or raise --batch-size"
        )
    view, image = torch.arange(num_views, device=device), torch.arange(num_candidates, device=device)
    last = num_negatives - (num_candidates - 1) * ((view - view[:, None] - 1) % num_views)
    offset = (image - image[first : first + num_images, None]) % num_candidates
    offset = offset.masked_fill(offset == 0, -num_views * num_candidates)  # no view of the anchor's own image
    return (offset[:, None] > last[:, None, :, None]).reshape(num_views * num_images, -1)
