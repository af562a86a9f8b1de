"""`nano`: an encoder for machines without a GPU: some thousand views a second *trained* on two cores at 32 px.

What made it fast, measured in bfloat16 on two AVX512-BF16 cores with oneDNN: halve the resolution at once and
again by the second layer (the two finest layers cost most of the time, and elementwise work there costs as much as
the convolutions), channels in multiples of 32, five layers, no depthwise convolutions, ReLU in place.
Even kernels (4x4, stride 2) halve the image without favouring a corner.
"""

from torch import nn


def build_nano(width: float = 1.0) -> tuple[nn.Module, int]:
    """The network (n, 3, s, s) -> (n, dim), s >= 8, and dim (256 at width 1).

    About 12 million multiply-adds at 32 px and half a million weights.
    """
    narrow, middle, wide, dim = (max(32, round(c * width / 32) * 32) for c in (32, 64, 128, 256))
    layers = [
        *_layer(3, narrow, kernel_size=4, stride=2),
        *_layer(narrow, middle, kernel_size=4, stride=2),
        *_layer(middle, middle, kernel_size=3, stride=1),
        *_layer(middle, wide, kernel_size=4, stride=2),
        *_layer(wide, dim, kernel_size=3, stride=1),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ]
    return nn.Sequential(*layers), dim


def _layer(num_in: int, num_out: int, *, kernel_size: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(num_in, num_out, kernel_size, stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(num_out), nn.ReLU(inplace=True)]
