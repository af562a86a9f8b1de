"""Plain torch and torchvision that build a run's encoder, as text: for formats that hold weights alone."""

from torch import nn

from fastssl.models import ModelConfig


def rebuild_code(model: ModelConfig, encoder: nn.Module, size: int) -> str | None:
    """Code that makes `network`, whose state dict has the keys of the exported one; None with a head before the
    pooling (`feature_dim`), for which the formats that hold the network are there."""
    if model.feature_dim is not None:
        return None
    if model.arch in ("nano", "micro"):
        return _plain(encoder)
    small = size <= 64 if model.small_stem is None else model.small_stem
    wide = f"width_per_group={round(64 * model.width)}" if model.arch == "resnet50" else ""
    lines = [
        "from torch import nn",
        "from torchvision.models import " + model.arch,
        "",
        f"network = {model.arch}({wide})",
    ]
    if small:
        lines += ["network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)", "network.maxpool = nn.Identity()"]
    return "\n".join([*lines, "network.fc = nn.Identity()"])


def _plain(encoder: nn.Module) -> str:
    """A flat `nn.Sequential`, layer by layer."""
    assert isinstance(encoder, nn.Sequential)
    layers = [f"    nn.{_call(layer)}," for layer in encoder]
    return "\n".join(["from torch import nn", "", "network = nn.Sequential(", *layers, ")"])


def _call(layer: nn.Module) -> str:
    if isinstance(layer, nn.Conv2d):
        (side, _), (stride, _), padding = layer.kernel_size, layer.stride, layer.padding
        first = padding[0] if isinstance(padding, tuple) else padding
        sizes = f"{layer.in_channels}, {layer.out_channels}, {side}, {stride}, {first}"
        return f"Conv2d({sizes}{'' if layer.bias is not None else ', bias=False'})"
    if isinstance(layer, nn.BatchNorm2d):
        return f"BatchNorm2d({layer.num_features})"
    if isinstance(layer, nn.MaxPool2d):
        return f"MaxPool2d({layer.kernel_size})"
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return f"AdaptiveAvgPool2d({layer.output_size})"
    assert isinstance(layer, nn.ReLU | nn.GELU | nn.Flatten)
    return f"{type(layer).__name__}()"
