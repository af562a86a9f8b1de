"""A head of convolutions before the pooling that sets how many features an encoder gives, free of its architecture.

Dubois 2022 (ISSL, arXiv 2209.06235) finds that linear probes gain from representations far wider than usual ("+dim":
2048 on a ResNet-18). Two heads do it, for c channels in and D out, at the resolution of the last convolution:

- `bottleneck`, theirs: 1x1 c -> h, 3x3 h -> h, 1x1 h -> D, each with BatchNorm, ReLU between, h = min(c, 512); where D
  is a multiple of c the input, repeated D / c times, is added before the last ReLU. It adds depth as well as dimension.
- `plain`: 1x1 c -> D, BatchNorm, ReLU. Dimension, with one layer more.

So a gain of (bottleneck, D = 2048) over the bare encoder may be the depth's. The control is (bottleneck, D = c): the
same layers at the encoder's own dimension. An untrained encoder gains with D too; its row belongs beside both.

Authors' code: YannDubs/Invariant-Self-Supervised-Learning, issl/architectures/cnn.py at commit 0539adb26145 (both
heads), hub/resnet_dim.py and hubconf.py at 17f4b2c177a2 (h = 512 also for ResNet-50 at D = 8192).

Deviations: convolutions start as torchvision's ResNets do (normal, fan out), where the authors draw the first with
deviation 1 / sqrt(h) and the others truncated; a D above c that is no multiple of it has no shortcut, as in their hub
(their training code refuses it).
"""

import torch
from torch import Tensor, nn

HIDDEN = 512  # the authors' bottleneck_channel, for ResNet-18 and ResNet-50 alike


def widen(encoder: nn.Module, dim: int, feature_dim: int, *, bottleneck: bool) -> nn.Module:
    """The encoder with a head before its global pooling, in place: features (n, dim) become (n, feature_dim)."""
    head = Bottleneck(dim, feature_dim) if bottleneck else nn.Sequential(*_layer(dim, feature_dim, 1), _relu())
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    holder, name = _pooling(encoder)
    setattr(holder, name, nn.Sequential(head, getattr(holder, name)))
    return encoder


class Bottleneck(nn.Module):
    """(n, c, h, w) -> (n, D, h, w), at least 0, with the input as a shortcut where D is a multiple of c."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        hidden = min(num_in, HIDDEN)
        self.body = nn.Sequential(
            *(*_layer(num_in, hidden, 1), _relu()),
            *(*_layer(hidden, hidden, 3), _relu()),
            *_layer(hidden, num_out, 1),
        )
        self.repeats = num_out // num_in if num_out % num_in == 0 else 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.repeats:
            y = y + torch.cat([x] * self.repeats, 1)
        return torch.relu(y)


def _layer(num_in: int, num_out: int, kernel_size: int) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(num_in, num_out, kernel_size, padding=kernel_size // 2, bias=False)
    return convolution, nn.BatchNorm2d(num_out)


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def _pooling(encoder: nn.Module) -> tuple[nn.Module, str]:
    """The module that holds the encoder's one global pooling, and its name there."""
    ((holder, name),) = (
        (parent, name)
        for parent in encoder.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.AdaptiveAvgPool2d)
    )
    return holder, name
