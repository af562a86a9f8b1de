"""Measures of a spectrum against answers known beforehand."""

import math

import pytest
import torch

from fastssl.evals.spectrum import captured, effective_rank


def test_effective_rank_counts_equal_values_and_ignores_order_and_scale():
    assert effective_rank(torch.ones(7)).item() == pytest.approx(7)
    assert effective_rank(torch.tensor([0.0, 3.0, 0.0])).item() == pytest.approx(1)
    values = torch.tensor([4.0, 1.0, 2.0, 1.0])
    by_hand = math.exp(-sum(p * math.log(p) for p in (0.5, 0.125, 0.25, 0.125)))
    assert effective_rank(values).item() == pytest.approx(by_hand)
    assert effective_rank(1e6 * values.flip(0)).item() == pytest.approx(by_hand)


def test_effective_rank_of_nothing_is_zero_and_batches_stay_apart():
    assert effective_rank(torch.stack((torch.zeros(3), torch.ones(3)))).tolist() == pytest.approx([0, 3])


def test_captured_is_a_share_of_subspace_whatever_the_mixing():
    directions = torch.eye(10)[:4]
    mixing = torch.tensor([[2.0, 1, 0, 0], [0, 1, 5, 0], [0, 0, 1, 0], [1, 1, 1, 9]])
    assert captured(mixing @ directions, directions).item() == pytest.approx(1)
    assert captured(mixing[:3] @ directions, directions).item() == pytest.approx(0.75)
    assert captured(torch.eye(10)[4:], directions).item() == pytest.approx(0, abs=1e-6)
    half_way = (torch.eye(10)[:1] + torch.eye(10)[5:6]) / math.sqrt(2)
    assert captured(half_way, directions).item() == pytest.approx(0.5 / 4)


def test_captured_counts_a_direction_once_and_not_what_is_rounding():
    rows = torch.eye(10)[[0, 0, 1]]
    assert captured(rows, torch.eye(10)[:4]).item() == pytest.approx(0.5)
    assert captured(torch.zeros(3, 10), torch.eye(10)[:4]).item() == 0


def test_captured_of_random_rows_is_about_their_share():
    generator = torch.Generator().manual_seed(0)
    shares = [captured(torch.randn(8, 64, generator=generator), torch.eye(64)[:8]).item() for _ in range(30)]
    assert sum(shares) / 30 == pytest.approx(8 / 64, abs=0.02)
