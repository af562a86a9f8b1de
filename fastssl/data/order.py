"""Which sample comes when, and which samples belong to a subset: functions of a seed, the same for every loader.

Each sample of an epoch gets 64 bits of Philox (Salmon et al. 2011) keyed by the seed and counted by (sample, epoch);
sorting by those bits is a uniform shuffle that needs no state, so an epoch can be entered at any step, on any machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64, UInt64

from fastssl.errors import InputError
from fastssl.kernels.philox import philox4x32

Order = Literal["random", "sequential"]

# Third word of the counter. Views count `view << 16 | op` there with small views, so these two never meet them.
_ORDER_STREAM = 0xFFFF_0001
_SUBSET_STREAM = 0xFFFF_0002


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
    kept = []
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        num_kept = int(fraction * count + 0.5)
        if num_kept < 1:
            raise InputError(
                f"fraction={fraction} keeps none of the {count} samples of class {label}; give at least {1 / count:.2g}"
            )
        members = np.flatnonzero(labels == label)
        kept.append(members[np.argsort(bits[members], kind="stable")[:num_kept]])
    return np.sort(np.concatenate(kept)).astype(np.int64) if kept else np.empty(0, dtype=np.int64)


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
