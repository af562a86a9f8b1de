"""64 random bits per sample, as a function of a seed: what orders, subsets and noise of labels are made from.

They come from Philox (Salmon et al. 2011), keyed by the seed and counted by (sample, epoch, purpose). Sorting samples
by their bits is a uniform shuffle that needs no state, so any part of it can be made alone, on any machine.
"""

import numpy as np
from jaxtyping import Int64, UInt64

from fastssl.errors import InputError
from fastssl.kernels.philox import philox4x32

# Purposes: the third word of the counter. Views count `view << 16 | op` there with small views, so none meets these.
ORDER = 0xFFFF_0001
SUBSET = 0xFFFF_0002
JPG = 0xFFFF_0003
HELD_OUT = 0xFFFF_0004
BLOCKS = 0xFFFF_0005
WINDOWS = 0xFFFF_0006
NOISY = 0xFFFF_0007
NOISE = 0xFFFF_0008


def draw_bits(seed: int, epoch: int, index: Int64[np.ndarray, "n"], purpose: int) -> UInt64[np.ndarray, "n"]:
    """64 random bits per index. Raises `InputError` for a seed beyond 64 bits or an epoch beyond 32."""
    if not 0 <= seed < 2**64:
        raise InputError(f"seed={seed} does not fit in 64 bits; give a number from 0 to 2**64 - 1")
    if not 0 <= epoch < 2**32:
        raise InputError(f"epoch={epoch} does not fit in 32 bits; give a number from 0 to 2**32 - 1")
    constants = (np.full(1, value, dtype=np.int64) for value in (epoch, purpose, 0))
    words = philox4x32((index, *constants), (seed & 0xFFFF_FFFF, seed >> 32))
    high, low = (np.asarray(word).astype(np.uint64) for word in words[:2])
    return (high << np.uint64(32)) | low
