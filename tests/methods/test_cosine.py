import pytest
import torch
import torch.nn.functional as F

from fastssl.methods.cosine import cosine_to_mean_of_others, cosine_to_others, dimensions


def draw(num_views, num_images=4, dim=6):
    generator = torch.Generator().manual_seed(num_views)
    pair = torch.randn(2, num_views, num_images, dim, dtype=torch.float64, generator=generator)
    return pair[0].requires_grad_(), pair[1].requires_grad_()


def slow_pairs(p, t):
    num_views, num_images, _ = p.shape
    cosines = [
        torch.dot(p[a, i], t[c, i]) / (p[a, i].norm() * t[c, i].norm())
        for a in range(num_views)
        for c in range(num_views)
        if c != a
        for i in range(num_images)
    ]
    return torch.stack(cosines).mean()


def slow_mean(p, t):
    num_views, num_images, _ = p.shape
    cosines = []
    for a in range(num_views):
        for i in range(num_images):
            target = torch.stack([t[c, i] for c in range(num_views) if c != a]).mean(0)
            cosines.append(torch.dot(p[a, i], target) / (p[a, i].norm() * target.norm()))
    return torch.stack(cosines).mean()


@pytest.mark.parametrize("num_views", [2, 3, 5])
@pytest.mark.parametrize(("fast", "slow"), [(cosine_to_others, slow_pairs), (cosine_to_mean_of_others, slow_mean)])
def test_cosine_equals_the_equation_in_value_and_gradient(fast, slow, num_views):
    p, t = draw(num_views)
    torch.testing.assert_close(fast(p, t), slow(p, t), rtol=1e-12, atol=1e-14)
    for mine, theirs in zip(torch.autograd.grad(fast(p, t), (p, t)), torch.autograd.grad(slow(p, t), (p, t))):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-14)


def test_cosine_forms_are_one_at_two_views_and_two_at_three():
    torch.testing.assert_close(cosine_to_others(*draw(2)), cosine_to_mean_of_others(*draw(2)), rtol=1e-12, atol=0)
    assert (cosine_to_others(*draw(3)) - cosine_to_mean_of_others(*draw(3))).abs() > 1e-3


@pytest.mark.parametrize("num_views", [2, 3])
def test_cosine_of_a_zero_vector_is_zero_and_leaves_the_others_a_gradient(num_views):
    p, t = (x.detach().clone() for x in draw(num_views))
    p[0, 1], t[1, 2] = 0, 0
    p.requires_grad_()
    unit = lambda x: F.normalize(x, dim=-1)
    expected = (unit(p) * (unit(t).sum(0) - unit(t))).sum(-1).mean() / (num_views - 1)
    torch.testing.assert_close(cosine_to_others(p, t), expected, rtol=1e-12, atol=0)
    (mine,), (theirs,) = (torch.autograd.grad(loss, p) for loss in (cosine_to_others(p, t), expected))
    torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("num_views", [2, 4])
def test_cosine_to_others_keeps_its_arguments_and_no_other_matrix(num_views):
    p, t = draw(num_views, dim=512)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        cosine_to_others(p, t.detach())
    assert {x.data_ptr() for x in kept if x.shape[-1] == 512} == {p.data_ptr(), t.data_ptr()}


def test_cosine_to_others_weighs_all_targets_alike_and_to_their_mean_by_length():
    p, t = (x.detach() for x in draw(3))
    longer = torch.cat((t[:1], 3 * t[1:2], t[2:]))
    torch.testing.assert_close(cosine_to_others(p, longer), cosine_to_others(p, t), rtol=1e-12, atol=0)
    assert (cosine_to_mean_of_others(p, longer) - cosine_to_mean_of_others(p, t)).abs() > 1e-3


@pytest.mark.parametrize("num_images", [2, 5, 9])
def test_dimensions_of_a_point_a_line_a_simplex_and_an_orthonormal_frame(num_images):
    eye = torch.eye(num_images, dtype=torch.float64).expand(3, -1, -1)
    point = torch.ones_like(eye) * torch.rand(3, num_images, 1).add(0.1)
    assert dimensions(point).item() == pytest.approx(1)
    sign = torch.ones(num_images, 1).double()
    sign[::2] = -1
    assert dimensions(point * sign).item() == pytest.approx(1)
    assert dimensions(eye - 1 / num_images).item() == pytest.approx(num_images - 1)
    assert dimensions(7 * eye).item() == pytest.approx(num_images)


def test_dimensions_are_the_participation_ratio_of_second_moments_and_take_no_gradient():
    z, _ = draw(1, num_images=7, dim=3)
    unit = F.normalize(z.detach()[0], dim=-1)
    values = torch.linalg.eigvalsh(unit.T @ unit)
    torch.testing.assert_close(dimensions(z), values.sum() ** 2 / values.square().sum(), rtol=1e-12, atol=0)
    assert not dimensions(z).requires_grad
