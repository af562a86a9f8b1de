"""torchvision's ResNets as encoders: no classifier, and a stem that suits small images where the images are small.

He, Zhang, Ren, Sun 2016. The small-image stem is the customary CIFAR one (Chen et al. 2020, appendix B.9): 3x3, stride
1, no max-pooling. Its ReLU stays: code of this field has lost it together with the pooling, and a point of accuracy.
"""

from typing import Literal

import torchvision
from torch import nn

ResNetName = Literal["resnet18", "resnet34", "resnet50"]


def build_resnet(arch: ResNetName, *, width: float = 1.0, small_stem: bool = False) -> tuple[nn.Module, int]:
    """The network (n, 3, s, s) -> (n, dim) ending in global average pooling, and dim (512, or 2048 for resnet50).

    `width` scales the bottleneck's inner channels, as torchvision's `width_per_group` does (resnet50 alone has them).
    """
    options = {"width_per_group": round(64 * width)} if arch == "resnet50" else {}
    network = getattr(torchvision.models, arch)(**options)
    dim = network.fc.in_features
    network.fc = nn.Identity()
    if small_stem:
        network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    return network, dim
