"""Which sample comes when: a function of seed and epoch, so an epoch can be entered at any step, on any machine."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int64

from fastssl.data.draws import BLOCKS, ORDER, WINDOWS, draw_bits
from fastssl.data.policy import AnyOrder, OrderConfig, as_order
from fastssl.errors import InputError


def epoch_order(
    seed: int, epoch: int, n: int, order: AnyOrder = "random", offsets: Int64[np.ndarray, "n"] | None = None
) -> Int64[np.ndarray, "m"]:
    """Positions of that epoch in order: all of 0..n-1, or the window of a sliding order.

    `offsets`, in bytes, say where each sample begins in its file; `quasi_random` needs them. Every order shuffles by
    the same bits per (seed, epoch, sample): one window or group that holds all samples gives the order of `random`.
    Samples with equal bits keep their order.
    """
    config, positions = as_order(order), np.arange(n, dtype=np.int64)
    if config.order == "sequential":
        return positions
    if config.order == "sliding":
        positions = _window(seed, epoch, n, config)
    bits = draw_bits(seed, epoch, positions, ORDER)
    if config.order == "quasi_random":
        groups = block_groups(seed, epoch, _require_offsets(offsets, n), config)
        return np.lexsort((bits, groups)).astype(np.int64)
    return positions[np.argsort(bits, kind="stable")]


def _window(seed: int, epoch: int, n: int, config: OrderConfig) -> Int64[np.ndarray, "w"]:
    """The samples of the epoch's window, increasing."""
    permutation = np.argsort(draw_bits(seed, 0, np.arange(n, dtype=np.int64), WINDOWS), kind="stable")
    start = epoch // (config.epochs_per_window or 1) * config.stride
    places = (start + np.arange(config.samples_per_epoch(n), dtype=np.int64)) % n
    return np.sort(permutation[places]).astype(np.int64)


def block_groups(seed: int, epoch: int, offsets: Int64[np.ndarray, "n"], config: OrderConfig) -> Int64[np.ndarray, "n"]:
    """For each sample under `quasi_random`, which group of blocks it is shuffled with; groups come in turn."""
    blocks, block_of_sample = np.unique(offsets // config.block, return_inverse=True)
    rank = np.empty(len(blocks), dtype=np.int64)
    rank[np.argsort(draw_bits(seed, epoch, blocks, BLOCKS), kind="stable")] = np.arange(len(blocks))
    return rank[block_of_sample] // config.blocks_together


def _require_offsets(offsets: Int64[np.ndarray, "n"] | None, n: int) -> Int64[np.ndarray, "n"]:
    if offsets is None or len(offsets) != n:
        given = "None" if offsets is None else f"{len(offsets)} numbers"
        raise InputError(f"offsets={given} cannot tell order=quasi_random the blocks of {n} samples; give one each")
    return offsets


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The batches of every epoch, as positions 0..num_samples-1 in the data as served.

    Of `world_size` processes that train together, number `rank` gets its share of every batch: the shares of all ranks,
    one after the other, are the batch that one process would get. All ranks have the same number of steps, and no share
    is empty.
    """

    num_samples: int
    batch_size: int
    """Samples per step, over all ranks."""
    seed: int = 0
    order: AnyOrder = "random"
    drop_last: bool = True
    offsets: Int64[np.ndarray, "n"] | None = field(default=None, compare=False, repr=False)
    """Where each sample begins in its file, in bytes; only `quasi_random` reads them."""
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size={self.batch_size} is not a number of images; give 1 or more")
        if self.num_samples < 1:
            raise InputError("the dataset holds no image; write its beton again with `fastssl beton write`")
        draw_bits(self.seed, 0, np.zeros(1, dtype=np.int64), ORDER)  # a bad seed is named now, not in the first epoch
        if as_order(self.order).order == "quasi_random":
            _require_offsets(self.offsets, self.num_samples)
        if self.drop_last and self.batch_size > self.samples_per_epoch:
            raise InputError(
                f"batch_size={self.batch_size} is more than the {self.samples_per_epoch} images of an epoch; "
                f"give {self.samples_per_epoch} or less"
            )
        self._check_ranks()

    def _check_ranks(self) -> None:
        ranks, last = self.world_size, self.samples_per_epoch % self.batch_size
        if ranks < 1:
            raise InputError(f"world_size={ranks} is not a number of processes; give 1 or more")
        if not 0 <= self.rank < ranks:
            raise InputError(f"rank={self.rank} is none of {ranks} processes; give 0 to {ranks - 1}")
        if self.batch_size % ranks:
            raise InputError(
                f"batch_size={self.batch_size} does not divide over world_size={ranks}; give a multiple of {ranks}"
            )
        if not self.drop_last and 0 < last < ranks:
            raise InputError(
                f"batch_size={self.batch_size} leaves {last} images to the last step of world_size={ranks}; "
                "give another one, or drop the last batch"
            )

    def __len__(self) -> int:
        """Batches per epoch, the same on every rank."""
        if self.drop_last:
            return self.samples_per_epoch // self.batch_size
        return -(-self.samples_per_epoch // self.batch_size)

    @property
    def samples_per_epoch(self) -> int:
        return as_order(self.order).samples_per_epoch(self.num_samples)

    @property
    def rank_batch_size(self) -> int:
        """Samples per step of one rank; only an epoch's last step may have fewer."""
        return self.batch_size // self.world_size

    def describe(self) -> dict[str, Any]:
        order = as_order(self.order)
        ranks = {} if self.world_size == 1 else {"rank": self.rank, "world_size": self.world_size}
        facts = {"batch_size": self.batch_size, "order": order.order, "seed": self.seed, "drop_last": self.drop_last}
        return {**facts, **order.options(), **ranks}

    def positions(self, epoch: int, start_step: int = 0) -> Int64[np.ndarray, "m"]:
        """Positions that this rank serves in one epoch from `start_step` on, in order."""
        if not 0 <= start_step <= len(self):
            raise InputError(f"start_step={start_step} is outside the epoch; give a number from 0 to {len(self)}")
        order = epoch_order(self.seed, epoch, self.num_samples, self.order, self.offsets)
        return self._share(order[start_step * self.batch_size : len(self) * self.batch_size])

    def _share(self, order: Int64[np.ndarray, "all"]) -> Int64[np.ndarray, "m"]:
        """This rank's part of each batch: of `count` samples those from count * rank / world_size on, rounded down."""
        rank, ranks, size = self.rank, self.world_size, self.rank_batch_size
        whole = len(order) // self.batch_size * self.batch_size
        full, last = order[:whole].reshape(-1, ranks, size), order[whole:]
        return np.concatenate(
            [full[:, rank].reshape(-1), last[len(last) * rank // ranks : len(last) * (rank + 1) // ranks]]
        )

    def batches(self, epoch: int, start_step: int = 0) -> list[Int64[np.ndarray, "b"]]:
        """`positions`, cut into batches; only the last may be short."""
        positions, size = self.positions(epoch, start_step), self.rank_batch_size
        return [positions[start : start + size] for start in range(0, len(positions), size)]
