import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.simsiam import SimSiamConfig, simsiam_loss
from fastssl.optim import OptimConfig, set_lr
from fastssl.types import DatasetInfo

INFO = DatasetInfo("toy", "train", "a", 12, 3, 8, 8, (0.5,) * 3, (0.2,) * 3)


def build(**options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5))
    sizes = {"projector_dim": 6, "projector_hidden": 7, "predictor_hidden": 3}
    return SimSiamConfig(**(sizes | options)).build(encoder, 5, INFO)


def slow_simsiam(p, z, multiview):
    """The equations of the two papers, view by view and image by image; z is a constant."""
    num_views, num_images, _ = p.shape
    losses = []
    for a in range(num_views):
        others = [c for c in range(num_views) if c != a]
        for i in range(num_images):
            targets = [z[c, i] for c in others] if multiview == "pairwise" else [sum(z[c, i] for c in others)]
            cosines = [sum(p[a, i] * t) / (p[a, i].norm() * t.norm()) for t in targets]
            losses.append(-sum(cosines) / len(cosines))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("multiview", ["pairwise", "mean_target"])
@pytest.mark.parametrize("num_views", [2, 3, 4])
def test_simsiam_equals_the_equation_in_value_and_gradient(num_views, multiview):
    torch.manual_seed(0)
    p = torch.randn(num_views, 3, 5, dtype=torch.float64, requires_grad=True)
    z = torch.randn(num_views, 3, 5, dtype=torch.float64)
    fast, slow = simsiam_loss(p, z, multiview), slow_simsiam(p, z, multiview)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(fast, p)[0], torch.autograd.grad(slow, p)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("multiview", ["pairwise", "mean_target"])
def test_simsiam_known_values(multiview):
    x = torch.eye(4, dtype=torch.float64).expand(3, -1, -1)
    assert simsiam_loss(2 * x, 3 * x, multiview).item() == pytest.approx(-1)
    assert simsiam_loss(x, x.roll(1, 1), multiview).item() == pytest.approx(0)
    assert simsiam_loss(x, -x, multiview).item() == pytest.approx(1)
    assert build().floor == -1


@pytest.mark.parametrize("multiview", ["pairwise", "mean_target"])
def test_simsiam_stops_the_gradient_of_the_targets(multiview):
    p, z = torch.randn(2, 3, 4, 5).unbind()
    p.requires_grad_(), z.requires_grad_()
    assert torch.autograd.grad(simsiam_loss(p, z, multiview), z, allow_unused=True)[0] is None


@pytest.mark.parametrize("multiview", ["pairwise", "mean_target"])
@pytest.mark.parametrize("per_view_bn", [False, True])
def test_simsiam_module_trains_on_its_loss(multiview, per_view_bn):
    method = build(multiview=multiview, per_view_bn=per_view_bn)
    views = tuple(torch.randn(4, 3, 2, 2) for _ in range(3))
    output = method(views, torch.arange(4), torch.arange(4))
    passes = views if per_view_bn else [torch.cat(views)]
    z = [method.projector(method.encoder(x)) for x in passes]
    p = torch.cat([method.predictor(x) for x in z]).view(3, 4, 6)
    expected = simsiam_loss(p, torch.cat(z).view(3, 4, 6), multiview)
    torch.testing.assert_close(output.loss, expected)
    mine = torch.autograd.grad(output.loss, method.parameters())
    for got, wanted in zip(mine, torch.autograd.grad(expected, method.parameters())):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


def test_simsiam_heads_are_the_authors():
    method = SimSiamConfig().build(nn.Flatten(), 12, INFO)
    widths = lambda head: [(m.in_features, m.out_features) for m in head if isinstance(m, nn.Linear)]
    assert widths(method.projector) == [(12, 12), (12, 12), (12, 2048)]
    assert widths(method.predictor) == [(2048, 512), (512, 2048)]
    assert isinstance(method.projector[-1], nn.BatchNorm1d)
    assert not method.projector[-1].affine
    assert isinstance(method.predictor[-1], nn.Linear)


@pytest.mark.parametrize(("schedule", "at_the_end"), [("constant", 0.1), ("run", 0.01)])
def test_simsiam_predictor_keeps_its_rate_unless_told_otherwise(schedule, at_the_end):
    method = build(predictor_schedule=schedule)
    optimizer = OptimConfig(optimiser="sgd", lr=0.1).build(method)
    set_lr(optimizer, 0.1)
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert [rate[id(p)] for p in method.predictor.parameters()] == pytest.approx([at_the_end] * 5)
    rest = (*method.encoder.parameters(), *method.projector.parameters())
    assert [rate[id(p)] for p in rest] == pytest.approx([0.01] * len(rest))


def test_simsiam_config_refuses():
    with pytest.raises(InputError, match=r"^predictor_hidden=0"):
        SimSiamConfig(predictor_hidden=0)
