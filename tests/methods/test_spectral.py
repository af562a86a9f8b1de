import itertools
import math

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.spectral import SpectralConfig, spectral_loss, spectral_terms
from fastssl.types import DatasetInfo

INFO = DatasetInfo("toy", "train", "fingerprint", 8, 2, 4, 4, (0.5,) * 3, (0.2,) * 3)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def slow_spectral(z, mu):
    num_views, num_images, _ = z.shape
    short = lambda v: v if mu is None or v.norm() <= math.sqrt(mu) else v / v.norm() * math.sqrt(mu)
    z = [[short(z[a, i]) for i in range(num_images)] for a in range(num_views)]
    same, different = [], []
    for a, c in itertools.permutations(range(num_views), 2):
        for i, j in itertools.product(range(num_images), repeat=2):
            product = (z[a][i] * z[c][j]).sum()
            (same if i == j else different).append(product if i == j else product**2)
    return (-2 * sum(same) / len(same) + sum(different) / len(different)) / (1.0 if mu is None else mu)


@pytest.mark.parametrize("mu", [1.0, 4.0, None])
@pytest.mark.parametrize("shape", [(2, 2, 4), (2, 6, 3), (3, 2, 7), (4, 3, 5)])
def test_spectral_equals_the_equation_in_value_and_gradient(shape, mu):
    z = draw(*shape)  # of lengths on both sides of sqrt(mu)
    fast, slow = spectral_loss(z, mu), slow_spectral(z, mu)
    torch.testing.assert_close(fast, slow, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(fast, z)[0], torch.autograd.grad(slow, z)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mu", [1.0, 2.5])
@pytest.mark.parametrize("dim", [4, 40])
def test_spectral_known_values(mu, dim):
    length = 3.0 * math.sqrt(mu)
    equal = length * torch.eye(dim).double()[:1].expand(2, 4, -1)
    apart = length * torch.eye(4, dim).double().expand(3, -1, -1)
    corners = length * torch.cat((torch.eye(4).double() - 1 / 4, torch.zeros(4, dim - 4).double()), 1).expand(2, -1, -1)
    assert spectral_loss(equal, mu).item() == pytest.approx(mu - 2, rel=1e-12)
    assert spectral_loss(apart, mu).item() == pytest.approx(-2, rel=1e-12)
    assert spectral_loss(corners, mu).item() == pytest.approx(-2 + mu / 9, rel=1e-12)


def test_spectral_short_vectors_keep_their_length():
    z = 0.1 * draw(2, 5, 3).detach()
    torch.testing.assert_close(spectral_loss(z, 1.0), spectral_loss(z, None), rtol=1e-14, atol=0)


def test_spectral_does_not_care_for_order_or_rotation():
    z = draw(3, 7, 5).detach()
    loss = spectral_loss(z, 4.0)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    rotation = torch.linalg.qr(draw(5, 5, seed=1).detach()).Q
    for other in (z[:, order], z.flip(0), z @ rotation):
        torch.testing.assert_close(spectral_loss(other, 4.0), loss, rtol=1e-12, atol=0)


def test_spectral_gradient_is_finite_at_zero():
    z = torch.zeros(2, 3, 4, requires_grad=True)
    assert torch.autograd.grad(spectral_loss(z), z)[0].isfinite().all()


def test_spectral_logs_add_up_to_the_loss_which_is_above_its_floor():
    torch.manual_seed(0)
    method = SpectralConfig(projector_dim=6, projector_hidden=5).build(nn.Flatten(), 48, INFO)
    output = method(tuple(torch.randn(5, 3, 4, 4) for _ in range(2)), torch.arange(5), torch.arange(5))
    logs = output.logs
    torch.testing.assert_close(logs["repulsion"] - 2 * logs["attraction"], output.loss.detach())
    assert method.floor == -2 < output.loss.item()
    assert isinstance(method.projector[-1], nn.BatchNorm1d)
    assert all(term >= 0 for term in spectral_terms(torch.ones(2, 3, 4)))


def test_spectral_config_refuses_a_ball_without_room():
    with pytest.raises(InputError, match="max_square_norm=0"):
        SpectralConfig(max_square_norm=0.0)
