import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.diet import DIETConfig, floor
from fastssl.methods.diet_heads import (
    CodeHead,
    LossOptions,
    RowsHead,
    code_base,
    code_digits,
    code_places,
    load_clusters,
)
from fastssl.optim import OptimConfig
from fastssl.types import DatasetInfo

N, DIM = 12, 5
CLUSTERS = np.array([0, 1, 2, 3] * 3)
HEADS = ("dense", "low_rank", "kmeans", "index_code")
every_head = pytest.mark.parametrize("head", HEADS)


@pytest.fixture
def build(tmp_path):
    """`build(head, num_samples, fingerprint, seed, **options)`: DIET on a linear encoder of 2 px images."""

    def make(head="dense", num_samples=N, fingerprint="a", seed=0, clusters=CLUSTERS, **options):
        np.save(tmp_path / "clusters.npy", np.resize(clusters, num_samples))
        own = {"low_rank": {"head_rank": 3}, "kmeans": {"targets": str(tmp_path / "clusters.npy")},
               "index_code": {"code_digits": 2}}.get(head, {})  # fmt: skip
        torch.manual_seed(seed)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, DIM))
        info = DatasetInfo("toy", "train", fingerprint, num_samples, 2, 8, 8, (0.5,) * 3, (0.2,) * 3)
        return DIETConfig(head=head, **{**own, **options}).build(encoder, DIM, info)

    return make


def batch(num_views=2, b=6):
    generator = torch.Generator().manual_seed(1)
    views = tuple(torch.randn(b, 3, 2, 2, generator=generator) for _ in range(num_views))
    return views, torch.randperm(N, generator=generator)[:b], torch.zeros(b, dtype=torch.int64)


def slow_cross_entropy(logits, target, eps):
    """Class by class, from the definition."""
    total = 0.0
    for row, aim in zip(logits, target):
        log_p = row - row.exp().sum().log()
        for j in range(len(row)):
            total = total - (eps / len(row) + (1 - eps) * (j == int(aim))) * log_p[j]
    return total / len(logits)


def slow_loss(method, z, index, eps):
    """The equation of each head, from its weights."""
    head = method.head
    if method.config.head == "dense":
        return slow_cross_entropy(z @ head.weight.T, index, eps)
    if method.config.head == "low_rank":
        return slow_cross_entropy(z @ (head.rows.weight @ head.down.weight).T, index, eps)
    if method.config.head == "kmeans":
        return slow_cross_entropy(z @ head.rows.weight.T, torch.from_numpy(CLUSTERS)[index], eps)
    base = 4  # the least with base ** 2 >= 12
    places = code_places(N)[index]
    rows = head.weight.view(2, base, DIM)
    return sum(slow_cross_entropy(z @ rows[d].T, places // base**d % base, eps) for d in (0, 1))


@every_head
@pytest.mark.parametrize("options", [{}, {"block_rows": 3}, {"label_smoothing": 0.1}, {"sharded": True}], ids=str)
def test_head_equals_its_equation_in_value_and_gradient(build, head, options):
    if head == "index_code" and "sharded" in options:
        return
    method = build(head, **options).double()
    views, index, labels = batch()
    views = tuple(view.double() for view in views)
    z = torch.stack([method.encoder(view) for view in views]).flatten(0, 1)
    slow = slow_loss(method, z, index.repeat(2), method.config.label_smoothing)
    fast = method(views, index, labels)
    torch.testing.assert_close(fast.loss, slow, rtol=1e-12, atol=1e-12)
    params = list(method.parameters())
    for mine, theirs in zip(torch.autograd.grad(fast.loss, params), torch.autograd.grad(slow, params)):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(fast.logs["loss_minus_floor"], fast.loss.detach() - method.floor)


@every_head
def test_head_reaches_its_floor_and_no_less(build, head):
    # Free embeddings, wide enough to tell all samples apart.
    method = build(head, label_smoothing=0.5)
    config = dataclasses.replace(method.config, head_rank=N if head == "low_rank" else None)
    free_head = config.build_head(N, N).double()
    z = torch.randn(N, N, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    optimizer = torch.optim.Adam([z, *free_head.parameters()], lr=0.05, fused=True)
    for _ in range(400):
        optimizer.zero_grad()
        loss = free_head(z, torch.arange(N))
        loss.backward()
        optimizer.step()
    least = {"kmeans": floor(4, 0.5), "index_code": 2 * floor(4, 0.5)}.get(head, floor(N, 0.5))
    assert free_head.floor == pytest.approx(least)
    assert loss.item() == pytest.approx(least, abs=1e-4)


@every_head
def test_head_state_is_tied_to_its_dataset(build, head):
    state = build(head).state_dict()
    build(head, seed=1).load_state_dict(state, strict=True)
    with pytest.raises(InputError, match="num_samples=12 of the saved DIET head is not the 16 of this one"):
        build(head, 16).load_state_dict(state)
    with pytest.raises(InputError, match="fingerprint=a of the saved DIET head is not the b of this one"):
        build(head, fingerprint="b").load_state_dict(state)


@every_head
def test_head_state_survives_a_round_trip_through_a_file(build, head, tmp_path):
    method = build(head)
    torch.save(method.state_dict(), tmp_path / "state.pt")
    other = build(head, seed=1)
    assert not torch.equal(other(*batch()).loss, method(*batch()).loss)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True), strict=True)
    assert torch.equal(other(*batch()).loss, method(*batch()).loss)


def test_state_of_another_list_of_clusters_or_another_code_is_refused(build):
    with pytest.raises(InputError, match=r"targets=.* of the saved DIET head is not the"):
        build("kmeans").load_state_dict(build("kmeans", clusters=CLUSTERS[::-1]).state_dict())
    two, three = build("index_code", 36), build("index_code", 36, code_digits=3)
    assert two.head.weight.shape == three.head.weight.shape == (12, DIM)
    with pytest.raises(
        InputError, match="code=3 digits in base 4 of the saved DIET head is not the 2 digits in base 6"
    ):
        two.load_state_dict(three.state_dict())
    with pytest.raises(InputError, match="code=2 digits in base 6 of the saved DIET head is not the none"):
        build("dense", 36).load_state_dict(two.state_dict())


@every_head
def test_head_has_its_own_learning_rate_and_weight_decay(build, head):
    method = build(head, head_lr_scale=2.0, head_weight_decay_scale=0.5)
    groups = OptimConfig(lr=1e-3, weight_decay=0.1).build(method).param_groups
    rates = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(rates) == len(list(method.parameters()))
    assert {rates[id(p)] for p in method.head.parameters()} == {(2e-3, 0.05)}
    assert rates[id(method.encoder[1].weight)] == (1e-3, 0.1)


@every_head
def test_head_waits_for_no_value_of_the_device(build, head, monkeypatch):
    method, inputs = build(head), batch()

    def waits(*args, **kwargs):
        raise AssertionError("the training line read a value from the device")

    for name in ("item", "cpu", "tolist", "numpy", "__float__", "__int__", "__bool__", "__index__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, waits)
    method(*inputs).loss.backward()


def test_memory_counts_every_number(build):
    four = lambda numbers: 4 * 4 * numbers  # float32 weights, gradient, two states
    logits = lambda rows: 4 * 12 * rows
    assert build("dense").memory_bytes(6, 2) == four(N * DIM) + logits(N)
    assert build("low_rank").memory_bytes(6, 2) == four(3 * DIM + 3 * N) + logits(N)
    assert build("kmeans").memory_bytes(6, 2) == four(4 * DIM) + logits(4) + 8 * N
    assert build("index_code").memory_bytes(6, 2) == four(8 * DIM) + logits(8) + 8 * N
    for head in HEADS:
        method = build(head, head_rank=3 if head == "low_rank" else None)
        assert method.memory_bytes(6, 1, optimiser_states=0) > 8 * sum(p.numel() for p in method.head.parameters())


def test_memory_at_imagenet_size_is_what_the_table_says():
    with torch.device("meta"):
        n, k, options = 1_281_167, 512, LossOptions(label_smoothing=0.8)
        assert RowsHead(k, n, options).memory_bytes(256) == pytest.approx(10.5e9, rel=0.01)
        assert RowsHead(64, n, options).memory_bytes(256) == pytest.approx(1.3e9, rel=0.03)
        assert RowsHead(k, 10_000, options).memory_bytes(256) + 8 * n == pytest.approx(0.10e9, rel=0.05)
    assert CodeHead(k, n, 2, options).memory_bytes(256) == pytest.approx(0.03e9, rel=0.15)


def test_dense_rows_start_as_a_linear_layer_does():
    torch.manual_seed(0)
    linear = nn.Linear(DIM, 1000, bias=False)
    torch.manual_seed(0)
    assert torch.equal(RowsHead(DIM, 1000, LossOptions(label_smoothing=0.8)).weight, linear.weight)


@pytest.mark.parametrize(("num_samples", "digits", "base"), [(12, 2, 4), (16, 2, 4), (17, 2, 5), (1_281_167, 2, 1132),
                         (1_281_167, 3, 109), (1000, 3, 10), (1001, 3, 11), (2**20, 20, 2), (2, 1, 2)])  # fmt: skip
def test_code_base_is_the_least_that_tells_samples_apart(num_samples, digits, base):
    assert code_base(num_samples, digits) == base
    assert base**digits >= num_samples
    assert base == 2 or (base - 1) ** digits < num_samples


def test_codes_are_distinct_and_spell_a_fixed_permutation():
    places = code_places(1000)
    assert torch.equal(places.sort().values, torch.arange(1000))
    assert torch.equal(places, code_places(1000))
    digits = code_digits(places, 10, 3)
    assert torch.equal(digits[0] + 10 * digits[1] + 100 * digits[2], places)
    assert torch.equal(digits.flatten().bincount(), torch.full((10,), 300))


def test_codes_of_neighbours_share_digits_no_more_often_than_any():
    digits = code_digits(code_places(100_000), 47, 3)
    for step in (1, 2, 47, 47**2):
        shared = (digits[:, step:] == digits[:, :-step]).double().mean(1)
        assert (shared - 1 / 47).abs().max() < 0.002  # four standard deviations


def test_loss_of_a_code_starts_at_about_log_n():
    head = CodeHead(4, 50_000, 2, LossOptions(label_smoothing=0.8))
    nn.init.zeros_(head.weight)
    loss = head(torch.ones(3, 4), torch.tensor([0, 7, 49_999]))
    assert loss.item() == pytest.approx(2 * np.log(224), abs=1e-4)  # log 50,000 = 10.820, 2 log 224 = 10.823


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "targets=.* cannot be read"),
        (b"0 1 2", "targets=.* cannot be read"),
        (np.array(["a", "b"] * 6), "holds <U1"),
        (np.linspace(0, 1, 12), "holds float64"),
        (np.zeros((12, 1), dtype=int), r"of shape \(12, 1\)"),
        (np.arange(11), "lists 11 clusters for 12 samples"),
        (np.arange(12) + 1, "12 different ids from 1 to 12"),
        (np.arange(12) - 1, "12 different ids from -1 to 10"),
        (np.array([0, 2] * 6), "2 different ids from 0 to 2"),
        (np.zeros(12, dtype=int), "1 different ids from 0 to 0"),
    ],
)
def test_clusters_that_do_not_fit_are_refused(tmp_path, content, complaint):
    path = tmp_path / "clusters.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(InputError, match=complaint):
        load_clusters(str(path), 12)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_clusters_may_be_integers_of_any_width(tmp_path, dtype):
    np.save(tmp_path / "clusters.npy", CLUSTERS.astype(dtype))
    found = load_clusters(str(tmp_path / "clusters.npy"), 12)
    assert found.dtype == np.int64
    assert (found == CLUSTERS).all()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"head": "low_rank"}, "head=low_rank needs head_rank"),
        ({"head": "kmeans"}, "head=kmeans needs targets"),
        ({"head": "index_code"}, "head=index_code needs code_digits"),
        ({"head_rank": 4}, "head_rank=4 has no effect on head=dense"),
        ({"head": "low_rank", "head_rank": 4, "code_digits": 2}, "code_digits=2 has no effect on head=low_rank"),
        ({"head": "low_rank", "head_rank": 4, "targets": "a.npy"}, "targets=a.npy has no effect"),
        ({"head": "low_rank", "head_rank": 0}, "head_rank=0 leaves"),
        ({"head": "index_code", "code_digits": 1}, "code_digits=1 is no code"),
        ({"head": "index_code", "code_digits": 2, "sharded": True}, "sharded=True has no effect on head=index_code"),
    ],
)
def test_config_refuses_what_has_no_effect(options, complaint):
    with pytest.raises(InputError, match=complaint):
        DIETConfig(**options)


def test_more_digits_than_a_binary_code_are_refused(build):
    build("index_code", code_digits=4)
    with pytest.raises(InputError, match="code_digits=5 has digits to spare for 12 samples; give 4 or fewer"):
        build("index_code", code_digits=5)


def test_head_is_float32_under_autocast(build):
    for head in HEADS:
        method = build(head)
        with torch.autocast("cpu", torch.bfloat16):
            loss = method(*batch()).loss
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, method(*batch()).loss, rtol=0.02, atol=0)


def test_cross_entropy_of_clusters_is_torchs(build):
    method = build("kmeans")
    views, index, labels = batch(1)
    logits = method.encoder(views[0]) @ method.head.rows.weight.T
    expected = F.cross_entropy(logits, torch.from_numpy(CLUSTERS)[index], label_smoothing=0.8)
    torch.testing.assert_close(method(views, index, labels).loss, expected)
