import copy
import math

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods import swav
from fastssl.methods.swav import SwAVConfig, sinkhorn, swav_loss
from fastssl.types import DatasetInfo

INFO = DatasetInfo("toy", "train", "fingerprint", 8, 2, 8, 8, (0.5,) * 3, (0.2,) * 3)
SMALL = {"num_prototypes": 7, "projector_hidden": 8, "projector_dim": 6}
INDEX = torch.arange(4)


def build(**options):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return SwAVConfig(**SMALL | options).build(encoder, 5, INFO)


def crops(sizes=(8, 8, 6, 6, 6), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(4, 3, s, s, generator=generator) for s in sizes)


def step(method, number, progress, sizes=(8, 8)):
    method.on_step_start(number, progress)
    output = method(crops(sizes, seed=number), INDEX, INDEX)
    method.on_step_end(number, progress)
    return output.loss


def embeddings(method, views):
    """Unit embeddings of the views, one pass per size as in training; leaves the statistics of BatchNorm moved."""
    sizes = dict.fromkeys(v.shape[-1] for v in views)
    z = torch.cat([method.encoder(torch.cat([v for v in views if v.shape[-1] == s])) for s in sizes])
    return nn.functional.normalize(method.projector(z), dim=-1).unflatten(0, (len(views), -1))


def slow_sinkhorn(scores, epsilon, iterations):
    """The paper's algorithm, prototype by prototype and image by image, with its masses 1/K and 1/N."""
    num_images, num_prototypes = scores.shape
    q = (scores / epsilon).exp()
    q = q / q.sum()
    for _ in range(iterations):
        for k in range(num_prototypes):
            q[:, k] = q[:, k] / q[:, k].sum() / num_prototypes
        for b in range(num_images):
            q[b] = q[b] / q[b].sum() / num_images
    return q * num_images


def slow_swav(scores, codes, own, temperature):
    terms = []
    for g, v in ((g, v) for g in range(len(codes)) for v in range(len(scores)) if v != own[g]):
        for q, s in zip(codes[g], scores[v]):
            p = (s / temperature).exp() / (s / temperature).exp().sum()
            terms.append(-sum(q[k] * p[k].log() for k in range(len(q))))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_sinkhorn_equals_the_slow_one(iterations):
    torch.manual_seed(0)
    scores = torch.rand(2, 9, 4, dtype=torch.float64) * 2 - 1
    expected = torch.stack([slow_sinkhorn(view.clone(), 0.05, iterations) for view in scores])
    torch.testing.assert_close(sinkhorn(scores, 0.05, iterations), expected, rtol=1e-12, atol=1e-15)


def test_sinkhorn_marginals_are_even():
    torch.manual_seed(0)
    codes = sinkhorn(torch.rand(1, 12, 4, dtype=torch.float64), 0.05, 200)[0]
    torch.testing.assert_close(codes.sum(1), torch.ones(12).double(), rtol=1e-14, atol=0)
    torch.testing.assert_close(codes.sum(0), torch.full((4,), 12 / 4).double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(sinkhorn(torch.ones(1, 5, 4)), torch.full((1, 5, 4), 0.25))


def test_sinkhorn_survives_scores_that_overflow_the_exponential():
    scores = torch.tensor([[[300.0, -300.0], [-300.0, 300.0]]])
    torch.testing.assert_close(sinkhorn(scores, 0.01), torch.eye(2)[None])


def sinkhorn_of_logarithms(scores, epsilon, iterations):
    """What neither overflows nor underflows."""
    log_codes = scores.double() / epsilon
    for _ in range(iterations):
        log_codes = log_codes - log_codes.logsumexp(1, keepdim=True)
        log_codes = log_codes - log_codes.logsumexp(2, keepdim=True)
    return log_codes.exp()


@pytest.mark.parametrize("spread", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("iterations", [1, 2, 3, 4, 100])
def test_sinkhorn_in_float32_is_that_of_logarithms_for_any_scores(spread, iterations):
    torch.manual_seed(0)
    scores = spread * torch.randn(2, 40, 7)
    scores[:, :3] -= 9 * spread  # images far from every prototype, and one prototype far from every image
    scores[:, :, 0] -= 20 * spread
    codes = sinkhorn(scores, 0.05, iterations)
    exact = sinkhorn_of_logarithms(scores, 0.05, iterations)
    # Scores of 1e5 epsilons are known to some 1e-2 epsilons in float32.
    torch.testing.assert_close(codes.double(), exact, rtol=0, atol=1e-5 + 1e-4 * spread)
    torch.testing.assert_close(codes.sum(-1), torch.ones(2, 40))


def test_sinkhorn_takes_no_gradient_and_leaves_the_scores_as_they_are():
    scores = torch.randn(2, 9, 4, requires_grad=True)
    before = scores.detach().clone()
    assert not sinkhorn(scores, empty=torch.zeros(2, 9, dtype=torch.bool)).requires_grad
    assert torch.equal(scores, before)


def test_sinkhorn_without_the_empty_rows_is_that_of_the_others():
    torch.manual_seed(0)
    scores = torch.rand(2, 9, 4)
    empty = (torch.arange(9) >= 6).expand(2, -1)
    scores[:, 6:] += 5  # the largest of every prototype: they count for nothing even so
    for epsilon, iterations in ((0.05, 3), (0.005, 3), (0.05, 4)):
        codes = sinkhorn(scores, epsilon, iterations, empty)
        torch.testing.assert_close(codes[:, :6], sinkhorn(scores[:, :6], epsilon, iterations))
        assert codes.isfinite().all()


@pytest.mark.parametrize(("num_views", "own"), [(2, [0, 1]), (5, [0, 1]), (4, [1, 3])])
def test_swav_equals_the_equation_in_value_and_gradient(num_views, own):
    torch.manual_seed(0)
    scores = torch.rand(num_views, 3, 6, dtype=torch.float64, requires_grad=True)
    codes = torch.rand(len(own), 3, 6, dtype=torch.float64).softmax(-1)
    fast, slow = swav_loss(scores, codes, own, 0.1), slow_swav(scores, codes, own, 0.1)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    grads = [torch.autograd.grad(loss, scores)[0] for loss in (fast, slow)]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


def test_swav_collapse_is_log_of_the_prototypes_at_best():
    scores = torch.zeros(2, 5, 7, dtype=torch.float64)
    assert swav_loss(scores, sinkhorn(scores), [0, 1]).item() == pytest.approx(math.log(7), rel=1e-12)
    torch.manual_seed(0)
    same = torch.randn(7).double().expand(2, 5, 7)
    assert swav_loss(same, sinkhorn(same), [0, 1]).item() > math.log(7) + 1


def test_swav_takes_codes_of_the_large_crops_and_predicts_from_all():
    method, views = build(), crops()
    output = method(views, INDEX, INDEX)
    with torch.no_grad():
        z = embeddings(method, views)
        scores = z @ nn.functional.normalize(method.prototypes.weight, dim=-1).T
    codes = torch.stack([slow_sinkhorn(view.clone(), 0.05, 3) for view in scores[:2]])
    torch.testing.assert_close(output.loss, slow_swav(scores, codes, [0, 1], 0.1))
    torch.testing.assert_close(output.logs["code_entropy"], torch.special.entr(codes).sum(-1).mean())


def test_swav_gradient_passes_through_the_predictions_alone():
    torch.manual_seed(0)
    method, views = build(freeze_prototypes_fraction=0.0).double(), tuple(v.double() for v in crops((8, 8)))
    output = method(views, INDEX, INDEX)
    scores = method.prototypes(embeddings(method, views).flatten(0, 1)).view(2, 4, 7)
    expected = swav_loss(scores, sinkhorn(scores.detach()), [0, 1], 0.1)
    mine, theirs = (torch.autograd.grad(loss, list(method.parameters())) for loss in (output.loss, expected))
    for a, b in zip(mine, theirs):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_swav_prototypes_stand_still_for_their_share_of_the_run():
    method = build(freeze_prototypes_fraction=0.1)
    for number, progress, frozen in ((0, 0.0, True), (9, 0.09, True), (10, 0.1, False)):
        method.zero_grad(set_to_none=True)
        step(method, number, progress).backward()
        assert (method.prototypes.weight.grad is None) == frozen
        assert method.projector[0].weight.grad is not None


def test_swav_queue_holds_the_latest_embeddings_first():
    method = build(queue_length=10)
    seen = []
    for number in range(4):
        step(method, number, 0.0)
        seen.insert(0, method.batch)
        expected = torch.cat(seen, 1)[:, :10]
        assert torch.equal(method.queue[:, : expected.shape[1]], expected)
        assert (method.queue[:, expected.shape[1] :] == 0).all()
    torch.testing.assert_close(method.queue.norm(dim=-1), torch.ones(2, 10))


@pytest.mark.parametrize("filled", [1, 3])
def test_swav_queue_takes_part_in_the_codes_once_it_may(filled):
    method, plain, views = build(queue_length=10, queue_start=0.5), build(), crops((8, 8), seed=9)
    for number in range(filled):
        step(method, number, 0.0)
    outputs = []
    for progress in (0.49, 0.5):
        method.on_step_start(filled, progress)
        outputs.append(method(views, INDEX, INDEX).loss)
    assert torch.equal(outputs[0], plain(views, INDEX, INDEX).loss)
    with torch.no_grad():
        seen = torch.cat((embeddings(method, views), method.queue[:, : 4 * filled]), 1)
        scores = seen @ nn.functional.normalize(method.prototypes.weight, dim=-1).T
    codes = torch.stack([slow_sinkhorn(view.clone(), 0.05, 3) for view in scores])[:, :4]
    torch.testing.assert_close(outputs[1], slow_swav(scores[:, :4], codes, [0, 1], 0.1))


def test_swav_checkpoint_carries_the_queue():
    method, other = build(queue_length=10, queue_start=0.5), build(queue_length=10, queue_start=0.5)
    for number in range(3):
        step(method, number, 0.1)
    other.load_state_dict(copy.deepcopy(method.state_dict()), strict=True)
    assert torch.equal(other.queue, method.queue)
    assert torch.equal(step(method, 3, 0.6), step(other, 3, 0.6))


def test_swav_queue_refuses_another_number_of_global_views():
    with pytest.raises(InputError, match="global_views=None finds 3 views of the largest size and has queues for 2"):
        build(queue_length=10)(crops((8, 8, 8)), INDEX, INDEX)
    build(queue_length=10, global_views=3)(crops((8, 8, 8)), INDEX, INDEX)


def test_swav_codes_are_made_over_all_ranks(monkeypatch):
    torch.manual_seed(0)
    method, z = build(), torch.randn(2, 8, 6)
    whole = method._codes(z)
    monkeypatch.setattr(swav, "gather", lambda x, dim: nn.functional.normalize(z, dim=-1))
    for rank in (0, 1):
        monkeypatch.setattr(swav, "rank", lambda rank=rank: rank)
        torch.testing.assert_close(method._codes(z[:, 4 * rank : 4 * rank + 4]), whole[:, 4 * rank : 4 * rank + 4])


@pytest.mark.compile
def test_swav_with_a_queue_compiles_to_one_graph_per_stage_of_the_run():
    from torch._dynamo.testing import CompileCounter  # here, for it takes seconds

    torch.compiler.reset()
    counter = CompileCounter()
    method = build(queue_length=10, queue_start=0.5)
    twin = copy.deepcopy(method)
    compiled = torch.compile(twin, fullgraph=True, backend=counter)
    for number in range(8):
        twin.on_step_start(number, number / 8)
        loss = compiled(crops((8, 8), seed=number), INDEX, INDEX).loss
        twin.on_step_end(number, number / 8)
        torch.testing.assert_close(loss, step(method, number, number / 8))
    torch.testing.assert_close(twin.queue, method.queue)
    assert counter.frame_count == 3  # prototypes frozen; free; with the queue


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": 0.0},
        {"sinkhorn_epsilon": math.nan},
        {"sinkhorn_iterations": 0},
        {"freeze_prototypes_fraction": 2.0},
        {"queue_length": -1},
        {"queue_start": math.nan},
        {"num_prototypes": 1},
        {"global_views": 0},
    ],
)
def test_swav_config_refuses(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        SwAVConfig(**bad)
