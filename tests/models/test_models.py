"""Encoders: shapes, cost, memory format, and the stem that keeps its ReLU."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fastssl.errors import InputError
from fastssl.models import ModelConfig
from fastssl.models.resnet import build_resnet

ARCHS = ("nano", "micro", "resnet18", "resnet34", "resnet50")


def count_macs(encoder: nn.Module, size: int) -> float:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        encoder(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("arch", ARCHS)
def test_encoder_maps_images_to_features_of_its_dim_in_channels_last(arch):
    encoder, dim = ModelConfig(arch=arch).build()
    seen = []
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(
                lambda m, i, out: seen.append(out.is_contiguous(memory_format=torch.channels_last))
            )
    x = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    y = encoder(x)
    assert y.shape == (2, dim)
    assert y.dtype == torch.float32
    assert seen
    assert all(seen)


@pytest.mark.parametrize("arch", ARCHS)
def test_encoder_ends_in_global_average_pooling(arch):
    """Features of a twice larger image have the same width, and a constant image gives the pooled constant."""
    encoder, dim = ModelConfig(arch=arch).build()
    assert encoder.eval()(torch.randn(2, 3, 64, 64)).shape == (2, dim)
    pools = [m for m in encoder.modules() if isinstance(m, nn.AdaptiveAvgPool2d)]
    assert [p.output_size in (1, (1, 1)) for p in pools] == [True]


@pytest.mark.parametrize("arch", ["nano", "micro", "resnet18"])
def test_manual_seed_decides_the_weights(arch):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in ModelConfig(arch=arch).build()[0].parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_micro_costs_120_million_multiply_adds():
    assert count_macs(ModelConfig(arch="micro").build()[0], 32) == pytest.approx(120e6, rel=0.05)


def test_nano_costs_12_million_multiply_adds():
    assert count_macs(ModelConfig(arch="nano").build()[0], 32) == pytest.approx(12e6, rel=0.05)


def test_width_scales_the_channels():
    assert ModelConfig(arch="micro", width=0.5).build()[1] == 128
    assert ModelConfig(arch="nano", width=2).build()[1] == 512
    wide, dim = ModelConfig(arch="resnet50", width=2).build()
    assert dim == 2048
    assert count_macs(wide, 32) > 2 * count_macs(ModelConfig(arch="resnet50").build()[0], 32)


def test_small_stem_keeps_resolution_and_its_relu():
    network, _ = build_resnet("resnet18", small_stem=True)
    entering = []
    network.layer1.register_forward_pre_hook(lambda module, inputs: entering.append(inputs[0]))
    network(torch.randn(4, 3, 32, 32))
    assert entering[0].shape == (4, 64, 32, 32)
    assert float(entering[0].detach().min()) == 0.0  # a lost ReLU would let the batch norm's negatives through


def test_stem_follows_the_image_size_unless_told():
    def side(config, image_size):
        network, _ = config.build(image_size)
        entering = []
        network.layer1.register_forward_pre_hook(lambda module, inputs: entering.append(inputs[0].shape[-1]))
        network(torch.zeros(2, 3, 64, 64))
        return entering[0]

    assert side(ModelConfig(arch="resnet18"), 64) == 64
    assert side(ModelConfig(arch="resnet18"), 224) == 16
    assert side(ModelConfig(arch="resnet18", small_stem=False), 32) == 16


@pytest.mark.parametrize(
    "options",
    [{"width": 0.0}, {"arch": "resnet18", "width": 2.0}, {"arch": "nano", "small_stem": True}],
)
def test_model_config_refuses_values_without_effect(options):
    with pytest.raises(InputError, match=r"give|leave"):
        ModelConfig(**options)


@pytest.mark.parametrize("arch", ["nano", "micro"])
def test_gradients_reach_every_weight(arch):
    encoder, _ = ModelConfig(arch=arch).build()
    encoder(torch.randn(4, 3, 32, 32)).square().mean().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in encoder.parameters())
