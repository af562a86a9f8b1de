import itertools

import pytest
import torch
import torch.nn.functional as F

from fastssl.errors import InputError
from fastssl.methods.vicreg import VICRegConfig, vicreg_loss, vicreg_terms


def slow_covariance(x):
    num_images, dim = x.shape
    centred = [[x[b, i] - x[:, i].mean() for i in range(dim)] for b in range(num_images)]
    entry = lambda i, j: sum(centred[b][i] * centred[b][j] for b in range(num_images)) / (num_images - 1)
    return [[entry(i, j) for j in range(dim)] for i in range(dim)]


def slow_two_view(x, y, lam=25.0, mu=25.0, nu=1.0):
    """The two-view loss as the authors' code weighs it, entry by entry."""
    dim = x.shape[1]
    invariance = ((x - y) ** 2).mean()
    variance = covariance = 0.0
    for view in (x, y):
        cov = slow_covariance(view)
        variance += sum(F.relu(1 - (cov[i][i] + 1e-4).sqrt()) for i in range(dim)) / dim / 2
        covariance += sum(cov[i][j] ** 2 for i, j in itertools.permutations(range(dim), 2)) / dim
    return lam * invariance + mu * variance + nu * covariance


def slow_vicreg(z, form):
    views = range(len(z))
    pairs = list(itertools.combinations(views, 2))
    pairwise = sum(slow_two_view(z[a], z[c]) for a, c in pairs) / len(pairs)
    if form == "pairwise":
        return pairwise
    others = lambda a: torch.stack([z[c] for c in views if c != a]).mean(0)
    invariance = sum(((z[a] - others(a)) ** 2).mean() for a in views) / len(z)
    pair_invariance = sum(((z[a] - z[c]) ** 2).mean() for a, c in pairs) / len(pairs)
    return pairwise + 25 * (invariance - pair_invariance)


@pytest.mark.parametrize("form", ["leave_one_out", "pairwise"])
@pytest.mark.parametrize(("num_views", "num_images"), [(2, 2), (2, 5), (3, 7), (4, 3)])
def test_vicreg_equals_the_equation_in_value_and_gradient(form, num_views, num_images):
    torch.manual_seed(0)
    z = torch.randn(num_views, num_images, 4, dtype=torch.float64).mul(0.8).requires_grad_()
    fast, slow = vicreg_loss(z, form=form), slow_vicreg(z, form)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(fast, z)[0], torch.autograd.grad(slow, z)[0], rtol=1e-9, atol=1e-12)


def test_vicreg_forms_are_the_two_view_loss_at_two_views():
    z = torch.randn(2, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for form in ("leave_one_out", "pairwise"):
        torch.testing.assert_close(vicreg_loss(z, form=form), slow_two_view(*z), rtol=1e-12, atol=0)


def test_vicreg_weights_multiply_their_own_terms():
    z = torch.randn(3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) / 2
    for weights in itertools.product((0.0, 2.0), repeat=3):
        expected = sum(w * term for w, term in zip(weights, vicreg_terms(z)))
        torch.testing.assert_close(vicreg_loss(z, *weights), expected, rtol=1e-14, atol=1e-14)


def test_vicreg_collapse_leaves_the_hinge_alone_and_finite_gradients():
    z = torch.ones(2, 5, 7, requires_grad=True)
    invariance, variance, covariance = vicreg_terms(z)
    assert (invariance.item(), covariance.item()) == (0, 0)
    assert variance.item() == pytest.approx(1 - 1e-4**0.5)
    assert torch.autograd.grad(vicreg_loss(z), z)[0].isfinite().all()


def test_vicreg_variance_looks_at_views_and_not_at_their_mean():
    # Unit-variance views that share nothing: the mean of three others has deviation .58 and would be punished.
    z = torch.randn(4, 4096, 8, generator=torch.Generator().manual_seed(3)) * 1.2
    assert vicreg_terms(z)[1] == 0


def test_vicreg_does_not_care_for_order_or_shift():
    torch.manual_seed(4)
    z = torch.randn(3, 7, 5, dtype=torch.float64) / 2
    loss = vicreg_loss(z)
    for other in (z[:, torch.randperm(7)], z.flip(0), z + torch.randn(5).double()):
        torch.testing.assert_close(vicreg_loss(other), loss, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ["invariance_weight", "variance_weight", "covariance_weight"])
def test_vicreg_config_refuses_a_negative_weight(name):
    with pytest.raises(InputError, match=name):
        VICRegConfig(**{name: -0.5})
