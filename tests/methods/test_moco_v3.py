import math

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods import moco_v3
from fastssl.methods.moco_v3 import MoCoV3Config, moco_v3_loss
from fastssl.optim import OptimConfig
from fastssl.types import DatasetInfo

INFO = DatasetInfo("toy", "train", "a", 12, 3, 8, 8, (0.5,) * 3, (0.2,) * 3)


def build(**options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5))
    sizes = {"projector_dim": 6, "projector_hidden": 7, "predictor_hidden": 8}
    return MoCoV3Config(**(sizes | options)).build(encoder, 5, INFO)


def slow_moco(q, k, temperature, first=0):
    """Algorithm 1 of the paper, query by query; k is a constant."""
    num_views, num_images, _ = q.shape
    losses = []
    for a in range(num_views):
        for c in range(num_views):
            for i in range(num_images) if c != a else ():
                logits = [torch.cosine_similarity(q[a, i], key, dim=0) / temperature for key in k[c]]
                total = sum(logit.exp() for logit in logits)
                losses.append(-(logits[first + i].exp() / total).log() * 2 * temperature)
    return sum(losses) / len(losses)


@pytest.mark.parametrize(("num_views", "num_keys", "first"), [(2, 4, 0), (3, 4, 0), (4, 9, 5)])
def test_moco_v3_equals_the_equation_in_value_and_gradient(num_views, num_keys, first):
    torch.manual_seed(0)
    q = torch.randn(num_views, 4, 5, dtype=torch.float64, requires_grad=True)
    k = torch.randn(num_views, num_keys, 5, dtype=torch.float64)
    fast, slow = moco_v3_loss(q, k, 0.3, first), slow_moco(q, k, 0.3, first)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(fast, q)[0], torch.autograd.grad(slow, q)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("num_images", [2, 7])
def test_moco_v3_at_collapse_and_at_the_simplex(num_images):
    temperature, gap = 0.2, num_images / (num_images - 1)
    point = torch.ones(3, num_images, 4, dtype=torch.float64)
    assert moco_v3_loss(point, point, temperature).item() == pytest.approx(2 * temperature * math.log(num_images))
    simplex = (torch.eye(num_images, dtype=torch.float64) - 1 / num_images).expand(2, -1, -1)
    expected = 2 * temperature * math.log(1 + (num_images - 1) * math.exp(-gap / temperature))
    assert moco_v3_loss(simplex, simplex, temperature).item() == pytest.approx(expected, rel=1e-9)


def test_moco_v3_at_two_views_is_half_of_what_the_authors_add_up():
    torch.manual_seed(1)
    q, k = nn.functional.normalize(torch.randn(2, 2, 4, 5, dtype=torch.float64), dim=-1)
    both = sum(nn.functional.cross_entropy(q[a] @ k[1 - a].T / 0.2, torch.arange(4)) * 2 * 0.2 for a in range(2))
    torch.testing.assert_close(moco_v3_loss(q, k, 0.2), both / 2, rtol=1e-12, atol=0)


def test_moco_v3_over_two_processes_is_the_loss_of_their_batch():
    torch.manual_seed(2)
    q = torch.randn(3, 6, 5, dtype=torch.float64, requires_grad=True)
    k = torch.randn(3, 6, 5, dtype=torch.float64)
    whole = moco_v3_loss(q, k, 0.2)
    shares = (moco_v3_loss(q[:, :3], k, 0.2, 0) + moco_v3_loss(q[:, 3:], k, 0.2, 3)) / 2
    torch.testing.assert_close(shares, whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(shares, q)[0], torch.autograd.grad(whole, q)[0])


def test_moco_v3_module_gathers_the_keys_and_finds_its_own(monkeypatch):
    method = build()
    views = tuple(torch.randn(4, 3, 2, 2) for _ in range(3))
    stack = torch.cat(views)
    q = method.predictor(method.projector(method.encoder(stack))).view(3, 4, 6)
    k = method.target(stack).view(3, 4, 6)
    alone = method(views, torch.arange(4), torch.arange(4)).loss
    torch.testing.assert_close(alone, moco_v3_loss(q, k, 0.2))
    other = torch.randn(3, 4, 6)
    monkeypatch.setattr(moco_v3, "gather", lambda x, dim: torch.cat((other, x), dim))
    monkeypatch.setattr(moco_v3, "rank", lambda: 1)
    second = method(views, torch.arange(4), torch.arange(4)).loss
    torch.testing.assert_close(second, moco_v3_loss(q, torch.cat((other, k), 1), 0.2, 4))
    assert second > alone


def test_moco_v3_keys_take_no_gradient_and_their_network_is_not_trained():
    q, k = torch.randn(2, 2, 4, 5, requires_grad=True).unbind()
    assert torch.autograd.grad(moco_v3_loss(q, k, 0.2), k, allow_unused=True)[0] is None
    method = build()
    trained = {id(p) for group in OptimConfig().build(method).param_groups for p in group["params"]}
    assert not trained & {id(p) for p in method.target.parameters()}


@pytest.mark.parametrize(("progress", "kept"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0)])
def test_moco_v3_keys_network_follows_after_a_step_along_the_cosine(progress, kept):
    method = build(target_momentum=0.9)
    before = [p.clone() for p in method.target.parameters()]
    online = [*method.encoder.parameters(), *method.projector.parameters()]
    with torch.no_grad():
        for p in online:
            p.add_(torch.randn_like(p))
    method.on_step_end(3, progress)
    for slow, old, new in zip(method.target.parameters(), before, online, strict=True):
        torch.testing.assert_close(slow, kept * old + (1 - kept) * new)


def test_moco_v3_heads_end_in_a_batchnorm_without_scale_and_shift():
    method = build(projector_depth=3)
    widths = lambda head: [(m.in_features, m.out_features) for m in head if isinstance(m, nn.Linear)]
    assert widths(method.projector) == [(5, 7), (7, 7), (7, 6)]
    assert widths(method.predictor) == [(6, 8), (8, 6)]
    for head in (method.projector, method.predictor):
        assert isinstance(head[-1], nn.BatchNorm1d)
        assert not head[-1].affine
        assert all(m.bias is None for m in head if isinstance(m, nn.Linear))


@pytest.mark.parametrize(
    "bad", [{"temperature": 0.0}, {"target_momentum": 1.1}, {"target_momentum": math.nan}, {"predictor_hidden": 0}]
)
def test_moco_v3_config_refuses(bad):
    with pytest.raises(InputError, match=f"^{next(iter(bad))}="):
        MoCoV3Config(**bad)
