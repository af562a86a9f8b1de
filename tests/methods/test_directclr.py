import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.directclr import DirectCLRConfig, directclr_loss
from fastssl.types import DatasetInfo

INFO = DatasetInfo("toy", "train", "fingerprint", 8, 2, 4, 4, (0.5,) * 3, (0.2,) * 3)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def slow_directclr(z, temperature):
    num_views, num_images, _ = z.shape
    losses = []
    for a in range(num_views):
        for i in range(num_images):
            term = lambda c, j, a=a, i=i: (F.cosine_similarity(z[a, i], z[c, j], dim=0) / temperature).exp()
            others = [c for c in range(num_views) if c != a]
            total = sum(term(c, j) for c in others for j in range(num_images))
            losses += [-(term(c, i) / total).log() for c in others]
    return sum(losses) / len(losses)


@pytest.mark.parametrize(("num_views", "num_images"), [(2, 2), (2, 6), (3, 4)])
def test_directclr_equals_the_equation_in_value_and_gradient(num_views, num_images):
    z = draw(num_views, num_images, 5)
    fast, slow = directclr_loss(z, 0.1), slow_directclr(z, 0.1)
    torch.testing.assert_close(fast, slow, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(fast, z)[0], torch.autograd.grad(slow, z)[0], rtol=1e-10, atol=1e-12)


def test_directclr_two_views_are_the_cross_entropies_of_both_directions():
    x, y = F.normalize(draw(2, 6, 5), dim=-1)
    here = torch.arange(6)
    expected = (F.cross_entropy(x @ y.T / 0.1, here) + F.cross_entropy(y @ x.T / 0.1, here)) / 2
    torch.testing.assert_close(directclr_loss(torch.stack([x, y]), 0.1), expected, rtol=1e-12, atol=0)


def test_directclr_collapse_and_simplex():
    assert directclr_loss(torch.ones(2, 7, 3).double(), 0.1).item() == pytest.approx(math.log(7), rel=1e-12)
    simplex = (torch.eye(5, dtype=torch.float64) - 1 / 5).expand(2, -1, -1)
    expected = math.log(1 + 4 * math.exp(-5 / 4 / 0.5))
    assert directclr_loss(simplex, 0.5).item() == pytest.approx(expected, rel=1e-10)


def test_directclr_looks_at_the_first_features_alone():
    method = DirectCLRConfig(num_features=5).build(nn.Flatten(), 48, INFO)
    torch.manual_seed(0)
    views = tuple(torch.randn(6, 3, 4, 4, requires_grad=True) for _ in range(2))
    loss = method(views, torch.arange(6), torch.arange(6)).loss
    torch.testing.assert_close(loss, directclr_loss(torch.stack(views).flatten(2)[..., :5], 0.1))
    slope = torch.autograd.grad(loss, views)[0].flatten(1)
    assert slope[:, :5].abs().min() > 0
    assert torch.equal(slope[:, 5:], torch.zeros(6, 43))
    assert list(method.parameters()) == []


@pytest.mark.parametrize(("dim", "expected"), [(2048, 360), (512, 90), (2, 1)])
def test_directclr_default_is_the_share_of_the_paper(dim, expected):
    assert DirectCLRConfig().build(nn.Identity(), dim, INFO).num_features == expected


def test_directclr_refuses():
    with pytest.raises(InputError, match="num_features=17 is more than the encoder's 16"):
        DirectCLRConfig(num_features=17).build(nn.Identity(), 16, INFO)
    with pytest.raises(InputError, match="num_features=0"):
        DirectCLRConfig(num_features=0)
    with pytest.raises(InputError, match="temperature=0"):
        DirectCLRConfig(temperature=0.0)
