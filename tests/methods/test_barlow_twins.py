import itertools
import math

import pytest
import torch

from fastssl.errors import InputError
from fastssl.methods.barlow_twins import BarlowTwinsConfig, barlow_twins_loss, barlow_twins_terms, standardise


def slow_standardise(z, scope):
    out = torch.empty_like(z)
    for a in range(z.shape[0]):
        for j in range(z.shape[2]):
            column = z[a, :, j] if scope == "per_view" else z[:, :, j].flatten()
            out[a, :, j] = (z[a, :, j] - column.mean()) / torch.sqrt(column.var(correction=0) + 1e-5)
    return out


def slow_terms(x, y, auto=None):
    """Diagonal and off-diagonal of the paper's equation; the off-diagonal of `auto` with itself when given."""
    num_images, dim = x.shape
    on, off = 0.0, 0.0
    for i, j in itertools.product(range(dim), range(dim)):
        left, right = (x, y) if i == j or auto is None else (auto, auto)
        c = sum(left[b, i] * right[b, j] for b in range(num_images)) / num_images
        on, off = (on + (c - 1) ** 2, off) if i == j else (on, off + c**2)
    return on, off


def slow_barlow(z, weight, form, scope, l2_first):
    z = slow_standardise(z / z.norm(dim=-1, keepdim=True) if l2_first else z, scope)
    views = range(len(z))
    if form == "pairwise":
        terms = [slow_terms(z[a], z[c]) for a, c in itertools.permutations(views, 2)]
    elif form == "leave_one_out":
        terms = [slow_terms(z[a], torch.stack([z[c] for c in views if c != a]).mean(0)) for a in views]
    else:
        terms = [slow_terms(z[a], z.mean(0), auto=z.mean(0)) for a in views]
    return sum(on + weight * off for on, off in terms) / len(terms)


def correlated(num_views, num_images=2048, dim=64, rho=0.5, seed=0):
    """Views of independent dimensions, correlating rho with each other."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)
    return math.sqrt(rho) * draw(1, num_images, dim) + math.sqrt(1 - rho) * draw(num_views, num_images, dim)


@pytest.mark.parametrize("form", ["leave_one_out", "pairwise", "mean_autocorr"])
@pytest.mark.parametrize("scope", ["per_view", "joint"])
@pytest.mark.parametrize(
    ("num_views", "num_images", "l2_first"), [(2, 2, False), (2, 5, True), (3, 7, False), (4, 5, True)]
)
def test_barlow_equals_the_equation_in_value_and_gradient(form, scope, num_views, num_images, l2_first):
    torch.manual_seed(0)
    z = torch.randn(num_views, num_images, 4, dtype=torch.float64, requires_grad=True)
    fast = barlow_twins_loss(z, 0.3, form, scope, l2_first)
    slow = slow_barlow(z, 0.3, form, scope, l2_first)
    torch.testing.assert_close(fast, slow, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(fast, z)[0], torch.autograd.grad(slow, z)[0], rtol=1e-8, atol=1e-11)


def test_barlow_forms_agree_with_the_two_view_loss_at_two_views():
    torch.manual_seed(1)
    z = torch.randn(2, 9, 5, dtype=torch.float64)
    on, off = slow_terms(*slow_standardise(z, "per_view"))
    for form in ("leave_one_out", "pairwise"):
        torch.testing.assert_close(barlow_twins_loss(z, 0.1, form), on + 0.1 * off, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("num_views", "pairwise", "autocorr"), [(2, 15.92, 4.02), (4, 15.96, 9.00)])
def test_barlow_mean_autocorr_diagonal_shrinks_with_fewer_views(num_views, pairwise, autocorr):
    # d = 64 and views that correlate .5: 64 x .5^2 = 16 for a pair; sampling moves it in the second digit.
    z = correlated(num_views)
    diagonals = {form: barlow_twins_terms(z, form)[0].item() for form in ("pairwise", "leave_one_out", "mean_autocorr")}
    assert diagonals["pairwise"] == pytest.approx(pairwise, rel=0.03)
    assert diagonals["mean_autocorr"] == pytest.approx(autocorr, rel=0.03)
    # The self-correlation in the mean is 1 - 1e-5: hence not to the last digit.
    factor = ((num_views - 1) / num_views) ** 2
    assert diagonals["mean_autocorr"] / diagonals["leave_one_out"] == pytest.approx(factor, rel=1e-4)


def test_barlow_is_zero_for_equal_views_of_uncorrelated_dimensions():
    walsh = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    for form in ("leave_one_out", "pairwise", "mean_autocorr"):
        assert barlow_twins_loss(walsh.expand(3, -1, -1), 1.0, form).item() == pytest.approx(0.0, abs=1e-8)


def test_barlow_collapse_costs_one_per_dimension_and_has_finite_gradients():
    z = torch.ones(3, 5, 7, requires_grad=True)
    for form in ("leave_one_out", "pairwise", "mean_autocorr"):
        loss = barlow_twins_loss(z, 1.0, form)
        assert loss.item() == pytest.approx(7.0)
        assert torch.autograd.grad(loss, z)[0].isfinite().all()


@pytest.mark.parametrize("form", ["leave_one_out", "pairwise", "mean_autocorr"])
def test_barlow_does_not_care_for_order_or_for_affine_maps_of_a_dimension(form):
    torch.manual_seed(3)
    z = 100 * torch.randn(3, 11, 5, dtype=torch.float64)
    loss = barlow_twins_loss(z, 0.2, form)
    torch.testing.assert_close(barlow_twins_loss(z[:, torch.randperm(11)], 0.2, form), loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(barlow_twins_loss(z.flip(0), 0.2, form), loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(barlow_twins_loss(z * torch.arange(1, 6) - 7, 0.2, form), loss, rtol=1e-6, atol=0)


def test_standardise_scopes_differ_when_views_differ():
    z = torch.stack([torch.arange(4.0), 10 + torch.arange(4.0)])[..., None].double()
    torch.testing.assert_close(standardise(z, "per_view").mean(1), torch.zeros(2, 1).double(), atol=1e-12, rtol=0)
    assert standardise(z, "joint").mean(1).abs().min() > 0.9


def test_barlow_auto_weight_is_three_over_d():
    assert BarlowTwinsConfig(projector_dim=256).weight == 3 / 256
    assert BarlowTwinsConfig(projector_dim=256, redundancy_weight=0.0051).weight == 0.0051


def test_barlow_config_refuses_a_negative_weight():
    with pytest.raises(InputError, match=r"redundancy_weight=-1"):
        BarlowTwinsConfig(redundancy_weight=-1.0)
