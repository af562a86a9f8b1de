import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, kl_divergence

from fastssl.errors import InputError
from fastssl.methods import dissl
from fastssl.methods.dissl import DISSLConfig, dissl_loss, dissl_terms
from fastssl.types import DatasetInfo

INFO = DatasetInfo("toy", "train", "fingerprint", 8, 2, 8, 8, (0.5,) * 3, (0.2,) * 3)


def slow_dissl(teacher, student, lam=2.3, beta=0.8):
    """The equation: every ordered pair of views, image by image, class by class."""
    num_views, num_images, num_outputs = teacher.shape
    t = (teacher / 0.5).exp() / (teacher / 0.5).exp().sum(-1, keepdim=True)
    s = student.exp() / student.exp().sum(-1, keepdim=True)
    pairs = [(a, c) for a in range(num_views) for c in range(num_views) if a != c]
    distillation = invariance = marginal = 0.0
    for a, c in pairs:
        for b in range(num_images):
            for k in range(num_outputs):
                distillation = distillation - t[a, b, k] * s[c, b, k].log() / (len(pairs) * num_images)
                invariance = invariance - t[a, b, k] * t[c, b, k].log() / (len(pairs) * num_images)
    for a in range(num_views):
        for k in range(num_outputs):
            p = sum(t[a, b, k] for b in range(num_images)) / num_images
            marginal = marginal - p * p.log() / num_views
    return distillation - lam * marginal + beta * invariance


def logits(num_views=2, num_images=4, num_outputs=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda: torch.randn(num_views, num_images, num_outputs, dtype=torch.float64, generator=generator)
    return draw().requires_grad_(), draw().requires_grad_()


def sure_of(classes, num_outputs, dtype=torch.float64):
    """Logits, the same in two views, of a distribution spread evenly over the classes named for each image."""
    z = torch.full((2, len(classes), num_outputs), -1e4, dtype=dtype)
    return z.scatter_(2, torch.tensor(classes).expand(2, -1, -1), 0.0)


@pytest.mark.parametrize("num_views", [2, 3])
def test_dissl_equals_the_equation_in_value_and_gradient(num_views):
    teacher, student = logits(num_views)
    fast, slow = dissl_loss(teacher, student), slow_dissl(teacher, student)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(*(torch.autograd.grad(loss, (teacher, student)) for loss in (fast, slow))):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("num_views", [2, 3])
def test_dissl_decomposes_into_entropies_and_divergences(num_views):
    teacher, student = logits(num_views)
    t, s = Categorical(logits=teacher / 0.5), Categorical(logits=student)
    pairs = [(a, c) for a in range(num_views) for c in range(num_views) if a != c]
    between = lambda p, q: torch.stack([kl_divergence(Categorical(p[a]), Categorical(q[c])).mean() for a, c in pairs])
    marginal = Categorical(t.probs.mean(1)).entropy().mean()
    expected = 1.8 * t.entropy().mean() - 2.3 * marginal
    expected = expected + between(t.probs, s.probs).mean() + 0.8 * between(t.probs, t.probs).mean()
    torch.testing.assert_close(dissl_loss(teacher, student), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("num_images", "num_outputs", "known"), [(4, 16, None), (256, 16384, -4.852)])
def test_dissl_of_uniform_distributions(num_images, num_outputs, known):
    z = torch.zeros(2, num_images, num_outputs)
    loss = dissl_loss(z, z).item()
    assert loss == pytest.approx((1.8 - 2.3) * math.log(num_outputs), rel=1e-5)
    assert known is None or loss == pytest.approx(known, abs=5e-4)


def test_dissl_of_one_class_for_all_is_zero():
    z = sure_of([[3]] * 5, 8)
    assert dissl_loss(z, z).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("num_images", "num_outputs", "known"), [(4, 16, -3.1885), (256, 16384, -12.754)])
def test_dissl_of_a_class_for_each(num_images, num_outputs, known):
    z = sure_of([[b] for b in range(num_images)], num_outputs, torch.float32)
    loss = dissl_loss(z, z).item()
    assert loss == pytest.approx(-2.3 * math.log(num_images), rel=1e-5)
    assert loss == pytest.approx(known, abs=5e-4)


def test_dissl_minimum_spreads_each_image_over_its_share_of_the_classes():
    z = sure_of(torch.arange(16384).view(256, 64).tolist(), 16384, torch.float32)
    assert dissl_loss(z, z).item() == pytest.approx(-14.833, abs=5e-4)


@pytest.mark.parametrize(("lam", "minimum"), [(1.5, -2.0794), (1.8, -2.4953), (2.3, -3.8816)])
def test_dissl_minimum_over_free_logits(lam, minimum):
    teacher, student = (x.detach().mul(0.1).requires_grad_() for x in logits(2, 4, 16, seed=1))
    optimizer = torch.optim.Adam([teacher, student], lr=0.1)
    losses = []
    for _ in range(320):
        optimizer.zero_grad()
        loss = dissl_loss(teacher, student, lam)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert minimum - 5e-5 <= min(losses) < minimum + 5e-3


def test_dissl_teacher_is_not_detached_in_any_term_and_student_learns_from_distillation_alone():
    teacher, student = logits()
    for term in dissl_terms(teacher, student):
        assert torch.autograd.grad(term, teacher, retain_graph=True)[0].abs().max() > 1e-4
    grads = [torch.autograd.grad(dissl_loss(teacher, student, *w), student)[0] for w in [(2.3, 0.8), (9.0, 0.1)]]
    torch.testing.assert_close(*grads, rtol=1e-12, atol=0)
    assert grads[0].abs().max() > 1e-4


def test_dissl_gradient_is_finite_where_probabilities_underflow():
    teacher = sure_of([[0], [1]], 4, torch.float32).requires_grad_()
    student = torch.zeros_like(teacher, requires_grad=True)
    loss = dissl_loss(teacher, student)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(4) - 2.3 * math.log(2), rel=1e-5)
    assert teacher.grad.isfinite().all()


def test_dissl_marginal_is_that_of_all_ranks(monkeypatch):
    teacher, student = (x.detach() for x in logits(2, 6))
    whole = dissl_loss(teacher, student)
    halves = [(teacher[:, rows], student[:, rows]) for rows in (slice(0, 3), slice(3, 6))]
    marginal = torch.softmax(teacher / 0.5, -1).mean(1)
    monkeypatch.setattr(dissl, "mean_over_ranks", lambda p: marginal)
    torch.testing.assert_close(torch.stack([dissl_loss(*half) for half in halves]).mean(), whole, rtol=1e-12, atol=0)


def test_dissl_keeps_three_matrices_of_the_outputs_and_the_sums_over_views():
    teacher, student = (x.detach().float().requires_grad_() for x in logits(3, 8, 512))
    kept = {}

    def pack(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        dissl_loss(teacher, student)
    view = 8 * 512 * 4
    assert 9 * view <= sum(kept.values()) < 12.5 * view  # T, log T and log S of 3 views, and T's sum for two terms


def test_dissl_heads_are_a_perceptron_and_a_linear_map():
    method = DISSLConfig(num_outputs=32, teacher_hidden=10, head_rank=6).build(nn.Identity(), 5, INFO)
    shapes = lambda head: [
        (m.in_features, m.out_features, m.bias is not None) for m in head if hasattr(m, "in_features")
    ]
    assert shapes(method.teacher) == [(5, 10, False), (10, 6, False), (6, 32, True)]
    assert shapes(method.student) == [(5, 6, False), (6, 32, True)]
    assert [type(m) for m in method.teacher if isinstance(m, nn.ReLU)] == [nn.ReLU]
    assert not [m for m in method.student if isinstance(m, nn.ReLU)]
    assert all(
        (m.weight.abs() <= 2).all() and m.weight.std() < 0.03 for m in method.student if hasattr(m, "in_features")
    )


def test_dissl_refuses_weights_that_collapse_unless_told_so():
    for config in (DISSLConfig(max_entropy_weight=1.2), DISSLConfig(invariance_weight=1.4)):
        with pytest.raises(InputError, match=r"max_entropy_weight=.* collapses below 1 \+ invariance_weight = "):
            config.build(nn.Identity(), 5, INFO)
    small = {"num_outputs": 4, "head_rank": 2, "teacher_hidden": 2}
    DISSLConfig(max_entropy_weight=1.8, **small).build(nn.Identity(), 5, INFO)
    DISSLConfig(max_entropy_weight=1.2, allow_collapse=True, **small).build(nn.Identity(), 5, INFO)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_entropy_weight": math.nan},
        {"invariance_weight": -1.0},
        {"teacher_temperature": 0.0},
        {"num_outputs": 1},
        {"head_rank": 0},
        {"teacher_hidden": 0},
    ],
)
def test_dissl_config_refuses(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        DISSLConfig(**bad)
