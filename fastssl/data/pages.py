"""The memory bound of order `quasi_random`, held: pages of finished blocks are given back to the kernel."""

import mmap
import os
from contextlib import suppress

import numpy as np
from jaxtyping import Int64

from fastssl.data.order import Schedule, block_groups
from fastssl.data.policy import as_order
from fastssl.data.served import Served


class PageWindow:
    """Follows one epoch. Of a file beyond memory it keeps the blocks being read, and asks for the next ones early.

    At most two groups of blocks are in memory (`OrderConfig.working_set_bytes`, twice, and a page per block): the one
    that is served, and the next; more only where the batches under way reach beyond those. Under the other orders it
    does nothing: the kernel keeps what fits.
    """

    def __init__(self, served: Served, schedule: Schedule, epoch: int) -> None:
        self._beton = served.beton
        self._current = -1
        order = as_order(schedule.order)
        if order.order != "quasi_random":
            self._groups = None
            return
        assert schedule.offsets is not None, "the schedule has seen to it"
        self._groups = block_groups(schedule.seed, epoch, schedule.offsets, order)
        # Readahead around each fault would bring in blocks whose turn has passed (8 MB of them, as some disks are set).
        self._beton.mapped.madvise(mmap.MADV_RANDOM)
        self._ranges = _byte_ranges(self._groups, schedule.offsets // order.block * order.block, served)

    def reached(self, positions: Int64[np.ndarray, "b"]) -> None:
        """These samples are served now: earlier groups are done with, and the next one is due soon."""
        if self._groups is None or (group := int(self._groups[positions[0]])) == self._current:
            return
        if self._current >= 0:
            self._forget(range(self._current, group))
        for due in range(group, group + 2):
            for begin, end in self._ranges.get(due, ()):
                self._beton.mapped.madvise(mmap.MADV_WILLNEED, begin, end - begin)
        self._current = group

    def close(self) -> None:
        """Gives back what the epoch still has."""
        if self._groups is not None and self._current >= 0:
            self._forget(range(self._current, self._current + 2))

    def _forget(self, groups: range) -> None:
        """Out of this process, then out of the page cache, where nobody else has the file mapped."""
        with suppress(OSError), open(self._beton.path, "rb") as file:  # a vanished file is the next batch's error
            for begin, end in (pages for group in groups for pages in self._ranges.get(group, ())):
                self._beton.mapped.madvise(mmap.MADV_DONTNEED, begin, end - begin)
                os.posix_fadvise(file.fileno(), begin, end - begin, os.POSIX_FADV_DONTNEED)


def _byte_ranges(
    groups: Int64[np.ndarray, "n"], begins: Int64[np.ndarray, "n"], served: Served
) -> dict[int, list[tuple[int, int]]]:
    """Per group, the ranges of the file from each block's begin to the end of its last sample, in whole pages.

    A page that two blocks share is in both ranges: whichever is done with last gives it back.
    """
    ends = served.offsets + served.beton.payload_sizes[served.source]
    blocks, of_sample = np.unique(begins, return_inverse=True)
    last = np.zeros(len(blocks), dtype=np.int64)
    np.maximum.at(last, of_sample, ends)
    group_of = np.zeros(len(blocks), dtype=np.int64)
    group_of[of_sample] = groups
    page, ranges = mmap.PAGESIZE, {}
    begin_pages, end_pages = (blocks // page * page).tolist(), (-(-last // page) * page).tolist()
    for group, begin, end in zip(group_of.tolist(), begin_pages, end_pages, strict=True):
        ranges.setdefault(group, []).append((begin, end))
    return ranges
