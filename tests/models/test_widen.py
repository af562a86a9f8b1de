"""Heads that set the number of features: dimension and depth, one at a time."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fastssl.errors import InputError
from fastssl.methods.random_encoder import RandomEncoderConfig
from fastssl.models import ModelConfig
from fastssl.models.widen import Bottleneck
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.types import DatasetInfo

OWN = {"nano": 256, "micro": 256, "resnet18": 512, "resnet34": 512, "resnet50": 2048}
INFO = DatasetInfo("x", "train", "ab", 8, 2, 16, 16, (0.5,) * 3, (0.2,) * 3)


def convolutions(encoder):
    return [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize("head", ["bottleneck", "plain"])
@pytest.mark.parametrize("arch", OWN)
def test_head_gives_the_features_asked_for_in_channels_last(arch, head):
    bare, own = ModelConfig(arch=arch).build()
    assert own == OWN[arch]
    encoder, dim = ModelConfig(arch=arch, feature_dim=3 * own, feature_head=head).build()
    added = convolutions(encoder)[len(convolutions(bare)) :]
    hidden = min(own, 512)
    expected = [(own, hidden, 1), (hidden, hidden, 3), (hidden, dim, 1)] if head == "bottleneck" else [(own, dim, 1)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in added] == expected
    seen = []
    last = added[-1]
    last.register_forward_hook(lambda m, i, out: seen.append(out.is_contiguous(memory_format=torch.channels_last)))
    y = encoder(torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last))
    assert y.shape == (2, dim) == (2, 3 * own)
    assert float(y.detach().min()) >= 0  # a mean of what the last ReLU lets through
    assert seen == [True]


def test_bottleneck_adds_its_input_repeated_before_the_last_relu():
    torch.manual_seed(0)
    block, x = Bottleneck(4, 12).eval(), torch.randn(2, 4, 3, 3)
    assert torch.equal(block(x), (block.body(x) + x.repeat(1, 3, 1, 1)).relu())
    nn.init.zeros_(block.body[-1].weight)  # the last BatchNorm silent: the shortcut alone
    assert torch.equal(block(x), x.relu().repeat(1, 3, 1, 1))


@pytest.mark.parametrize("num_out", [2, 6])
def test_bottleneck_to_no_multiple_of_its_input_has_no_shortcut(num_out):
    block, x = Bottleneck(4, num_out).eval(), torch.randn(2, 4, 3, 3)
    assert torch.equal(block(x), block.body(x).relu())


def test_head_works_on_what_the_encoder_had_before_its_pooling():
    torch.manual_seed(0)
    bare, _ = ModelConfig(arch="nano").build()
    torch.manual_seed(0)
    wide, _ = ModelConfig(arch="nano", feature_dim=32, feature_head="plain").build()
    x = torch.randn(2, 3, 16, 16)
    pool = next(i for i, m in enumerate(bare) if isinstance(m, nn.AdaptiveAvgPool2d))
    before = bare.eval()[:pool](x)
    head = wide.eval()[pool][0]
    torch.testing.assert_close(wide(x), head(before).mean((2, 3)))


def test_control_differs_from_the_wide_head_in_its_last_convolution_alone():
    def shapes(feature_dim):
        return [
            tuple(m.weight.shape) for m in convolutions(ModelConfig(arch="nano", feature_dim=feature_dim).build()[0])
        ]

    control, wide = shapes(256), shapes(2048)
    assert control[:-1] == wide[:-1]
    assert (control[-1], wide[-1]) == ((256, 256, 1, 1), (2048, 256, 1, 1))


def test_issl_head_of_resnet18_costs_what_its_equation_says():
    def macs(**options):
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            ModelConfig(arch="resnet18", **options).build(64)[0](torch.zeros(1, 3, 64, 64))
        return counter.get_total_flops() // 2

    assert macs(feature_dim=2048) - macs() == 8 * 8 * 512 * (512 + 9 * 512 + 2048)


def test_random_encoder_with_a_head_settles_its_statistics_and_moves_no_weight():
    encoder, dim = ModelConfig(arch="nano", feature_dim=300).build()
    method = RandomEncoderConfig().build(encoder, dim, INFO)
    assert not any(p.requires_grad for p in encoder.parameters())
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    method((torch.randn(4, 3, 16, 16),), torch.arange(4), torch.zeros(4, dtype=torch.long))
    moved = {
        name.split(".")[-1] for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}
    assert encoder(torch.randn(4, 3, 16, 16)).shape == (4, 300)


def test_gradients_reach_every_weight_of_a_head():
    for head in ("bottleneck", "plain"):
        encoder, _ = ModelConfig(arch="nano", feature_dim=512, feature_head=head).build()
        encoder(torch.randn(4, 3, 32, 32)).square().mean().backward()
        assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in encoder.parameters())


def test_recipe_with_a_head_survives_json_and_has_its_own_identity():
    base = RECIPES["demo-simclr"]()
    facts = {"fingerprint": "ab"}
    wide = dataclasses.replace(base, model=ModelConfig(feature_dim=512))
    assert Recipe.from_json(wide.to_json()) == wide
    assert wide.identity(**facts) != base.identity(**facts)


@pytest.mark.parametrize("options", [{"feature_dim": 0}, {"feature_dim": 10**6}, {"feature_head": "plain"}], ids=str)
def test_head_without_effect_or_out_of_range_is_refused(options):
    name = next(iter(options))
    with pytest.raises(InputError, match=rf"^{name}={options[name]} .*give"):
        ModelConfig(**options)
