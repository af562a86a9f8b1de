import pytest
import torch

from fastssl.methods.cross_view import cross_view_entropy, prediction_entropy


def slow_cross_view_entropy(targets, log_probs, own):
    """Pair by pair, image by image."""
    terms = []
    for g, target in enumerate(targets):
        for v, view in enumerate(log_probs):
            if v != own[g]:
                terms += [-torch.dot(p, q) for p, q in zip(target, view)]
    return torch.stack(terms).mean()


every_choice = pytest.mark.parametrize(
    ("num_views", "own"), [(2, [0, 1]), (2, [1]), (5, [0, 1]), (5, [3, 1]), (4, [0, 1, 2, 3]), (3, [1, 2]), (3, [2, 2])]
)


@every_choice
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


@every_choice
def test_prediction_entropy_equals_that_of_the_softmax_in_value_and_gradient(num_views, own):
    torch.manual_seed(0)
    targets = torch.randn(len(own), 4, 6).double().softmax(-1)
    logits = torch.randn(num_views, 4, 6).double().requires_grad_()
    fast = prediction_entropy(targets, logits, own, 0.1)
    slow = slow_cross_view_entropy(targets, (logits / 0.1).softmax(-1).log(), own)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(torch.autograd.grad(3 * fast, logits), torch.autograd.grad(3 * slow, logits)):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_prediction_entropy_of_half_precision_logits_is_computed_in_float32():
    torch.manual_seed(0)
    targets, half = torch.randn(2, 4, 64).softmax(-1), torch.randn(3, 4, 64).bfloat16().requires_grad_()
    full = half.detach().float().requires_grad_()
    losses = [prediction_entropy(targets, logits, [0, 1], 0.1) for logits in (half, full)]
    assert torch.equal(*losses)
    (mine,), (theirs,) = (torch.autograd.grad(loss, x) for loss, x in zip(losses, (half, full)))
    assert torch.equal(mine, theirs.bfloat16())


def test_prediction_entropy_keeps_its_arguments_alone():
    targets, logits = torch.full((2, 4, 6), 1 / 6), torch.randn(3, 4, 6, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        prediction_entropy(targets, logits, [0, 1], 0.1)
    assert [x.data_ptr() for x in kept if x.numel() > 4] == [targets.data_ptr(), logits.data_ptr()]


def test_prediction_entropy_refuses_targets_of_unknown_views():
    with pytest.raises(ValueError, match="zip"):
        prediction_entropy(torch.ones(2, 1, 1), torch.ones(2, 1, 1), [0], 0.1)
