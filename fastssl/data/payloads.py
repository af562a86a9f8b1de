"""The stored bytes of all samples that a loader serves, one after the other in host memory."""

import os
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from fastssl.data.memory import free_bytes
from fastssl.data.served import Served
from fastssl.data.source import Progress
from fastssl.errors import InputError

_PROGRESS_EVERY = 4096
"""Samples read between two progress calls."""


class Payloads:
    """Reads them once; the file is not needed afterwards. Safe to share between threads."""

    def __init__(self, served: Served, *, pinned: bool, progress: Progress | None = None) -> None:
        """Raises `InputError` where they do not fit, and when the file changes or ends while it is read."""
        sizes = served.beton.payload_sizes[served.source]
        self._cuts = np.concatenate([[0], np.cumsum(sizes)])
        self.num_bytes = _room(int(self._cuts[-1]), pinned)
        _require_room(self.num_bytes, len(sizes))
        self._content = torch.empty(int(self._cuts[-1]), dtype=torch.uint8, pin_memory=pinned)
        served.beton.check_unchanged()
        # By `read`, not from the mapped file: one that is cut off meanwhile would end the process.
        with open(served.path, "rb", buffering=0) as file:
            for position, (begin, end) in enumerate(pairwise(self._cuts.tolist())):
                offset = int(served.offsets[position])
                if os.preadv(file.fileno(), [self._content[begin:end].numpy().data], offset) != end - begin:
                    served.beton.check_unchanged()
                    raise served.beton.damage(int(served.source[position]), "it could not be read to its end")
                done = position + 1
                if progress is not None and (done % _PROGRESS_EVERY == 0 or done == len(sizes)):
                    progress(done, len(sizes))
        served.beton.check_unchanged()

    def __getitem__(self, position: int) -> UInt8[Tensor, "bytes"]:
        """Of the sample at that position of the data as served; a view."""
        return self._content[self._cuts[position] : self._cuts[position + 1]]


def _room(num_bytes: int, pinned: bool) -> int:
    """What they take: torch pins memory by powers of two."""
    return 1 << (num_bytes - 1).bit_length() if pinned else num_bytes


def _require_room(needed: int, num_samples: int) -> None:
    free = free_bytes()
    if needed > 0.9 * free:  # the rest is left to the batches themselves
        raise InputError(
            f"loader=nvjpeg needs {needed / 1e9:.2f} GB of host memory for the bytes of {num_samples} images and "
            f"{free / 1e9:.2f} GB are free; take loader=crops or a smaller fraction"
        )
