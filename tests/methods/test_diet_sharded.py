"""Rows of DIET's head over two processes, against one process that has them all."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.diet import DIETConfig, diet_loss
from fastssl.methods.diet_sharded import shard_bounds, sharded_diet_loss
from fastssl.types import DatasetInfo

WORLD, B, DIM = 2, 5, 4
CASES = [(23, 0.8, 4), (23, 0.8, "auto"), (22, 0.0, 3), (7, 1.0, 1), (2, 0.1, 1), (1000, 0.8, 300)]
MODULE_ROWS = 13
HEADS = {"dense": {}, "low_rank": {"head_rank": 3}, "kmeans": {}}


def problem(num_rows):
    """Embeddings of all ranks, the whole head, and targets: some twice, of both shards and of one alone."""
    draw = torch.Generator().manual_seed(num_rows)
    z, weight = (3 * torch.randn(n, DIM, generator=draw, dtype=torch.float64) for n in (WORLD * B, num_rows))
    target = torch.randint(num_rows, (WORLD * B,), generator=draw)
    target[:B] = target[:B] % (num_rows // 2)  # all in the first shard
    return z, weight, target


def module(head, folder, sharded):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, DIM))
    targets = {"targets": str(folder / "clusters.npy")} if head == "kmeans" else {}
    info = DatasetInfo("toy", "train", "a", MODULE_ROWS, 2, 8, 8, (0.5,) * 3, (0.2,) * 3)
    config = DIETConfig(head=head, sharded=sharded, block_rows=2, **HEADS[head], **targets)
    return config.build(encoder, DIM, info).double()


def module_batch():
    draw = torch.Generator().manual_seed(5)
    views = tuple(torch.randn(WORLD * B, 3, 2, 2, generator=draw, dtype=torch.float64) for _ in range(2))
    return views, torch.randperm(MODULE_ROWS, generator=draw)[: WORLD * B]


def on_one_rank(rank, folder):
    """Everything this rank computes, in a file: the parent compares."""
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=WORLD)
    mine = slice(rank * B, (rank + 1) * B)
    found = {"losses": [], "modules": {}}
    for num_rows, eps, block in CASES:
        z, weight, target = problem(num_rows)
        low, high = shard_bounds(num_rows)
        own_z, shard = z[mine].clone().requires_grad_(), weight[low:high].clone().requires_grad_()
        loss = sharded_diet_loss(own_z, shard, target[mine], num_rows, eps, block)
        dz, dshard = torch.autograd.grad(2 * loss, (own_z, shard))
        found["losses"].append({"bounds": (low, high), "loss": loss.detach(), "dz": dz, "dshard": dshard})
    for head in HEADS:
        method = module(head, folder, sharded=True)
        views, index = module_batch()
        loss = method(tuple(view[mine] for view in views), index[mine], index[mine]).loss
        loss.backward()
        whole = {id(p) for p in method.unreduced_parameters()}
        grads = {name: (p.grad, p.detach(), id(p) in whole) for name, p in method.named_parameters()}
        state = method.state_dict()["_extra_state"]
        found["modules"][head] = {"loss": loss.detach(), "grads": grads, "rows": state["rows"],
                                  "memory": method.memory_bytes(B)}  # fmt: skip
    try:
        shard_bounds(1)
    except InputError as error:
        found["refused"] = str(error)
    torch.save(found, folder / f"rank{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    np.save(folder / "clusters.npy", np.arange(MODULE_ROWS) % 5)
    torch.multiprocessing.spawn(on_one_rank, (folder,), nprocs=WORLD)
    return folder, [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(WORLD)]


@pytest.mark.parametrize("case", range(len(CASES)), ids=[str(case) for case in CASES])
def test_sharded_loss_and_gradients_are_the_dense_ones(ranks, case):
    num_rows, eps, _ = CASES[case]
    z, weight, target = problem(num_rows)
    z.requires_grad_(), weight.requires_grad_()
    dense = diet_loss(z, weight, target, eps, num_rows)
    dz, dweight = torch.autograd.grad(2 * dense, (z, weight))
    found = [one["losses"][case] for one in ranks[1]]
    close = {"rtol": 1e-12, "atol": 1e-13}
    for rank, one in enumerate(found):
        torch.testing.assert_close(one["loss"], dense.detach(), **close)
        torch.testing.assert_close(one["dshard"], dweight[slice(*one["bounds"])], **close)  # as it is, not averaged
        torch.testing.assert_close(one["dz"] / WORLD, dz[rank * B : (rank + 1) * B], **close)
    assert [one["bounds"] for one in found] == [(0, num_rows // 2), (num_rows // 2, num_rows)]


@pytest.mark.parametrize("head", HEADS)
def test_sharded_module_trains_as_one_process_does(ranks, head):
    folder, per_rank = ranks
    method = module(head, folder, sharded=False)
    views, index = module_batch()
    loss = method(views, index, index).loss
    loss.backward()
    found = [one["modules"][head] for one in per_rank]
    split = 0
    for name, p in method.named_parameters():
        grads, weights, whole = zip(*(one["grads"][name] for one in found))
        assert len(set(whole)) == 1
        if whole[0]:
            split += 1
            torch.testing.assert_close(torch.cat(weights), p.detach(), rtol=0, atol=0)
            torch.testing.assert_close(torch.cat(grads), p.grad, rtol=1e-10, atol=1e-14)
        else:  # what data-parallel training does
            torch.testing.assert_close(sum(grads) / WORLD, p.grad, rtol=1e-10, atol=1e-14)
    assert split == 1
    for one in found:
        torch.testing.assert_close(one["loss"], loss.detach(), rtol=1e-12, atol=0)
    total = {"dense": 13, "low_rank": 13, "kmeans": 5}[head]
    assert [one["rows"] for one in found] == [f"0 to {total // 2} of {total}", f"{total // 2} to {total} of {total}"]


def test_sharded_memory_is_that_of_the_shard_and_of_everyones_embeddings(ranks):
    found = [one["modules"]["dense"]["memory"] for one in ranks[1]]
    assert found == [4 * (4 * rows * DIM + WORLD * B * 2) for rows in (6, 7)]


def test_fewer_rows_than_ranks_are_refused(ranks):
    assert [one["refused"] for one in ranks[1]] == [
        "sharded=True splits 1 rows over 2 processes; run fewer of them"
    ] * 2


def test_one_process_holds_all_rows_and_has_nothing_to_leave_out_of_a_reduction(tmp_path):
    z, weight, target = problem(23)
    assert shard_bounds(23) == (0, 23)
    sharded = sharded_diet_loss(z, weight, target, 23, 0.8, 4)
    torch.testing.assert_close(sharded, diet_loss(z, weight, target, 0.8, 4), rtol=1e-14, atol=0)
    assert module("dense", tmp_path, sharded=False).unreduced_parameters() == []


def test_shard_of_another_place_is_refused(tmp_path):
    method = module("dense", tmp_path, sharded=True)
    state = method.state_dict()
    method.load_state_dict(state)
    state["_extra_state"]["rows"] = "0 to 6 of 13"
    with pytest.raises(InputError, match="rows=0 to 6 of 13 of the saved DIET head is not the 0 to 13 of 13"):
        method.load_state_dict(state)
