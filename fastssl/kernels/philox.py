"""Philox4x32-10, the counter-based generator behind every draw of the library.

A counter (which draw) and a key (which seed) give four 32-bit words and nothing is kept between calls, so any draw
can be made alone, in any order, on any device. One body of arithmetic serves torch and numpy int64 arrays, Python
integers and, through `numba.njit(philox4x32)`, compiled scalars: products wrap in signed 64 bits, and masking after
the shift gives the unsigned halves all the same.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), and its library Random123.
"""

import math
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Words = TypeVar("Words")

# Multipliers and Weyl increments of Philox4x32 (Salmon et al. 2011, table 2 and section 3.3); the golden ratio and
# sqrt(3) - 1, in 32 bits, step the key.
M0 = 0xD2511F53
M1 = 0xCD9E8D57
W0 = 0x9E3779B9
W1 = 0xBB67AE85
_MASK = 0xFFFFFFFF
ROUNDS = 10


def philox4x32(counter: Any, key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Four arrays of uint32 values (as int64, 0..2^32-1) for four broadcastable int64 arrays and a key of two words.

    The key's words may be integers or arrays that broadcast with the counter.

    Arrays may be torch (any device, no sync), numpy with at least one dimension (numpy warns when a bare scalar
    wraps), or Python integers. Values outside 0..2^32-1 are the caller's mistake and are not looked for.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0 = c0 * M0
        p1 = c2 * M1
        c0, c1, c2, c3 = ((p1 >> 32) & _MASK) ^ c1 ^ k0, p1 & _MASK, ((p0 >> 32) & _MASK) ^ c3 ^ k1, p0 & _MASK
        k0 = (k0 + W0) & _MASK
        k1 = (k1 + W1) & _MASK
    return c0, c1, c2, c3


def uniform(bits: Words) -> Words:
    """float32 in [0, 1), a multiple of 2^-24, from 32 random bits: the 24 high bits are exact in a float32."""
    if isinstance(bits, Tensor):
        return (bits >> 8).to(torch.float32) * 2.0**-24  # pyright: ignore[reportReturnType]
    return (np.asarray(bits) >> 8).astype(np.float32) * np.float32(2.0**-24)  # pyright: ignore[reportReturnType]


def normal_pair(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent float32 normals of mean 0 and deviation 1 from two words of 32 random bits (Box, Muller 1958).

    With u the 24 high bits of a word: radius sqrt(-2 ln((u + 1) / 2^24)) of the first, angle 2 pi u / 2^24 of the
    second. The largest value is sqrt(48 ln 2) = 5.8.
    """
    radius = (-2.0 * (((first >> 8).float() + 1.0) * 2.0**-24).log()).sqrt()
    angle = (second >> 8).float() * (2.0 * math.pi * 2.0**-24)
    return radius * angle.cos(), radius * angle.sin()
