import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.cissl import CISSLConfig, cissl_loss
from fastssl.types import DatasetInfo

INFO = DatasetInfo("toy", "train", "fingerprint", 8, 2, 4, 4, (0.5,) * 3, (0.2,) * 3)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def slow_cissl(student, teacher, temperature):
    """The paper's cross-entropy, row by row, against the explicit target."""
    num_views, num_images, _ = student.shape
    places = [(a, i) for a in range(num_views) for i in range(num_images)]
    loss = 0.0
    for a, i in places:
        terms = [(F.cosine_similarity(student[a, i], teacher[p], dim=0) / temperature).exp() for p in places]
        target = [1 / num_views if j == i else 0.0 for _, j in places]
        loss = loss - sum(share * (term / sum(terms)).log() for share, term in zip(target, terms) if share)
    return loss / len(places)


def simplex(num_images, num_views=2):
    eye = torch.eye(num_images, dtype=torch.float64)
    return (eye - 1 / num_images).expand(num_views, -1, -1)


@pytest.mark.parametrize(("num_views", "num_images"), [(2, 2), (2, 5), (3, 4)])
def test_cissl_equals_the_equation_in_value_and_gradient_of_both_heads(num_views, num_images):
    heads = draw(num_views, num_images, 6), draw(num_views, num_images, 6, seed=1)
    fast, slow = cissl_loss(*heads, 0.3), slow_cissl(*heads, 0.3)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=0)
    for mine, theirs in zip(torch.autograd.grad(fast, heads), torch.autograd.grad(slow, heads)):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-13)


def test_cissl_two_views_have_two_positives_of_one_half():
    student, teacher = draw(2, 5, 6), draw(2, 5, 6, seed=1)
    rows, columns = (F.normalize(head.flatten(0, 1), dim=1) for head in (student, teacher))
    log_q = (rows @ columns.T / 0.07).log_softmax(1)
    i = torch.arange(10)
    expected = -(log_q[i, i] + log_q[i, (i + 5) % 10]).mean() / 2
    torch.testing.assert_close(cissl_loss(student, teacher, 0.07), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("num_images", [2, 7, 32])
def test_cissl_collapse_is_log_2b(num_images):
    z = torch.ones(2, num_images, 4, dtype=torch.float64)
    assert cissl_loss(z, 3 * z, 0.07).item() == pytest.approx(math.log(2 * num_images), rel=1e-12)


@pytest.mark.parametrize(("num_images", "temperature"), [(2, 0.5), (5, 0.5), (16, 0.07)])
def test_cissl_at_the_simplex_is_above_log_2(num_images, temperature):
    gap = num_images / (num_images - 1)
    expected = math.log(2 + (2 * num_images - 2) * math.exp(-gap / temperature))
    z = simplex(num_images)
    assert cissl_loss(z, z, temperature).item() == pytest.approx(expected, rel=1e-12)
    assert expected > math.log(2)


def test_cissl_bound_is_log_of_the_views_and_not_0():
    assert cissl_loss(simplex(2), simplex(2), 0.01).item() == pytest.approx(math.log(2), rel=1e-12)
    assert cissl_loss(simplex(2, 4), simplex(2, 4), 0.01).item() == pytest.approx(math.log(4), rel=1e-12)
    for seed in range(5):
        assert cissl_loss(draw(2, 6, 3, seed=seed), draw(2, 6, 3, seed=9), 0.05) > math.log(2)


def test_cissl_is_not_symmetric_in_student_and_teacher():
    student, teacher = draw(2, 4, 3), draw(2, 4, 3, seed=1)
    assert abs(cissl_loss(student, teacher, 0.2) - cissl_loss(teacher, student, 0.2)) > 1e-3


def test_cissl_without_preference_is_log_2b():
    assert cissl_loss(draw(2, 6, 3), draw(2, 6, 3, seed=1), 1e9).item() == pytest.approx(math.log(12), rel=1e-8)


def test_cissl_does_not_care_for_order_of_images_or_views_or_for_length():
    student, teacher = draw(3, 7, 5), draw(3, 7, 5, seed=1)
    loss = cissl_loss(student, teacher, 0.2)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    length = torch.rand(3, 7, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    for other in (
        (student[:, order], teacher[:, order]),
        (student.flip(0), teacher.flip(0)),
        (student * length, teacher),
        (student, teacher * length),
    ):
        torch.testing.assert_close(cissl_loss(*other, 0.2), loss, rtol=1e-12, atol=0)
    assert abs(cissl_loss(student[:, order], teacher, 0.2) - loss) > 1e-3


def test_cissl_mean_over_parts_of_the_students_is_the_whole():
    student, teacher = draw(2, 6, 3), draw(2, 6, 3, seed=1)
    parts = [cissl_loss(student[:, first : first + 2], teacher, 0.2, first) for first in (0, 2, 4)]
    torch.testing.assert_close(sum(parts) / 3, cissl_loss(student, teacher, 0.2), rtol=1e-12, atol=0)


def test_cissl_heads_are_those_of_the_paper():
    method = CISSLConfig().build(nn.Identity(), 16, INFO)
    kinds = lambda head: [type(layer).__name__ for layer in head]
    assert kinds(method.student) == ["Linear", "BatchNorm1d"]
    assert kinds(method.teacher) == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]
    assert [tuple(p.shape) for p in method.student.parameters() if p.ndim == 2] == [(128, 16)]
    assert [tuple(p.shape) for p in method.teacher.parameters() if p.ndim == 2] == [(1024, 16), (128, 1024)]


def test_cissl_method_gives_all_its_parameters_the_gradient_of_its_loss():
    torch.manual_seed(0)
    method = CISSLConfig(temperature=0.3).build(nn.Flatten(), 48, INFO)
    views = tuple(torch.randn(5, 3, 4, 4) for _ in range(2))
    loss = method(views, torch.arange(5), torch.arange(5)).loss
    features = torch.cat(views).flatten(1)
    heads = [head(features).unflatten(0, (2, 5)) for head in (method.student, method.teacher)]
    torch.testing.assert_close(loss, cissl_loss(*heads, 0.3))
    loss.backward()
    assert all(p.grad.abs().sum() > 0 for head in (method.student, method.teacher) for p in head.parameters())


@pytest.mark.parametrize("temperature", [0.0, math.nan])
def test_cissl_config_refuses_a_temperature(temperature):
    with pytest.raises(InputError, match="temperature"):
        CISSLConfig(temperature=temperature)
