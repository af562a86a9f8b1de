"""Which samples are held out, and which are stored as JPEG: draws of Philox counters, the same on any machine."""

import numpy as np
from jaxtyping import Bool, Int64

from fastssl.data.options import WriteOptions
from fastssl.errors import InputError
from fastssl.kernels.philox import philox4x32, uniform

# Third words of the counter, beside those of `data.order`.
_JPG_STREAM = 0xFFFF_0003
_HELD_OUT_STREAM = 0xFFFF_0004


def _draw(num_samples: int, seed: int, stream: int) -> tuple[np.ndarray, ...]:
    zero = np.zeros(1, dtype=np.int64)
    counter = (np.arange(num_samples, dtype=np.int64), zero, zero + stream, zero)
    return tuple(np.asarray(word) for word in philox4x32(counter, (seed & 0xFFFF_FFFF, seed >> 32)))


def choose_jpg(num_samples: int, options: WriteOptions) -> Bool[np.ndarray, "n"]:
    """Which samples become JPEGs."""
    if options.mode != "proportion":
        return np.full(num_samples, options.mode == "jpg")
    return np.asarray(uniform(_draw(num_samples, options.subset_seed, _JPG_STREAM)[0])) < options.jpg_proportion


def held_out_indices(labels: Int64[np.ndarray, "n"], amount: float, seed: int) -> Int64[np.ndarray, "m"]:
    """Sorted positions of the validation samples: `amount` below 1 is a share, else a number.

    Every class gives in proportion; what rounding leaves over goes to the classes with the largest remainders. Raises
    `InputError` when nothing, or nothing else, would be left.
    """
    wanted = round(amount * len(labels)) if amount < 1 else int(amount)
    if not 0 < wanted < len(labels):
        raise InputError(f"val={amount} holds out {wanted} of {len(labels)} samples; give some and leave some")
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * (wanted / len(labels))
    taken = np.floor(shares).astype(np.int64)
    order = np.argsort(taken - shares, kind="stable")
    taken[order[: wanted - int(taken.sum())]] += 1
    high, low = (word.astype(np.uint64) for word in _draw(len(labels), seed, _HELD_OUT_STREAM)[:2])
    bits = (high << np.uint64(32)) | low
    kept = []
    for label, num_taken in zip(classes, taken):
        members = np.flatnonzero(labels == label)
        kept.append(members[np.argsort(bits[members], kind="stable")[:num_taken]])
    return np.sort(np.concatenate(kept)).astype(np.int64)
