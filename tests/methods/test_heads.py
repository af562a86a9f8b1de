import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.heads import Prototypes, projector, truncated_normal_


def kinds(head):
    return [(type(m).__name__, getattr(m, "out_features", None), getattr(m, "bias", None) is not None) for m in head]


def test_projector_of_depth_two_is_the_papers():
    assert kinds(projector(10, 7, 5)) == [
        ("Linear", 7, False),
        ("BatchNorm1d", None, True),
        ("ReLU", None, False),
        ("Linear", 5, True),
    ]


@pytest.mark.parametrize(("depth", "linears", "norms"), [(1, 1, 0), (2, 2, 1), (4, 4, 3)])
def test_projector_depth_counts_linear_layers(depth, linears, norms):
    head = projector(10, 7, 5, depth)
    assert sum(isinstance(m, nn.Linear) for m in head) == linears
    assert sum(isinstance(m, nn.BatchNorm1d) for m in head) == norms
    assert head(torch.randn(4, 10)).shape == (4, 5)


def test_projector_with_last_bn_standardises_its_outputs():
    head = projector(10, 7, 5, 2, last_bn=True)
    assert kinds(head)[3:] == [("Linear", 5, False), ("BatchNorm1d", None, True)]
    z = head(torch.randn(64, 10))
    assert z.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(z.var(0, unbiased=False), torch.ones(5), rtol=1e-3, atol=0)


def test_projector_whose_last_bn_is_not_affine_has_nothing_to_learn_there():
    head = projector(10, 7, 5, 2, last_bn=True, last_affine=False)
    assert list(head[-1].parameters()) == []
    assert head[-1].running_mean.shape == (5,)


def test_prototypes_give_cosines_whatever_the_lengths():
    head = Prototypes(4, 3)
    x = torch.randn(5, 4)
    expected = torch.cosine_similarity(x[:, None], head.weight[None], dim=-1)
    torch.testing.assert_close(head(7 * x), expected)
    with torch.no_grad():
        head.weight *= 3
    torch.testing.assert_close(head(x), expected)


def test_prototypes_take_no_gradient_while_frozen_but_their_input_does():
    head = Prototypes(4, 3)
    x = torch.randn(5, 4, requires_grad=True)
    free = head(x)
    head.frozen = True
    assert torch.equal(head(x), free)
    head(x).sum().backward()
    assert head.weight.grad is None
    torch.testing.assert_close(x.grad, torch.autograd.grad(free.sum(), x)[0])
    head.frozen = False
    head(x).sum().backward()
    assert head.weight.grad.abs().sum() > 0


def test_truncated_normal_draws_weights_within_bounds_and_clears_biases():
    head = truncated_normal_(projector(50, 80, 60, 3, bn=False))
    assert head[0].weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert all((layer.bias == 0).all() for layer in head if isinstance(layer, nn.Linear))
    assert 1.5 < truncated_normal_(nn.Linear(9, 9), std=1e6).weight.abs().max() <= 2.0


def test_projector_without_bn_keeps_its_biases():
    head = projector(10, 7, 5, 3, bn=False)
    assert [type(m) for m in head] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert all(m.bias is not None for m in head if isinstance(m, nn.Linear))


def test_projector_takes_another_activation():
    assert [type(m) for m in projector(10, 7, 5, 2, bn=False, activation=nn.GELU)] == [nn.Linear, nn.GELU, nn.Linear]


@pytest.mark.parametrize(("sizes", "name"), [((10, 7, 0), "dim"), ((10, 0, 5), "hidden"), ((10, 7, 5, 0), "depth")])
def test_projector_refuses_nothing_of_anything(sizes, name):
    with pytest.raises(InputError, match=f"projector_{name}=0"):
        projector(*sizes)
