"""Feature extraction: order, mode, precision."""

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.evals.features import extract
from fastssl.types import Batch


class ShuffledLoader:
    """Six samples, two batches, out of order; image i is filled with i."""

    batch_size = 3

    def __init__(self, order=(4, 1, 5, 0, 3, 2)):
        self.order = order

    def epoch(self, number, start_step=0):
        for start in range(0, len(self.order), 3):
            index = torch.tensor(self.order[start : start + 3])
            images = index.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()
            yield Batch(images, index * 10, index)


def prepare(batch):
    return batch.images.float()


def make_encoder():
    encoder = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    encoder.train()
    encoder[1].eval()  # a frozen layer must stay frozen
    return encoder


def test_extract_orders_by_position_and_matches_a_plain_forward():
    encoder = make_encoder()
    features, labels = extract(encoder, ShuffledLoader(), prepare, torch.float32)
    images = torch.arange(6.0).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    assert labels.tolist() == [0, 10, 20, 30, 40, 50]
    torch.testing.assert_close(features, encoder.eval()(images).detach())
    assert features.dtype == torch.float32


def test_extract_restores_every_module_mode_even_after_a_failure():
    encoder = make_encoder()
    before = [m.training for m in encoder.modules()]
    extract(encoder, ShuffledLoader(), prepare)
    assert [m.training for m in encoder.modules()] == before
    with pytest.raises(ZeroDivisionError):
        extract(encoder, ShuffledLoader(), lambda batch: 1 / 0)
    assert [m.training for m in encoder.modules()] == before


def test_extract_leaves_batch_norm_statistics_alone_and_returns_usable_tensors():
    encoder = make_encoder()
    encoder[1].train()
    before = encoder[1].running_mean.clone()
    features, _ = extract(encoder, ShuffledLoader(), prepare)
    assert torch.equal(encoder[1].running_mean, before)
    (features * torch.ones(2, requires_grad=True)).sum().backward()  # refused for inference tensors


def test_extract_in_bfloat16_is_near_float32():
    encoder = make_encoder()
    exact, _ = extract(encoder, ShuffledLoader(), prepare, torch.float32)
    rounded, _ = extract(encoder, ShuffledLoader(), prepare, torch.bfloat16)
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, rtol=2e-2, atol=2e-2)


def test_extract_refuses_an_empty_loader():
    with pytest.raises(InputError, match="drop_last=False"):
        extract(make_encoder(), ShuffledLoader(order=()), prepare)
