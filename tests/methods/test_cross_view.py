import pytest
import torch

from fastssl.methods.cross_view import cross_view_entropy


def slow_cross_view_entropy(targets, log_probs, own):
    """Pair by pair, image by image."""
    terms = []
    for g, target in enumerate(targets):
        for v, view in enumerate(log_probs):
            if v != own[g]:
                terms += [-torch.dot(p, q) for p, q in zip(target, view)]
    return torch.stack(terms).mean()


@pytest.mark.parametrize(
    ("num_views", "own"), [(2, [0, 1]), (2, [1]), (5, [0, 1]), (5, [3, 1]), (4, [0, 1, 2, 3]), (3, [1, 2])]
)
def test_cross_view_entropy_equals_the_sum_over_pairs_in_value_and_gradient(num_views, own):
    torch.manual_seed(0)
    targets = torch.randn(len(own), 4, 6).double().softmax(-1).requires_grad_()
    log_probs = torch.randn(num_views, 4, 6).double().log_softmax(-1).requires_grad_()
    fast, slow = (f(targets, log_probs, own) for f in (cross_view_entropy, slow_cross_view_entropy))
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    inputs = (targets, log_probs)
    for mine, theirs in zip(torch.autograd.grad(fast, inputs), torch.autograd.grad(slow, inputs)):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


def test_cross_view_entropy_refuses_targets_of_unknown_views():
    with pytest.raises(ValueError, match="zip"):
        cross_view_entropy(torch.ones(2, 1, 1), torch.ones(2, 1, 1), [0])
