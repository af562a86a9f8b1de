"""DISSL: a teacher assigns images to classes of its own making, and a student with a linear head predicts them.

T = softmax(h_t(z) / .5) is the teacher, a perceptron head, S = softmax(h_s(z)) the student, a linear head of low rank,
both on one encoder; CE(P, Q) = -<P, log Q>. With means over images and over ordered pairs of views a != c

    distillation = CE(T_a, S_c)        invariance = CE(T_a, T_c)        marginal = mean_a H( mean_b T_ab )
    loss         = distillation - lambda marginal + beta invariance

lambda = 2.3, beta = .8. Nothing is detached and nothing is averaged over time: that all images do not fall into one
class is due to the marginal's entropy alone. The teacher gets the distillation's gradient too, hence the exact

    loss = (1 + beta) E H(T) - lambda marginal + KL(T || S) + beta KL(T || T of another view)

Values worth knowing, with B images and C classes: uniform T and S (1 + beta - lambda) log C; the same class for every
image 0; a class of its own for each -lambda log B. The minimum is -lambda log min(B, C) when lambda <= 1 + beta, and
(1 + beta - lambda) log C - (1 + beta) log B above it, where each image spreads over C / B classes; -14.83 at B = 256,
C = 16384. Below 1 + beta, certainty about each image outweighs variety and training collapses.

Paper: Dubois, Hashimoto, Ermon, Liang 2022, arXiv 2209.06235. Authors' code:
YannDubs/Invariant-Self-Supervised-Learning, issl/losses/dissl.py at commit 37130f9cd789, heads in
issl/architectures/basic.py at 11574cfcb0a1.

Deviations: any number of views; over several processes the marginal is that of the global batch, not of one device.

Cost: the heads, 2 x 512 C multiply-adds per view, and 3 matrices of A B C floats kept for the backward pass (T and the
two log-probabilities): 201 MB at A = 2, B = 512, C = 16384. Pairs take two products each, or, from three views on, 4 A
products in all and 2 B C floats of sums.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.cross_view import cross_view_entropy
from fastssl.methods.encode import encode_views, project_views, require_views
from fastssl.methods.gather import mean_over_ranks
from fastssl.methods.heads import truncated_normal_
from fastssl.methods.precision import at_least_float32
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class DISSLConfig:
    """DISSL. Defaults are the paper's for TinyImageNet."""

    kind: Literal["dissl"] = "dissl"
    max_entropy_weight: float = 2.3
    """Weight of the marginal's entropy (lambda in the paper); at least 1 + invariance_weight."""
    invariance_weight: float = 0.8
    """Weight of the teacher's agreement with itself (beta in the paper)."""
    allow_collapse: bool = False
    """Build with a max_entropy_weight that collapses, to see it happen."""
    num_outputs: int = 16384
    """Classes the teacher may use (C)."""
    teacher_temperature: float = 0.5
    """Divides the teacher's logits; above 0."""
    teacher_hidden: int = 1024
    """Width of the teacher's hidden layer."""
    head_rank: int = 512
    """Width in front of the outputs of both heads: the rank of the student's linear map."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        for name in ("max_entropy_weight", "invariance_weight"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}={getattr(self, name)} is no weight; give 0 or more")
        if not self.teacher_temperature > 0:
            raise InputError(f"teacher_temperature={self.teacher_temperature} cannot divide; give a number above 0")
        for name, least in (("num_outputs", 2), ("teacher_hidden", 1), ("head_rank", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)} makes no head; give {least} or more")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "DISSL":
        """Errors: `InputError` when max_entropy_weight is below 1 + invariance_weight and allow_collapse is off."""
        least = 1 + self.invariance_weight
        if self.max_entropy_weight < least and not self.allow_collapse:
            raise InputError(
                f"max_entropy_weight={self.max_entropy_weight} collapses below 1 + invariance_weight = {least:g}: "
                "certainty then outweighs the use of many classes; raise it, or set allow_collapse to watch"
            )
        return DISSL(self, encoder, dim)


class DISSL(nn.Module):
    """Encoder, teacher and student head; takes two or more views."""

    def __init__(self, config: DISSLConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        hidden, rank, num_outputs = config.teacher_hidden, config.head_rank, config.num_outputs
        self.teacher = nn.Sequential(
            nn.Linear(dim, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, rank, bias=False),
            nn.BatchNorm1d(rank),
            nn.Linear(rank, num_outputs),
        )
        self.student = nn.Sequential(
            nn.Linear(dim, rank, bias=False), nn.BatchNorm1d(rank), nn.Linear(rank, num_outputs)
        )
        truncated_normal_(self.teacher)
        truncated_normal_(self.student)

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Logs the three terms, unweighted. Errors: `InputError` for one view."""
        config = self.config
        require_views(views, 2, config.kind)
        z = encode_views(self.encoder, views, config.per_view_bn)
        teacher, student = (project_views(head, z, config.per_view_bn) for head in (self.teacher, self.student))
        distillation, invariance, marginal = dissl_terms(teacher, student, config.teacher_temperature)
        loss = distillation - config.max_entropy_weight * marginal + config.invariance_weight * invariance
        logs = {"distillation": distillation, "invariance": invariance, "marginal_entropy": marginal}
        return MethodOutput(loss, {name: value.detach() for name, value in logs.items()})


def dissl_loss(
    teacher: Float[Tensor, "a b c"],
    student: Float[Tensor, "a b c"],
    max_entropy_weight: float = 2.3,
    invariance_weight: float = 0.8,
    teacher_temperature: float = 0.5,
) -> Float[Tensor, ""]:
    """The weighted sum of `dissl_terms`."""
    distillation, invariance, marginal = dissl_terms(teacher, student, teacher_temperature)
    return distillation - max_entropy_weight * marginal + invariance_weight * invariance


def dissl_terms(
    teacher: Float[Tensor, "a b c"], student: Float[Tensor, "a b c"], teacher_temperature: float = 0.5
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """Distillation, invariance and the marginal's entropy as above, of both heads' logits: each in nats, at least 0, in
    float32 also under autocast. The marginal is over the images of all ranks. Any A >= 2."""
    log_teacher = F.log_softmax(at_least_float32(teacher) / teacher_temperature, dim=-1)
    log_student = F.log_softmax(at_least_float32(student), dim=-1)
    targets, every_view = log_teacher.exp(), range(len(teacher))
    marginal = _entropy(mean_over_ranks(targets.mean(1))).mean()
    distillation = cross_view_entropy(targets, log_student, every_view)
    return distillation, cross_view_entropy(targets, log_teacher, every_view), marginal


def _entropy(probs: Float[Tensor, "n c"]) -> Float[Tensor, "n"]:
    """In nats. 0 log 0 is 0 and has a finite gradient, which `torch.special.entr` has not: softmax underflows to 0."""
    return -(probs * probs.clamp_min(torch.finfo(probs.dtype).tiny).log()).sum(-1)
