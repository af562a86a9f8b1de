import itertools

import pytest
import torch

from fastssl.errors import InputError
from fastssl.methods.idealized import IdealizedConfig, idealized_loss, idealized_terms


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def slow_features(z, eps=1e-5):
    flat = z.flatten(0, 1)
    return (z - flat.mean(0)) / torch.sqrt(flat.var(0, correction=0) + eps)


def slow_idealized(f, weight):
    """Dimension by dimension, from features of any variance; what is missing from 1 of it is invariance lost."""
    num_views, num_images, dim = f.shape
    flat = f.flatten(0, 1)
    loss = 0.0
    for j in range(dim):
        for b in range(num_images):
            mean = sum(f[a, b, j] for a in range(num_views)) / num_views
            loss = loss + sum((mean - f[a, b, j]) ** 2 for a in range(num_views)) / (num_views * num_images)
        loss = loss + 1 - (flat[:, j] ** 2).mean()
    for i, j in itertools.permutations(range(dim), 2):
        loss = loss + weight * (flat[:, i] * flat[:, j]).mean() ** 2
    return loss


@pytest.mark.parametrize("shape", [(2, 2, 4), (2, 2, 9), (3, 7, 4), (4, 5, 3)])
def test_idealized_equals_the_equation_in_value_and_gradient(shape):
    z = draw(*shape)
    fast, slow = idealized_loss(z, 0.3), slow_idealized(slow_features(z), 0.3)
    torch.testing.assert_close(fast, slow, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(fast, z)[0], torch.autograd.grad(slow, z)[0], rtol=1e-8, atol=1e-11)


def test_idealized_invariance_is_the_distance_from_the_mean_view():
    f = slow_features(draw(3, 50, 6), eps=0.0).detach()
    torch.testing.assert_close(
        idealized_terms(f)[0], ((f.mean(0) - f) ** 2).mean((0, 1)).sum(), rtol=1e-4, atol=0
    )  # the epsilon of 1e-5


@pytest.mark.parametrize("num_views", [2, 4])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_idealized_invariance_of_views_that_correlate(num_views, rho):
    z = rho**0.5 * draw(1, 4096, 8) + (1 - rho) ** 0.5 * draw(num_views, 4096, 8, seed=1)
    expected = 8 * (num_views - 1) / num_views * (1 - rho)
    assert idealized_terms(z)[0].item() == pytest.approx(expected, rel=0.05)


def test_idealized_is_zero_for_equal_views_of_uncorrelated_features():
    walsh = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    invariance, redundancy = idealized_terms(walsh.expand(3, -1, -1))
    assert invariance.item() == pytest.approx(0.0, abs=1e-4)
    assert redundancy.item() == pytest.approx(0.0, abs=1e-12)


def test_idealized_counts_a_feature_that_is_there_twice():
    walsh = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    doubled = torch.cat((walsh, walsh[:, :1]), 1).expand(2, -1, -1)
    assert idealized_terms(doubled)[1].item() == pytest.approx(2.0, rel=1e-4)


def test_idealized_collapse_costs_one_per_dimension_and_has_finite_gradients():
    z = torch.ones(3, 5, 7, requires_grad=True)
    loss = idealized_loss(z, 1.0)
    assert loss.item() == pytest.approx(7.0)
    assert torch.autograd.grad(loss, z)[0].isfinite().all()


def test_idealized_does_not_care_for_order_or_for_affine_maps_of_a_dimension():
    z = 100 * draw(3, 11, 5).detach()
    loss = idealized_loss(z, 0.2)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(idealized_loss(z[:, order], 0.2), loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(idealized_loss(z.flip(0), 0.2), loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(idealized_loss(z * torch.arange(1, 6) - 7, 0.2), loss, rtol=1e-6, atol=0)


def test_idealized_weight():
    assert IdealizedConfig(projector_dim=256).weight == 3 / 256
    assert IdealizedConfig(orthogonality_weight=0.5).weight == 0.5
    with pytest.raises(InputError, match="orthogonality_weight=-1"):
        IdealizedConfig(orthogonality_weight=-1.0)
