"""`micro`: a few wide layers for 32-px images, so that a few GPU-minutes hold a sweep.

About 120 million multiply-adds at 32 px and 2 million weights. The plan follows Jordan 2024 (arXiv 2404.00498,
airbench94): a 2x2 unpadded stem, then three blocks of convolution, max-pooling, batch norm, GELU, convolution, batch
norm, GELU. Deviations: the stem is trained rather than whitened from data (an encoder must not need a pass over
the dataset before it can be built), batch norms keep their scales, and the network ends in global average pooling.
"""

from torch import nn


def build_micro(width: float = 1.0) -> tuple[nn.Module, int]:
    """The network (n, 3, s, s) -> (n, dim), s >= 9, and dim (256 at width 1)."""
    narrow, dim = _channels(64, width), _channels(256, width)
    layers = [
        *(nn.Conv2d(3, 32, kernel_size=2), nn.GELU()),
        *_block(32, narrow),
        *_block(narrow, dim),
        *_block(dim, dim),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ]
    return nn.Sequential(*layers), dim


def _block(num_in: int, num_out: int) -> list[nn.Module]:
    return [
        *(nn.Conv2d(num_in, num_out, kernel_size=3, padding=1, bias=False), nn.MaxPool2d(2)),
        *(nn.BatchNorm2d(num_out), nn.GELU()),
        *(nn.Conv2d(num_out, num_out, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(num_out), nn.GELU()),
    ]


def _channels(num: int, width: float) -> int:
    """Multiples of 8, which tensor cores and vector units like."""
    return max(8, round(num * width / 8) * 8)
