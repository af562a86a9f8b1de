"""Batches gathered from a dataset that lives decoded in memory: on the GPU, or in host memory.

Each image is decoded once, by threads; a batch is one gather of whole rows. For small images this is the fastest
loader there is, and the ceiling that the others are measured against.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from fastssl.data.memory import free_bytes
from fastssl.data.order import Schedule
from fastssl.data.served import Served
from fastssl.data.source import Progress
from fastssl.errors import InputError
from fastssl.telemetry.environment import usable_cores
from fastssl.types import Batch

_CHUNK_BYTES = 64 * 1024**2
"""Decoded pixels between two progress calls; on a GPU also the size of the host buffer."""


class ResidentLoader:
    """Serves a beton of images of one size from memory on `device`; batches are there too.

    With `gather=False` batches hold the whole set (`Batch.gathered`), for a backend that gathers by itself.
    """

    def __init__(
        self,
        served: Served,
        schedule: Schedule,
        *,
        num_workers: int = 2,
        device: torch.device | str = "cpu",
        reason: str = "asked for",
        progress: Progress | None = None,
        gather: bool = True,
    ) -> None:
        if num_workers < 1:
            raise InputError(f"num_workers={num_workers} is not a number of threads; give 1 or more")
        self.info, self.batch_size, self.source = served.info, schedule.rank_batch_size, served.source
        self.device, self.reason = torch.device(device), reason
        self._gather_images = gather
        self._schedule, self._num_workers = schedule, min(num_workers, usable_cores())
        self._require_room(served)
        self._rows: Tensor | None = self._decode(served, progress)
        self._labels = torch.from_numpy(served.labels).to(self.device)

    def _require_room(self, served: Served) -> None:
        needed, free = served.decoded_bytes, free_bytes(self.device)
        if needed > 0.9 * free:  # the rest is left to the batches themselves
            raise InputError(
                f"loader=resident needs {needed / 1e9:.2f} GB for {served.info.num_samples} decoded images and "
                f"{self.device} has {free / 1e9:.2f} GB free; take loader=ffcv or a smaller fraction"
            )

    def _decode(self, served: Served, progress: Progress | None) -> UInt8[Tensor, "n values"]:
        """One row of height * width * 3 values per image."""
        info = served.info
        row = info.height * info.width * 3
        rows = torch.empty(info.num_samples, row, dtype=torch.uint8, device=self.device)
        chunk = max(1, _CHUNK_BYTES // row)

        def decode_into(target: np.ndarray, source: int) -> None:
            target[:] = served.beton.decode(source).reshape(-1)

        with ThreadPoolExecutor(self._num_workers) as threads:
            for start in range(0, info.num_samples, chunk):
                part = rows[start : start + chunk]
                host = part if part.device.type == "cpu" else torch.empty(part.shape, dtype=torch.uint8)
                sources = served.source[start : start + chunk].tolist()
                for _ in threads.map(decode_into, host.numpy(), sources):  # re-raises what a thread raised
                    pass
                if host is not part:
                    part.copy_(host)
                if progress is not None:
                    progress(start + len(part), info.num_samples)
        return rows

    def __len__(self) -> int:
        return len(self._schedule)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of one epoch; nothing waits for the device after its order has been sent there."""
        if self._rows is None:
            raise InputError("the loader is closed; open another one")
        return self._gather(torch.from_numpy(self._schedule.positions(number, start_step)))

    def _gather(self, positions: Tensor) -> Iterator[Batch]:
        positions = positions.to(self.device)
        for start in range(0, len(positions), self.batch_size):
            if self._rows is None:
                raise InputError("the loader was closed while an epoch was being read; close it last")
            index = positions[start : start + self.batch_size]
            pixels = self._rows.index_select(0, index) if self._gather_images else self._rows
            images = pixels.view(-1, self.info.height, self.info.width, 3).permute(0, 3, 1, 2)
            labels = self._labels.index_select(0, index)
            yield Batch(images=images, labels=labels, index=index.clone(), gathered=self._gather_images)

    def close(self) -> None:
        """Give the memory back. Safe to call twice."""
        self._rows = None

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "resident",
            "reason": self.reason,
            "num_workers": self._num_workers,
            "threads_read_back": 0,  # decoding is over: a batch is gathered by the caller's thread or the GPU
            "resident_bytes": self._rows.nbytes if self._rows is not None else 0,
            "device": str(self.device),
            **self._schedule.describe(),
        }
