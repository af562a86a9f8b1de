import math
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.diet_memory import in_fresh_process
from fastssl.errors import InputError
from fastssl.methods.diet import DIETConfig, diet_loss, floor
from fastssl.methods.diet_loss import rows_memory_bytes, rows_per_block
from fastssl.types import DatasetInfo


def slow_diet(z, weight, target, eps):
    """Cross-entropy against the smoothed target, sample by sample and class by class."""
    total = 0.0
    for b in range(len(z)):
        logits = [torch.dot(z[b], row) for row in weight]
        log_sum = torch.stack(logits).exp().sum().log()
        for j, logit in enumerate(logits):
            share = eps / len(weight) + (1 - eps) * (j == int(target[b]))
            total = total - share * (logit - log_sum)
    return total / len(z)


def problem(num_samples=23, dim=5, batch=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)
    target = torch.randperm(num_samples, generator=generator)[:batch]
    return draw(batch, dim).requires_grad_(), draw(num_samples, dim).requires_grad_(), target


def info(num_samples=12, fingerprint="a"):
    return DatasetInfo("toy", "train", fingerprint, num_samples, 2, 8, 8, (0.5,) * 3, (0.2,) * 3)


def build(num_samples=12, fingerprint="a", **options):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    return DIETConfig(**options).build(encoder, 5, info(num_samples, fingerprint))


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.8, 1.0])
@pytest.mark.parametrize("block_rows", [1, 4, 22, 23, 1000, "auto"])
def test_diet_equals_dense_cross_entropy_in_value_and_gradient(eps, block_rows):
    z, weight, target = problem()
    streamed = diet_loss(z, weight, target, eps, block_rows)
    dense = F.cross_entropy(z @ weight.T, target, label_smoothing=eps)
    torch.testing.assert_close(streamed, dense, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(torch.autograd.grad(streamed, (z, weight)), torch.autograd.grad(dense, (z, weight))):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("num_samples", "batch"), [(2, 2), (9, 3)])
def test_diet_equals_the_equation_in_value_and_gradient(num_samples, batch):
    z, weight, target = problem(num_samples, batch=batch)
    fast, slow = diet_loss(z, weight, target, 0.8, 4), slow_diet(z, weight, target, 0.8)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(torch.autograd.grad(fast, (z, weight)), torch.autograd.grad(slow, (z, weight))):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_diet_gradient_holds_where_an_index_occurs_twice():
    z, weight, _ = problem(batch=4)
    target = torch.tensor([3, 3, 0, 3])
    assert torch.autograd.gradcheck(lambda a, b: 2 * diet_loss(a, b, target, 0.8, 6), (z, weight))


def test_diet_streaming_survives_logits_that_overflow_a_naive_sum():
    z, weight, target = problem()
    z, weight = (1e3 * z).detach().float(), weight.detach().float()
    dense = F.cross_entropy((z @ weight.T), target, label_smoothing=0.8)
    torch.testing.assert_close(diet_loss(z, weight, target, 0.8, 3), dense, rtol=1e-5, atol=0)


def test_diet_ignores_a_vector_added_to_every_row():
    z, weight, target = problem()
    shifted = weight + torch.arange(5.0)
    torch.testing.assert_close(
        diet_loss(z, shifted, target, 0.8, 4), diet_loss(z, weight, target, 0.8, 4), rtol=1e-12, atol=1e-12
    )


def test_diet_gradient_of_the_logits_sums_to_zero_over_classes():
    # With z the identity, dW' is the gradient of the logits.
    _, weight, _ = problem(num_samples=23, dim=5)
    (dweight,) = torch.autograd.grad(diet_loss(torch.eye(5).double(), weight, torch.arange(5), 0.8, 4), weight)
    torch.testing.assert_close(dweight.sum(0), torch.zeros(5).double(), atol=1e-15, rtol=0)


@pytest.mark.parametrize(
    ("num_samples", "value"), [(100, 4.1506), (5_000, 7.3129), (50_000, 9.1561), (1_281_167, 11.7510)]
)
def test_diet_floor_is_the_entropy_of_the_smoothed_target(num_samples, value):
    assert floor(num_samples, 0.8) == pytest.approx(value, abs=5e-5)
    assert floor(num_samples, 0.0) == 0.0
    assert floor(num_samples, 1.0) == pytest.approx(math.log(num_samples))


def test_diet_reaches_its_floor_at_the_optimal_gap():
    num_samples, eps = 50_000, 0.8
    gap = math.log(1 + (1 - eps) * num_samples / eps)
    assert gap == pytest.approx(9.434, abs=5e-4)
    weight = torch.zeros(num_samples, 1, dtype=torch.float64)
    weight[7] = gap
    loss = diet_loss(torch.ones(2, 1).double(), weight, torch.tensor([7, 7]), eps)
    assert loss.item() == pytest.approx(floor(num_samples, eps), abs=1e-9)


def test_diet_starts_at_log_n():
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    loss = diet_loss(z, torch.zeros(50_000, 3), torch.arange(4), 0.8)
    assert loss.item() == pytest.approx(10.820, abs=5e-4)


def test_diet_free_embeddings_reach_the_floor():
    torch.manual_seed(0)
    z, weight = (torch.randn(64, 64, dtype=torch.float64).mul(0.1).requires_grad_() for _ in range(2))
    optimizer = torch.optim.Adam([z, weight], lr=0.02, fused=True)
    for _ in range(1500):
        optimizer.zero_grad()
        loss = diet_loss(z, weight, torch.arange(64), 0.8, 40)
        loss.backward()
        optimizer.step()
    assert floor(64, 0.8) == pytest.approx(3.7800, abs=5e-5)
    assert loss.item() == pytest.approx(floor(64, 0.8), abs=1e-6)


def test_diet_off_target_gradient_vanishes_in_half_precision_but_not_here():
    num_samples, batch, eps = 50_000, 256, 0.8
    off_target = (1 - eps) / num_samples / batch
    assert off_target == pytest.approx(1.6e-8, rel=0.05)
    assert torch.tensor(off_target).half() == 0
    z = torch.ones(batch, 1, dtype=torch.float16)
    weight = torch.zeros(num_samples, 1, requires_grad=True)
    (dweight,) = torch.autograd.grad(diet_loss(z, weight, torch.zeros(batch, dtype=torch.int64), eps), weight)
    assert dweight.dtype == torch.float32
    torch.testing.assert_close(dweight[1:], torch.full_like(dweight[1:], batch * off_target), rtol=1e-3, atol=0)


class LiveMatrices(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts the tensors of a given number of columns, and of rows other than `but`, that are alive at a time."""

    def __init__(self, columns, but):
        super().__init__()
        self.columns, self.but, self.refs, self.most_rows = columns, but, [], 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.ndim == 2 and out.shape[1] == self.columns:
            self.refs.append(weakref.ref(out))
            alive = {t.data_ptr(): len(t) for r in self.refs if (t := r()) is not None and len(t) not in self.but}
            self.most_rows = max(self.most_rows, sum(alive.values()))
        return out


@pytest.mark.parametrize(("block_rows", "most"), [(16, 16), (48, 48), (64, 64), ("auto", 64)])
def test_diet_has_one_block_of_logits_alive_at_a_time(block_rows, most):
    z, weight, target = problem(num_samples=64, dim=5, batch=8)
    with LiveMatrices(columns=8, but=(5,)) as logits:  # (5, 8) is z transposed
        diet_loss(z, weight, target, 0.8, block_rows).backward()
    assert logits.most_rows == most


@pytest.mark.parametrize(("block_rows", "products"), [(16, 4), (64, 3), ("auto", 3)])
def test_diet_computes_logits_again_only_where_it_streams(block_rows, products):
    z, weight, target = problem(num_samples=64, dim=5, batch=8)
    with FlopCounterMode(display=False) as counter:
        diet_loss(z, weight, target, 0.8, block_rows).backward()
    assert counter.get_total_flops() == products * 2 * 64 * 5 * 8


def test_diet_auto_keeps_what_is_small_and_streams_the_rest():
    assert rows_per_block(50_000, 256) == 50_000
    assert rows_per_block(1_281_167, 256) == 16_384
    assert rows_per_block(1_281_167, 256, 1000) == 1000
    assert rows_per_block(12, 256, 1000) == 12
    assert rows_per_block(10, 1 << 30) == 1


@pytest.mark.slow
def test_diet_peak_memory_at_imagenet_size_is_the_gradient_and_a_few_blocks():
    # All logits would take 1,312 MB, and the dense cross-entropy three times that.
    measured = in_fresh_process(rows=1_281_167, dim=64, batch=256, block="auto")
    assert measured["gradient_bytes"] == 4 * 64 * (1_281_167 + 256)
    assert measured["rise_bytes"] - measured["gradient_bytes"] < 100e6


def test_diet_streamed_sum_over_a_million_rows_is_accurate():
    generator = torch.Generator().manual_seed(0)
    z, weight = (torch.randn(n, 4, generator=generator) for n in (3, 1_281_167))
    target = torch.tensor([0, 1_281_166, 7])
    dense = F.cross_entropy(z.double() @ weight.double().T, target, label_smoothing=0.8)
    streamed = diet_loss(z, weight, target, 0.8, 16_384)
    torch.testing.assert_close(streamed.double(), dense, rtol=1e-6, atol=0)


def test_diet_head_of_another_dataset_is_refused():
    state = build().state_dict()
    build().load_state_dict(state, strict=True)
    with pytest.raises(InputError, match="num_samples=12 of the saved DIET head is not the 13 of this one"):
        build(13).load_state_dict(state)
    with pytest.raises(InputError, match="fingerprint=a of the saved DIET head is not the b of this one"):
        build(fingerprint="b").load_state_dict(state)


def test_diet_refuses_an_empty_dataset():
    with pytest.raises(InputError, match="num_samples=0"):
        build(0)


def test_diet_logs_distance_to_the_floor_and_averages_views():
    method = build()
    torch.manual_seed(0)
    views = tuple(torch.randn(4, 3, 2, 2) for _ in range(3))
    index = torch.tensor([3, 0, 11, 5])
    output = method(views, index, index)
    singles = torch.stack([method((view,), index, index).loss for view in views])
    torch.testing.assert_close(output.loss, singles.mean())
    torch.testing.assert_close(output.logs["loss_minus_floor"], output.loss.detach() - floor(12, 0.8))


def test_diet_head_has_its_own_scales():
    ((params, scales),) = build(head_lr_scale=2.0, head_weight_decay_scale=0.5).param_group_overrides()
    assert [tuple(p.shape) for p in params] == [(12, 5)]
    assert scales == {"lr_scale": 2.0, "weight_decay_scale": 0.5}


def test_diet_memory_counts_head_gradient_states_and_one_block():
    assert rows_memory_bytes(1000, 10, 4, 100, 2) == 4 * (4 * 10_000 + 4 * 100)
    assert build(12).memory_bytes(4) == 4 * (4 * 60 + 4 * 12)
    assert build(12).memory_bytes(4, 2, optimiser_states=1) == 4 * (3 * 60 + 8 * 12)


@pytest.mark.parametrize(
    "bad",
    [{"label_smoothing": 1.1}, {"label_smoothing": math.nan}, {"head_lr_scale": -1.0}, {"block_rows": 0}],
)
def test_diet_config_refuses(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        DIETConfig(**bad)
