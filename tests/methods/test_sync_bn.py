"""Synchronised BatchNorm over two processes is torch's BatchNorm of one process on the global batch."""

import copy

import pytest
import torch
from torch import nn
from two_ranks import BATCH, on_two_ranks, randn, sync_bn

from fastssl.methods.sync_bn import BatchNormOverRanks, sync_batch_norm


@pytest.fixture(scope="module")
def one_process():
    return sync_bn(None)


@pytest.mark.parametrize("name", ["1d", "2d", "plain"])
def test_layer_over_two_processes_is_batch_norm_of_the_whole_batch(name, one_process, two_ranks):
    close = {"rtol": 1e-8, "atol": 1e-10}  # the second step's values lie around 103
    (steps, state, evaluated), ranks = one_process[name], [found[name] for found in two_ranks["sync_bn"]]
    for step, (y, (dx, *dweights)) in enumerate(steps):
        torch.testing.assert_close(torch.cat([r[0][step][0] for r in ranks]), y, **close)
        torch.testing.assert_close(torch.cat([r[0][step][1][0] for r in ranks]), dx, **close)
        for i, slope in enumerate(dweights):  # each rank has its rows' part, as of any other layer
            torch.testing.assert_close(sum(r[0][step][1][1 + i] for r in ranks), slope, **close)
    for _, found, _ in ranks:
        assert found.keys() == state.keys()
        for key in state:
            torch.testing.assert_close(found[key], state[key], **close)
    if name != "plain":  # which has no statistics but those of its batch, then too
        torch.testing.assert_close(torch.cat([r[2] for r in ranks]), evaluated, **close)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Flatten(), nn.BatchNorm1d(144)))


def test_one_process_trains_the_same_to_the_bit_under_the_same_names():
    plain, synced = network(), network()
    parameters = list(synced.parameters())
    assert sync_batch_norm(synced, "cpu") is synced
    assert [type(synced[1]), type(synced[2][1])] == [BatchNormOverRanks] * 2
    assert all(a is b for a, b in zip(parameters, synced.parameters(), strict=True))
    x = randn(BATCH, 3, 8, 8).float()
    for module in (plain, synced):
        module(x).square().sum().backward()
        module.eval()
    assert plain.state_dict().keys() == synced.state_dict().keys()
    for a, b in zip(plain.state_dict().values(), synced.state_dict().values()):
        assert torch.equal(a, b)
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(plain.parameters(), synced.parameters()))
    assert torch.equal(plain(x), synced(x))


def test_exchanged_layers_copy_and_load():
    synced = sync_batch_norm(network(), "cpu")
    copied = copy.deepcopy(synced)
    copied.load_state_dict(network().state_dict(), strict=True)
    assert isinstance(copied[1], BatchNormOverRanks)
    assert copied[1].weight is not synced[1].weight


@pytest.mark.gpu
def test_torchs_layer_and_ours_agree_on_a_gpu(tmp_path):
    for torchs, ours in on_two_ranks(tmp_path, "cuda_sync_bn")["cuda_sync_bn"]:
        assert (torchs.pop("type"), ours.pop("type")) == ("SyncBatchNorm", "BatchNormOverRanks")
        torch.testing.assert_close(torchs, ours, rtol=1e-4, atol=1e-5)


def test_on_cuda_the_layers_are_those_of_torch():
    synced = sync_batch_norm(network(), "cuda")
    assert [type(synced[1]), type(synced[2][1])] == [nn.SyncBatchNorm] * 2
