"""Encoders. Each maps normalised images (n, 3, s, s) to features (n, dim) through global average pooling."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.models.micro import build_micro
from fastssl.models.nano import build_nano
from fastssl.models.resnet import build_resnet
from fastssl.models.widen import widen

__all__ = ["Arch", "ModelConfig"]

Arch: TypeAlias = Literal["nano", "micro", "resnet18", "resnet34", "resnet50"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which encoder. `nano` is for CPUs, `micro` for quick sweeps on a GPU at 32 px, the ResNets for results."""

    arch: Arch = "nano"
    width: float = 1.0
    """Scales the channels of nano and micro, and the bottleneck's inner channels of resnet50."""
    small_stem: bool | None = None
    """ResNets: a 3x3, stride-1 stem without pooling, for images of 32-64 px. None takes it up to 64 px."""
    feature_dim: int | None = None
    """Number of features, by a head before the pooling (see `models.widen`); None: no head, the architecture's own."""
    feature_head: Literal["bottleneck", "plain"] = "bottleneck"
    """`bottleneck` is ISSL's, which also adds depth; `plain` is one 1x1 convolution. With the architecture's own
    feature_dim, `bottleneck` is the control that tells depth from dimension."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= 16:
            raise InputError(f"width={self.width} is out of range; give a factor above 0, up to 16")
        if self.width != 1 and self.arch in ("resnet18", "resnet34"):
            raise InputError(f"width={self.width} has no effect on {self.arch}; give 1, or choose resnet50")
        if self.small_stem is not None and self.arch in ("nano", "micro"):
            raise InputError(f"small_stem={self.small_stem} has no effect on {self.arch}; leave it out")
        if self.feature_dim is not None and not 1 <= self.feature_dim <= 65536:
            raise InputError(f"feature_dim={self.feature_dim} is out of range; give 1 to 65536, or None for no head")
        if self.feature_dim is None and self.feature_head != "bottleneck":
            raise InputError(f"feature_head={self.feature_head} has no effect without a head; give feature_dim too")

    @property
    def least_size(self) -> int:
        """Side of the smallest view, in pixels, that leaves the last convolution something to read."""
        return {"nano": 8, "micro": 9}.get(self.arch, 1)

    def build(self, image_size: int = 32) -> tuple[nn.Module, int]:
        """The encoder, in channels-last memory and training mode, and the width `dim` of its features.

        `image_size` is the side of the training view in pixels; it settles `small_stem=None` and nothing else.
        Weights are drawn from torch's global generator, so `torch.manual_seed` before it decides them.
        """
        if self.arch == "nano":
            encoder, dim = build_nano(self.width)
        elif self.arch == "micro":
            encoder, dim = build_micro(self.width)
        else:
            small = image_size <= 64 if self.small_stem is None else self.small_stem
            encoder, dim = build_resnet(self.arch, width=self.width, small_stem=small)
        if self.feature_dim is not None:
            encoder = widen(encoder, dim, self.feature_dim, bottleneck=self.feature_head == "bottleneck")
            dim = self.feature_dim
        return encoder.to(memory_format=torch.channels_last), dim  # pyright: ignore[reportCallIssue]
