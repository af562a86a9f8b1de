"""The random encoder: an untrained network, its BatchNorm statistics settled on the data. The floor.

    loss = 0

A random network's features are far from useless (a linear probe on them beats chance by a wide margin, and gains with
the representation's width), so an accuracy without this row beside it says little. The network sees the views in
training mode, so that running means and variances adapt; no weight ever changes, whatever the optimiser, because the
encoder's parameters do not require gradients and are therefore in no parameter group. Running statistics instead of
their initial 0 and 1 make it a fair floor: normalisation is what a trained network has for free.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from fastssl.methods.encode import encode_views, require_views
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class RandomEncoderConfig:
    """The untrained encoder: the floor."""

    kind: Literal["random"] = "random"

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "RandomEncoder":
        """Freezes `encoder` in place."""
        return RandomEncoder(encoder)


class RandomEncoder(nn.Module):
    """A frozen encoder whose BatchNorm layers watch; takes one or more views."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        # An optimiser needs a parameter and a gradient scaler a gradient. This one is 0, its gradient is 0, and the
        # decay of 0 is 0: it stays what it is.
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Loss 0, which can be propagated back and moves nothing. Index and labels are not read."""
        require_views(views, 1, "random")
        with torch.no_grad():
            encode_views(self.encoder, views)
        return MethodOutput(self.nothing * 0.0, {})
