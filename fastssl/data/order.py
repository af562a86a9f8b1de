"""Which sample comes when, and which samples are kept, held out or stored as JPEG: functions of a seed.

Each sample gets 64 bits of Philox (Salmon et al. 2011) keyed by the seed and counted by (sample, epoch, purpose);
sorting by those bits is a uniform shuffle that needs no state, so an epoch can be entered at any step, on any machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from fastssl.data.options import WriteOptions
from fastssl.errors import InputError
from fastssl.kernels.philox import philox4x32, uniform

Order = Literal["random", "sequential"]

# Third word of the counter. Views count `view << 16 | op` there with small views, so these never meet them.
_ORDER_STREAM = 0xFFFF_0001
_SUBSET_STREAM = 0xFFFF_0002
_JPG_STREAM = 0xFFFF_0003
_HELD_OUT_STREAM = 0xFFFF_0004


def _bits64(seed: int, epoch: int, index: Int64[np.ndarray, "n"], stream: int) -> UInt64[np.ndarray, "n"]:
    """64 random bits per index."""
    if not 0 <= seed < 2**64:
        raise InputError(f"seed={seed} does not fit in 64 bits; give a number from 0 to 2**64 - 1")
    if not 0 <= epoch < 2**32:
        raise InputError(f"epoch={epoch} does not fit in 32 bits; give a number from 0 to 2**32 - 1")
    constants = (np.full(1, value, dtype=np.int64) for value in (epoch, stream, 0))
    words = philox4x32((index, *constants), (seed & 0xFFFF_FFFF, seed >> 32))
    high, low = (np.asarray(word).astype(np.uint64) for word in words[:2])
    return (high << np.uint64(32)) | low


def epoch_order(seed: int, epoch: int, n: int, order: Order = "random") -> Int64[np.ndarray, "n"]:
    """Positions 0..n-1 in the order of that epoch; two samples with equal bits keep their order."""
    positions = np.arange(n, dtype=np.int64)
    if order == "sequential":
        return positions
    if order != "random":
        raise InputError(f"order={order!r} is unknown; give 'random' or 'sequential'")
    return np.argsort(_bits64(seed, epoch, positions, _ORDER_STREAM), kind="stable").astype(np.int64)


def subset_indices(labels: Int64[np.ndarray, "n"], fraction: float, seed: int = 0) -> Int64[np.ndarray, "m"]:
    """Sorted positions of a class-balanced share of the samples: of each class, its share rounded to the nearest.

    For one seed the subsets are nested: the samples of a smaller fraction are all in a larger one. A class that
    would be left without a sample raises `InputError`.
    """
    if not 0.0 < fraction <= 1.0:
        raise InputError(f"fraction={fraction} is not a share of the samples; give a number above 0, at most 1")
    labels = np.asarray(labels)
    bits = _bits64(seed, 0, np.arange(len(labels), dtype=np.int64), _SUBSET_STREAM)
    classes, counts = np.unique(labels, return_counts=True)
    num_kept = np.floor(fraction * counts + 0.5).astype(np.int64)
    for label, count in zip(classes[num_kept < 1], counts[num_kept < 1]):
        raise InputError(
            f"fraction={fraction} keeps none of the {count} samples of class {label}; give at least {1 / count:.2g}"
        )
    return _first_per_class(labels, num_kept, bits)


def held_out_indices(labels: Int64[np.ndarray, "n"], amount: float, seed: int) -> Int64[np.ndarray, "m"]:
    """Sorted positions of the validation samples: `amount` below 1 is a share, else a number.

    Every class gives in proportion; what rounding leaves over goes to the classes with the largest remainders. Raises
    `InputError` when nothing, or nothing else, would be left.
    """
    wanted = round(amount * len(labels)) if amount < 1 else int(amount)
    if not 0 < wanted < len(labels):
        raise InputError(f"val={amount} holds out {wanted} of {len(labels)} samples; give some and leave some")
    shares = np.unique(labels, return_counts=True)[1] * (wanted / len(labels))
    taken = np.floor(shares).astype(np.int64)
    remainders_first = np.argsort(taken - shares, kind="stable")
    taken[remainders_first[: wanted - int(taken.sum())]] += 1
    bits = _bits64(seed, 0, np.arange(len(labels), dtype=np.int64), _HELD_OUT_STREAM)
    return _first_per_class(labels, taken, bits)


def choose_jpg(num_samples: int, options: WriteOptions) -> Bool[np.ndarray, "n"]:
    """Which samples a writer stores as JPEGs."""
    if options.mode != "proportion":
        return np.full(num_samples, options.mode == "jpg")
    bits = _bits64(options.subset_seed, 0, np.arange(num_samples, dtype=np.int64), _JPG_STREAM)
    return np.asarray(uniform((bits >> np.uint64(32)).astype(np.int64))) < options.jpg_proportion


def _first_per_class(
    labels: Int64[np.ndarray, "n"], counts: Int64[np.ndarray, "c"], bits: UInt64[np.ndarray, "n"]
) -> Int64[np.ndarray, "m"]:
    """Sorted positions of the `counts[k]` samples with the lowest bits of the k-th class in order of label."""
    kept = [np.empty(0, dtype=np.int64)]
    for label, count in zip(np.unique(labels), counts, strict=True):
        members = np.flatnonzero(labels == label)
        kept.append(members[np.argsort(bits[members], kind="stable")[:count]])
    return np.sort(np.concatenate(kept)).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The batches of every epoch, as positions 0..num_samples-1 in the data as served."""

    num_samples: int
    batch_size: int
    seed: int = 0
    order: Order = "random"
    drop_last: bool = True

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size={self.batch_size} is not a number of images; give 1 or more")
        if self.num_samples < 1:
            raise InputError("the dataset holds no image; write its beton again with `fastssl beton write`")
        if self.drop_last and self.batch_size > self.num_samples:
            raise InputError(
                f"batch_size={self.batch_size} is more than the {self.num_samples} images of the dataset; "
                f"give {self.num_samples} or less"
            )
        epoch_order(self.seed, 0, 1, self.order)  # a bad seed or order is named now, not in the first epoch

    def __len__(self) -> int:
        """Batches per epoch."""
        if self.drop_last:
            return self.num_samples // self.batch_size
        return -(-self.num_samples // self.batch_size)

    def describe(self) -> dict[str, Any]:
        return {"batch_size": self.batch_size, "order": self.order, "seed": self.seed, "drop_last": self.drop_last}

    def positions(self, epoch: int, start_step: int = 0) -> Int64[np.ndarray, "m"]:
        """Positions served in one epoch from `start_step` on, in order."""
        if not 0 <= start_step <= len(self):
            raise InputError(f"start_step={start_step} is outside the epoch; give a number from 0 to {len(self)}")
        order = epoch_order(self.seed, epoch, self.num_samples, self.order)
        return order[start_step * self.batch_size : len(self) * self.batch_size]

    def batches(self, epoch: int, start_step: int = 0) -> Iterator[Int64[np.ndarray, "b"]]:
        """`positions`, cut into batches; only the last may be short."""
        positions = self.positions(epoch, start_step)
        for start in range(0, len(positions), self.batch_size):
            yield positions[start : start + self.batch_size]
