"""DINO: a student predicts what a slow copy of itself, centred and sharpened, says of another view.

The teacher t sees the global views alone, the student s all of them; both end in cosines to C learned directions.

    T_g = softmax( (t_g - centre) / .07 )            S_v = softmax( s_v / .1 )
    loss   = mean over g and v != g of  -<T_g, log S_v>
    after each step:  teacher <- m teacher + (1 - m) student,   centre <- .9 centre + .1 mean t

Without a second network to contrast with, two collapses are held off against each other: centring spreads the teacher
over the outputs, its low temperature sharpens it. Both show in `teacher_entropy`, which ends at log C where the first
wins and at 0 where the second does. Values worth knowing: a uniform teacher makes the loss log C at a uniform student,
and more at any other; the loss is never below the teacher's entropy.

Schedules: m from .996 to 1 along a cosine; the teacher's temperature linearly from .04 to .07 over the first tenth; the
last layer's directions stand still in the first hundredth, so that the outputs are not chosen by an untrained encoder.

Paper: Caron, Touvron, Misra, Jegou, Mairal, Bojanowski, Joulin 2021, arXiv 2104.14294. Authors' code:
facebookresearch/dino, main_dino.py at commit cc72fe982d65, head in vision_transformer.py at 58aabc09e056.

Deviations:
- epochs are shares of the run: 30 of 300 warm the temperature, 1 of 100 freezes the last layer;
- the centre moves after the optimiser's step with the weights, which the next step cannot tell from moving it before;
- their AdamW, weight decay that rises and clipped gradients are the recipe's affair.

Cost: the teacher is a second forward pass over the global views. The loss takes a product per view; it keeps the
outputs as they come, A B C numbers (134 MB in bfloat16 at A = 2, B = 512 and the paper's C = 65536), and G B C floats.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.cross_view import prediction_entropy
from fastssl.methods.ema import cosine_momentum, follow, slow_copy
from fastssl.methods.encode import encode_views, global_views, project_views, require_views
from fastssl.methods.gather import mean_over_ranks
from fastssl.methods.heads import Prototypes, projector, truncated_normal_
from fastssl.methods.precision import at_least_float32
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class DINOConfig:
    """DINO. Defaults are the paper's for ImageNet."""

    kind: Literal["dino"] = "dino"
    num_outputs: int = 65536
    """Directions of the last layer (C)."""
    student_temperature: float = 0.1
    teacher_temperature: float = 0.07
    teacher_temperature_start: float = 0.04
    temperature_warmup_fraction: float = 0.1
    """Share of the run in which the teacher's temperature rises from its start."""
    teacher_momentum: float = 0.996
    """Of the teacher's weights, at the start; 1 at the end."""
    centre_momentum: float = 0.9
    freeze_last_layer_fraction: float = 0.01
    """Share of the run, from its start, in which the last layer stands still."""
    global_views: int | None = None
    """The first so many views are the teacher's; None is every view of the largest size."""
    projector_dim: int = 256
    """Width of the unit vectors in front of the last layer (the bottleneck)."""
    projector_hidden: int = 2048
    projector_depth: int = 3
    """Linear layers in front of the last layer."""
    projector_bn: bool = False
    """BatchNorm after the inner layers."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views of its size together."""

    def __post_init__(self) -> None:
        for name in ("student_temperature", "teacher_temperature", "teacher_temperature_start"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} cannot divide logits; give a number above 0")
        for name in (
            "temperature_warmup_fraction",
            "freeze_last_layer_fraction",
            "teacher_momentum",
            "centre_momentum",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}={getattr(self, name)} is not a share; give a number from 0 to 1")
        if self.num_outputs < 2:
            raise InputError(f"num_outputs={self.num_outputs} makes no distribution; give 2 or more")
        if self.global_views is not None and self.global_views < 1:
            raise InputError(f"global_views={self.global_views} leaves the teacher nothing to see; give 1 or more")

    def temperature(self, progress: float) -> float:
        """The teacher's, where the run stands."""
        warmup = self.temperature_warmup_fraction
        share = min(progress / warmup, 1.0) if warmup else 1.0
        return self.teacher_temperature_start + share * (self.teacher_temperature - self.teacher_temperature_start)

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "DINO":
        return DINO(self, encoder, dim)


class DINO(nn.Module):
    """Encoder and head, their slow copy, and the centre; takes two or more views, of one size or several."""

    centre: Tensor
    batch_centre: Tensor
    temperature: Tensor

    def __init__(self, config: DINOConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        hidden, bottleneck, depth = config.projector_hidden, config.projector_dim, config.projector_depth
        mlp = truncated_normal_(projector(dim, hidden, bottleneck, depth, bn=config.projector_bn, activation=nn.GELU))
        self.head = nn.Sequential(mlp, Prototypes(bottleneck, config.num_outputs))
        self.teacher = slow_copy(self.student)
        self.register_buffer("centre", torch.zeros(config.num_outputs))
        self.register_buffer("batch_centre", torch.zeros(config.num_outputs), persistent=False)
        # A tensor and not a number: a compiled graph is compiled again for each new number.
        self.register_buffer("temperature", torch.tensor(0.0), persistent=False)
        self.on_step_start(0, 0.0)

    @property
    def student(self) -> nn.Sequential:
        return nn.Sequential(self.encoder, self.head)

    def on_step_start(self, step: int, progress: float) -> None:
        """Sets the teacher's temperature, and whether the last layer is frozen."""
        self.temperature.fill_(self.config.temperature(progress))
        (last,) = (layer for layer in self.head if isinstance(layer, Prototypes))
        last.frozen = progress < self.config.freeze_last_layer_fraction

    def on_step_end(self, step: int, progress: float) -> None:
        """Moves the teacher's weights, and the centre by the step's batch."""
        follow(self.teacher, self.student, cosine_momentum(self.config.teacher_momentum, progress))
        self.centre.lerp_(mean_over_ranks(self.batch_centre), 1 - self.config.centre_momentum)

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Logs the teacher's entropy in nats. Errors: `InputError` for one view."""
        config = self.config
        require_views(views, 2, config.kind)
        own = global_views(views, config.global_views)
        student = self._outputs(self.encoder, self.head, views)
        with torch.no_grad():
            teacher = self._outputs(self.teacher[0], self.teacher[1], tuple(views[v] for v in own))
            self.batch_centre.copy_(at_least_float32(teacher).mean((0, 1)))
            targets = dino_targets(teacher, self.centre, self.temperature)
        loss = dino_loss(student, targets, own, config.student_temperature)
        return MethodOutput(loss, {"teacher_entropy": torch.special.entr(targets).sum(-1).mean()})

    def _outputs(self, encoder: nn.Module, head: nn.Module, views: Views) -> Float[Tensor, "a b c"]:
        per_view_bn = self.config.per_view_bn
        return project_views(head, encode_views(encoder, views, per_view_bn), per_view_bn)


def dino_targets(
    teacher: Float[Tensor, "g b c"], centre: Float[Tensor, "c"], temperature: float | Tensor
) -> Float[Tensor, "g b c"]:
    """The teacher's distributions: centred, sharpened, in float32 also under autocast."""
    return F.softmax((at_least_float32(teacher) - centre).div_(temperature), dim=-1)


def dino_loss(
    student: Float[Tensor, "a b c"], targets: Float[Tensor, "g b c"], own: list[int], temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Mean cross-entropy of each target against the student's other views, in nats; targets get no gradient. In float32
    also under autocast.

    Args:
        student: logits.
        own: for each of the g targets, which of the a views it was made of; they are not compared.
    """
    return prediction_entropy(targets, student, own, temperature)
