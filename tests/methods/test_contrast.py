import pytest
import torch
import torch.nn.functional as F

from fastssl.methods.contrast import mean_log_partition, unit


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_partition(x, y, scale, skip, excluded):
    rows = []
    for i in range(len(x)):
        kept = [j for j in range(len(y)) if not (skip is not None and skip[i] == j)]
        kept = [j for j in kept if not (excluded is not None and excluded[i, j])]
        rows.append(sum(torch.exp(scale * x[i] @ y[j]) for j in kept).log())
    return sum(rows) / len(rows)


@pytest.mark.parametrize("itself", [True, False])
@pytest.mark.parametrize("skipping", [True, False])
@pytest.mark.parametrize("excluding", [True, False])
def test_partition_equals_the_equation_in_value_and_gradient(itself, skipping, excluding):
    x, y = draw(4, 3).requires_grad_(), draw(6, 3, seed=1).requires_grad_()
    leaves = (x,) if itself else (x, y)
    columns = x if itself else y
    skip = torch.tensor([0, 1, 3, 2]) if skipping else None
    excluded = draw(4, len(columns), seed=2) > 0.9 if excluding else None
    fast = mean_log_partition(x, None if itself else y, 1.7, skip, excluded)
    slow = slow_partition(x, columns, 1.7, skip, excluded)
    torch.testing.assert_close(fast, slow, rtol=1e-13, atol=0)
    for mine, theirs in zip(torch.autograd.grad(2 * fast, leaves), torch.autograd.grad(2 * slow, leaves)):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


def test_partition_is_finite_for_scales_whose_exponential_is_not():
    x = unit(torch.randn(5, 3, generator=torch.Generator().manual_seed(0))).requires_grad_()
    value = mean_log_partition(x, None, 1e4)
    assert value.item() == pytest.approx(1e4, rel=1e-3)
    assert torch.autograd.grad(value, x)[0].isfinite().all()


def test_partition_can_be_differentiated_twice_in_a_row():
    x = draw(4, 3).requires_grad_()
    value = mean_log_partition(x, None, 2.0)
    first, second = (torch.autograd.grad(value, x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_unit_is_normalize_in_value_and_gradient_at_and_near_zero_too():
    z = draw(2, 5, 3)
    z[0, 1] = 0
    z[1, 2] *= 1e-13
    z.requires_grad_()
    weight = draw(2, 5, 3, seed=1)
    torch.testing.assert_close(unit(z), F.normalize(z, dim=-1), rtol=1e-14, atol=0)
    mine, theirs = (torch.autograd.grad((f(z) * weight).sum(), z)[0] for f in (unit, lambda z: F.normalize(z, dim=-1)))
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)
