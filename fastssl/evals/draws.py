"""What a probe draws, by counter: the same seed gives the same labels, weights and order anywhere."""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fastssl.kernels.philox import normal_pair, philox4x32

LABELS, WEIGHTS, ORDER = 0x11, 0x12, 0x13
"""What a draw is for; a number each keeps them apart."""


def _words(count: int, seed: int, purpose: int, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    index = torch.arange(count, dtype=torch.int64)
    fixed = [torch.full_like(index, value) for value in (number, purpose, seed >> 32 & 0xFFFFFFFF)]
    return philox4x32((index, *fixed), (seed & 0xFFFFFFFF, 0x70726F62))


def random_order(count: int, seed: int, purpose: int, number: int = 0) -> Int64[Tensor, "n"]:
    """A permutation of 0..count-1."""
    high, low, *_ = _words(count, seed, purpose, number)
    return (high >> 1 << 32 | low).argsort(stable=True)


def normals(shape: tuple[int, ...], seed: int, number: int) -> Float32[Tensor, "..."]:
    """Independent normals of mean 0 and deviation 1."""
    words = _words(torch.Size(shape).numel(), seed, WEIGHTS, number)
    return normal_pair(words[0], words[1])[0].reshape(shape)
