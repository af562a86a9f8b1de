"""Supervised: cross-entropy on the labels, the ceiling every accuracy table carries beside the self-supervised rows.

A linear head V on the representation, cross-entropy, mean over views:

    loss = mean_a mean_b  -log softmax(V z_ab + c)[label_b]

It is the only method that reads labels. The head is thrown away afterwards and the encoder is probed like any other, so
the number is the ceiling of *this probe on this encoder and budget*, not of classification as such. Source: textbook.
"""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.precision import at_least_float32
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """Cross-entropy on the labels: the ceiling."""

    kind: Literal["supervised"] = "supervised"

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "Supervised":
        """Errors: `InputError` when the dataset has no labels to learn from."""
        if info.num_classes < 2:
            raise InputError(
                f"num_classes={info.num_classes} in {info.name}/{info.split} leaves nothing to classify; "
                "take a labelled split or a self-supervised method"
            )
        return Supervised(encoder, dim, info.num_classes)


class Supervised(nn.Module):
    """Encoder and linear classifier; takes one or more views."""

    def __init__(self, encoder: nn.Module, dim: int, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(dim, num_classes)

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Logs the accuracy on the training views, a fraction of one. Every label must be in 0..num_classes-1."""
        require_views(views, 1, "supervised")
        logits = encode_views(lambda x: self.head(self.encoder(x)), views)
        correct = (logits.argmax(-1) == labels).float().mean()
        return MethodOutput(supervised_loss(logits, labels), {"train_accuracy": correct})


def supervised_loss(logits: Float[Tensor, "a b c"], labels: Int64[Tensor, "b"]) -> Float[Tensor, ""]:
    """Cross-entropy in nats, mean over views and images; in float32 also under autocast."""
    return F.cross_entropy(at_least_float32(logits).flatten(0, 1), labels.repeat(len(logits)))
