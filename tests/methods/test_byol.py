import math

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.byol import BYOLConfig, byol_loss
from fastssl.optim import OptimConfig
from fastssl.types import DatasetInfo

INFO = DatasetInfo("toy", "train", "a", 12, 3, 8, 8, (0.5,) * 3, (0.2,) * 3)


def build(**options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5))
    sizes = {"projector_dim": 6, "projector_hidden": 7, "predictor_hidden": 8}
    return BYOLConfig(**(sizes | options)).build(encoder, 5, INFO)


def step(method, seed=0, num_views=2):
    generator = torch.Generator().manual_seed(seed)
    views = tuple(torch.randn(4, 3, 2, 2, generator=generator) for _ in range(num_views))
    return method(views, torch.arange(4), torch.arange(4))


def slow_byol(p, t):
    """Squared distance of unit vectors, pair of views by pair of views and image by image."""
    num_views, num_images, _ = p.shape
    losses = [
        sum((p[a, i] / p[a, i].norm() - t[c, i] / t[c, i].norm()) ** 2)
        for a in range(num_views)
        for c in range(num_views)
        if c != a
        for i in range(num_images)
    ]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("num_views", [2, 3, 4])
def test_byol_equals_the_equation_in_value_and_gradient(num_views):
    torch.manual_seed(0)
    p = torch.randn(num_views, 3, 5, dtype=torch.float64, requires_grad=True)
    t = torch.randn(num_views, 3, 5, dtype=torch.float64)
    fast, slow = byol_loss(p, t), slow_byol(p, t)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(fast, p)[0], torch.autograd.grad(slow, p)[0], rtol=1e-10, atol=1e-12)


def test_byol_at_two_views_is_half_of_what_the_authors_add_up():
    torch.manual_seed(1)
    p, t = torch.randn(2, 2, 4, 5, dtype=torch.float64)
    cosine = nn.CosineSimilarity(dim=-1)
    both = (2 - 2 * cosine(p[0], t[1])).mean() + (2 - 2 * cosine(p[1], t[0])).mean()
    torch.testing.assert_close(byol_loss(p, t), both / 2, rtol=1e-12, atol=0)


def test_byol_known_values():
    x = torch.eye(4, dtype=torch.float64).expand(3, -1, -1)
    assert byol_loss(2 * x, 3 * x).item() == pytest.approx(0)
    assert byol_loss(x, x.roll(1, 1)).item() == pytest.approx(2)
    assert byol_loss(x, -x).item() == pytest.approx(4)


def test_byol_sends_no_gradient_to_the_targets():
    t = torch.randn(2, 3, 5, requires_grad=True)
    p = torch.randn(2, 3, 5, requires_grad=True)
    assert torch.autograd.grad(byol_loss(p, t), t, allow_unused=True, materialize_grads=False)[0] is None
    method = build()
    step(method).loss.backward()
    assert all(p.grad is None for p in method.target.parameters())
    assert all(p.grad is not None for p in (*method.encoder.parameters(), *method.projector.parameters()))


def test_byol_module_compares_predictions_with_the_targets_of_the_slow_network():
    method = build()
    with torch.no_grad():
        for p in method.target.parameters():
            p.mul_(0.5)
    views = tuple(torch.randn(4, 3, 2, 2) for _ in range(3))
    output = method(views, torch.arange(4), torch.arange(4))
    stack = torch.cat(views)
    p = method.predictor(method.projector(method.encoder(stack))).view(3, 4, 6)
    torch.testing.assert_close(output.loss, byol_loss(p, method.target(stack).view(3, 4, 6)))


def test_byol_target_starts_as_the_online_network_and_is_no_parameter_to_train():
    method = build()
    online = (*method.encoder.parameters(), *method.projector.parameters())
    assert all(torch.equal(a, b) and a is not b for a, b in zip(method.target.parameters(), online, strict=True))
    trained = {id(p) for group in OptimConfig().build(method).param_groups for p in group["params"]}
    assert trained == {id(p) for p in (*online, *method.predictor.parameters())}
    assert {name for name in method.state_dict() if name.startswith("target.")}


@pytest.mark.parametrize(("progress", "kept"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0)])
def test_byol_target_follows_after_a_step_along_the_cosine(progress, kept):
    method = build(target_momentum=0.9)
    before = [p.clone() for p in method.target.parameters()]
    online = [*method.encoder.parameters(), *method.projector.parameters()]
    with torch.no_grad():
        for p in online:
            p.add_(torch.randn_like(p))
    method.on_step_end(3, progress)
    for slow, old, new in zip(method.target.parameters(), before, online, strict=True):
        torch.testing.assert_close(slow, kept * old + (1 - kept) * new)


def test_byol_target_normalises_by_its_batch_and_keeps_its_own_statistics():
    method = build()
    step(method)
    assert method.target.training
    assert method.target[0][2].num_batches_tracked == method.encoder[2].num_batches_tracked == 1


def test_byol_per_view_bn_passes_views_one_by_one_through_both_networks():
    losses = []
    for flag, passes in ((False, 1), (True, 2)):
        method = build(per_view_bn=flag)
        losses.append(step(method).loss.item())
        assert method.target[0][2].num_batches_tracked == method.encoder[2].num_batches_tracked == passes
        assert method.predictor[1].num_batches_tracked == passes
    assert losses[0] != losses[1]


def test_byol_heads_follow_their_options():
    method = build(projector_depth=3)
    widths = lambda head: [(m.in_features, m.out_features) for m in head if isinstance(m, nn.Linear)]
    assert widths(method.projector) == [(5, 7), (7, 7), (7, 6)]
    assert widths(method.predictor) == [(6, 8), (8, 6)]


@pytest.mark.parametrize(
    "bad",
    [{"target_momentum": 1.1}, {"target_momentum": -0.1}, {"target_momentum": math.nan}, {"predictor_hidden": 0}],
    ids=str,
)
def test_byol_config_refuses(bad):
    with pytest.raises(InputError, match=f"^{next(iter(bad))}="):
        BYOLConfig(**bad)
