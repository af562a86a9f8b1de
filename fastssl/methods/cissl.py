"""CISSL: a linear student picks, among everything a teacher sees in the batch, the views of its own image.

With s_ai the student's and t_ai the teacher's embedding of view a of image i, both of unit length

    loss = mean_ai [ log sum_cj exp(<s_ai, t_cj> / temperature)  -  mean_c <s_ai, t_ci> / temperature ]

the cross-entropy to the target that gives each of the A views of image i a probability of 1/A: at A = 2, half to the
view itself and half to the other. Nothing is masked: as the heads differ, a view is not its own trivial match. The
student is linear because the probes of the representation will be; the teacher is free, so a perceptron. No branch is
detached and none is a slow copy.

Values worth knowing: all embeddings equal, or a temperature without bound, gives log(AB); the infimum is log A; when
views agree and images form the regular simplex (cosines -1/(B - 1)) it is
log(A + A (B - 1) exp(-(B / (B - 1)) / temperature)). It is not symmetric in student and teacher.

Paper: Dubois, Hashimoto, Ermon, Liang 2022, arXiv 2209.06235. Authors' code:
YannDubs/Invariant-Self-Supervised-Learning, issl/losses/contrastive.py and config/decodability/cissl.yaml at commit
17f4b2c177a2.

Deviations:
- the paper has two views. For A of them the positives are the A views of the image, which is its equation when the
  conditional p(view | image) is uniform over A: the same loss at A = 2;
- linear layers in front of a BatchNorm have no bias (the authors' have one, which the BatchNorm takes out again);
- layers keep torch's initialisation.

Over several processes the teacher's side alone is gathered, with its gradient: own student rows against everyone's
teachers.

Cost: one product of (Ab, d) by (d, AB), for b own images among B: A^2, as for SimCLR and for its reason.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.contrast import mean_log_partition, unit
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.gather import gather, rank
from fastssl.methods.heads import projector
from fastssl.methods.precision import at_least_float32, without_autocast
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class CISSLConfig:
    """CISSL. Defaults are those of the authors' code."""

    kind: Literal["cissl"] = "cissl"
    temperature: float = 0.07
    """Divides the cosine similarities; above 0."""
    projector_dim: int = 128
    """Width of what both heads give out."""
    projector_hidden: int = 1024
    """Width of inner layers: the teacher's, as the paper's student has none."""
    projector_depth: int = 2
    """Linear layers of the teacher."""
    student_depth: int = 1
    """Linear layers of the student: the paper's is linear; 2 makes it the teacher's like, with weights of its own."""
    per_view_bn: bool = False
    """Each view is normalised by its own batch statistics instead of those of all views together."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature={self.temperature} cannot divide similarities; give a number above 0")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "CISSL":
        return CISSL(self, encoder, dim)


class CISSL(nn.Module):
    """Encoder, student, teacher and the loss between them; takes two or more views."""

    def __init__(self, config: CISSLConfig, encoder: nn.Module, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        width, hidden = config.projector_dim, config.projector_hidden
        self.student = projector(dim, hidden, width, config.student_depth, last_bn=True)
        self.teacher = projector(dim, hidden, width, config.projector_depth, last_bn=True)

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Index and labels are not read. Errors: `InputError` for one view."""
        config = self.config
        require_views(views, 2, config.kind)
        student, teacher = encode_views(self._heads, views, config.per_view_bn).chunk(2, -1)
        teacher = gather(at_least_float32(teacher), 1)
        return MethodOutput(cissl_loss(student, teacher, config.temperature, rank() * student.shape[1]), {})

    def _heads(self, view: Tensor) -> Tensor:
        features = self.encoder(view)
        return torch.cat((self.student(features), self.teacher(features)), 1)


def cissl_loss(
    student: Float[Tensor, "a b d"], teacher: Float[Tensor, "a n d"], temperature: float, first: int = 0
) -> Float[Tensor, ""]:
    """The equation above, in nats, at least log A; in float32 also under autocast. Embeddings need no unit length.

    Args:
        teacher: of the same images, or of n that include them, from image `first` on. The mean over parts of the
            student's images, each against all of the teacher's, is the loss of the whole.
    """
    num_views, num_images, _ = student.shape
    with without_autocast(student):
        rows, columns = unit(at_least_float32(student)), unit(at_least_float32(teacher))
        positives = columns[:, first : first + num_images].mean(0)
        agreement = (rows.sum(0) * positives).sum() / (num_views * num_images)
        denominator = mean_log_partition(rows.flatten(0, 1), columns.flatten(0, 1), 1 / temperature)
        return denominator - agreement / temperature
