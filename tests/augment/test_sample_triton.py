"""The sampler of one launch draws what the torch sampler draws, to the bit (on the CPU: in Triton's interpreter)."""

import json
from importlib.util import find_spec

import pytest
import torch
from test_sample import FULL, GOLDEN, rows

from fastssl.augment.plan import plan_draws
from fastssl.augment.sample import sample_torch
from fastssl.views import ViewKey, ViewSpec

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SPECS = {
    "all": FULL,
    "plain": ViewSpec.plain(16),
    "crops that rarely fit": ViewSpec(size=48, crop_scale=(0.9, 1.0), crop_ratio=(0.2, 5.0)),
    "boxes that rarely fit": ViewSpec(size=9, erase_p=1.0, erase_scale=(0.8, 1.0), erase_ratio=(0.3, 3.3)),
    "whole numbers as strengths": ViewSpec(brightness=1, contrast=0, saturation=2, rotation=180, noise_p=1),
}
KEYS = {
    "first": (0, 0, 0),
    "largest": (2**64 - 1, 2**32 - 1, 0xFFF0),
    "a high bit": (2**63 + 5, 2**31, 0x8000),
}


def draw(specs, key, height, width):
    from fastssl.augment.sample_triton import sample_fused

    return sample_fused([plan_draws(spec, height, width) for spec in specs], key)


SIZES = ((31, 47), (375, 500), (20, 200))


@pytest.mark.parametrize(("numbers", "size"), [
    pytest.param(numbers, size, marks=[pytest.mark.slow] * (k != s), id=f"{name}-{size[0]}x{size[1]}")
    for k, (name, numbers) in enumerate(KEYS.items()) for s, size in enumerate(SIZES)
])  # fmt: skip
def test_draws_in_one_launch_are_bit_equal(numbers, size):
    seed, epoch, view = numbers
    index = torch.cat((torch.arange(70), torch.tensor([2**31, 2**32 - 1]))).to(DEVICE)
    key, specs = ViewKey(seed, epoch, view, index), list(SPECS.values())
    expected = sample_torch([plan_draws(spec, *size) for spec in specs], key)
    for name, ours, theirs in zip(SPECS, draw(specs, key, *size), expected, strict=True):
        assert torch.equal(ours.table, theirs.table), name


def test_draws_in_one_launch_are_those_of_the_golden_file():
    key = ViewKey(2**40 + 3, 17, 1, torch.tensor([0, 1, 49_999, 2**31], device=DEVICE))
    (params,) = draw([FULL], key, 31, 47)
    assert {name: value.tolist() for name, value in rows(params).items()} == json.loads(GOLDEN.read_text())


def test_no_sample_draws_nothing():
    (params,) = draw([FULL], ViewKey(0, 0, 0, torch.arange(0, device=DEVICE)), 31, 47)
    assert params.table.shape == (0, 32)
