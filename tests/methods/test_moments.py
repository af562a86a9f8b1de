import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fastssl.methods.barlow_twins import barlow_twins_loss
from fastssl.methods.idealized import idealized_loss
from fastssl.methods.moments import correlations, mean_and_variance, pair_squares, square_sum, standardised
from fastssl.methods.vicreg import vicreg_loss

SHAPES = [(1, 2, 7), (1, 9, 3), (3, 2, 5), (2, 6, 4)]  # with d x d matrices and with B x B ones


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def slow_product(x, y):
    return sum(torch.outer(x[b], y[b]) for b in range(len(x))) / len(x)


def check(fast, slow, leaves):
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-14)
    for mine, theirs in zip(torch.autograd.grad(fast, leaves), torch.autograd.grad(slow, leaves)):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("itself", [True, False])
def test_correlations_equal_their_equation_in_value_and_gradient(shape, itself):
    x, y = draw(*shape), draw(*shape, seed=1)
    other = x if itself else y
    c = [slow_product(x[a], other[a]) for a in range(len(x))]
    diagonal, squares = correlations(x, None if itself else y)
    weight = draw(shape[0], shape[2], seed=2).detach()
    fast = (diagonal * weight).sum() + 0.7 * squares
    slow = sum((c[a].diagonal() * weight[a]).sum() + 0.7 * (c[a] ** 2).sum() for a in range(len(x)))
    check(fast, slow, (x,) if itself else (x, y))


@pytest.mark.parametrize("shape", [(2, 5, 3), (4, 3, 8)])
def test_pair_squares_equal_their_equation_in_value_and_gradient(shape):
    z = draw(*shape)
    pairs = [(a, c) for a in range(len(z)) for c in range(len(z)) if a != c]
    check(3 * pair_squares(z), 3 * sum((slow_product(z[a], z[c]) ** 2).sum() for a, c in pairs), (z,))


@pytest.mark.parametrize("over", [(1,), (0, 1)])
def test_standardised_equals_its_equation_in_value_and_gradient(over):
    z, weight = draw(2, 5, 3), draw(2, 5, 3, seed=1).detach()
    mean, variance = z.mean(over, keepdim=True), z.var(over, correction=0, keepdim=True)
    check((standardised(z, over, 0.1) * weight).sum(), ((z - mean) / (variance + 0.1).sqrt() * weight).sum(), (z,))
    for mine, theirs in zip(mean_and_variance(z, over), (mean, variance)):
        torch.testing.assert_close(mine, theirs, rtol=1e-13, atol=1e-15)


def test_square_sum_has_a_gradient_at_zero():
    x = torch.zeros(3, requires_grad=True)
    assert torch.equal(torch.autograd.grad(square_sum(x), x)[0], torch.zeros(3))


class Largest(TorchDispatchMode):
    """Counts the elements of the largest tensor that is made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            self.elements = max(self.elements, tensor.numel() if isinstance(tensor, torch.Tensor) else 0)
        return out


@pytest.mark.parametrize("num_views", [2, 4])
@pytest.mark.parametrize(
    "loss",
    [
        lambda z: barlow_twins_loss(z, 0.1),
        lambda z: barlow_twins_loss(z, 0.1, "pairwise"),
        lambda z: barlow_twins_loss(z, 0.1, "mean_autocorr"),
        lambda z: vicreg_loss(z),
        lambda z: idealized_loss(z, 0.1),
    ],
    ids=["leave_one_out", "pairwise", "mean_autocorr", "vicreg", "idealized"],
)
def test_losses_make_nothing_of_d_by_d_when_images_are_few(loss, num_views):
    z = torch.randn(num_views, 8, 200, requires_grad=True)
    with Largest() as largest:
        loss(z).backward()
    assert largest.elements == z.numel() < 200 * 200
