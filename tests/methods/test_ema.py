import pytest
import torch
from torch import nn

from fastssl.methods.ema import cosine_momentum, follow, slow_copy


def test_slow_copy_starts_equal_and_takes_no_gradient():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    slow = slow_copy(network)
    assert all(torch.equal(a, b) and a is not b for a, b in zip(slow.parameters(), network.parameters()))
    assert not any(p.requires_grad for p in slow.parameters())
    assert all(p.requires_grad for p in network.parameters())


def test_follow_is_the_moving_average_of_the_weights():
    network = nn.Linear(3, 4)
    slow = slow_copy(network)
    expected = slow.weight.clone()
    for _ in range(5):
        with torch.no_grad():
            network.weight.add_(torch.randn_like(network.weight))
        follow(slow, network, 0.9)
        expected = 0.9 * expected + 0.1 * network.weight.detach()
    torch.testing.assert_close(slow.weight, expected)


def test_follow_with_momentum_zero_copies_and_with_one_stands_still():
    network, slow = nn.Linear(3, 4), nn.Linear(3, 4)
    before = slow.weight.clone()
    follow(slow, network, 1.0)
    assert torch.equal(slow.weight, before)
    follow(slow, network, 0.0)
    torch.testing.assert_close(slow.weight, network.weight)


@pytest.mark.parametrize(("progress", "expected"), [(0, 0.99), (0.5, 0.995), (1, 1.0), (1.2, 1.0), (-0.1, 0.99)])
def test_cosine_momentum_rises_from_its_base_to_one(progress, expected):
    assert cosine_momentum(0.99, progress) == pytest.approx(expected)
