"""Memory for batches that is used again as soon as nobody holds a batch made in it.

Fresh memory for every batch costs more than it looks: the kernel clears each page at its first touch, some 50 us for
two views of 224 px, and pinning pages costs more. A ring of buffers would save that and overwrite batches that a caller
keeps. Here a buffer comes back when the last array or tensor that shares it is gone, and not before.
"""

import weakref
from collections import defaultdict, deque
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

Shape = tuple[int, ...]


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A small tensor on the device, by a copy that nothing waits for."""
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


class Buffers:
    """Lends uint8 memory; safe to share between threads."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._free: defaultdict[Shape, list[np.ndarray]] = defaultdict(list)
        self._sending: deque[tuple[Any, np.ndarray]] = deque()

    def take(self, shape: Shape, count: int) -> UInt8[np.ndarray, "count ..."]:
        """The first `count` rows of a buffer of that shape, with anything in them; pinned where the device is a GPU.

        It is lent as long as this very array lives: give it to `to_device`, and take no NumPy view of it (which would
        refer to the memory and not to the array).
        """
        free = self._free[shape]
        try:
            buffer = free.pop()
        except IndexError:  # asking first whether there is one would race with the other threads
            buffer = self._make(shape)
        lent = buffer[:count]
        weakref.finalize(lent, free.append, buffer).atexit = False
        return lent

    def clear(self) -> None:
        """Gives back the memory of all that is not lent; what is lent goes when its borrower does."""
        for free in self._free.values():
            free.clear()
        self._free.clear()  # a list lives on with the last of those who will put a buffer there

    def _make(self, shape: Shape) -> np.ndarray:
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda").numpy()

    def to_device(self, lent: UInt8[np.ndarray, "*shape"]) -> UInt8[Tensor, "*shape"]:
        """The array as a tensor on the device: without a copy on the CPU, else by a copy that nothing waits for."""
        host = torch.from_numpy(lent)
        if self.device.type == "cpu":
            return host
        copied = host.to(self.device, non_blocking=True)
        done = torch.cuda.Event()
        done.record()
        self._sending.append((done, lent))  # it must outlive the copy
        while self._sending and self._sending[0][0].query():
            self._sending.popleft()
        return copied
