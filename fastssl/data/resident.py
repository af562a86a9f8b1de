"""Batches gathered from a dataset that lives decoded in memory: on the GPU, or in host memory.

Each image is decoded once, by threads; a batch is one gather of whole rows. For small images this is the fastest
loader there is, and the ceiling that the others are measured against. Images of several sizes each take the room of
the largest, and their views are drawn here, where the sizes are known.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fastssl.data.ahead import check_counts, closed
from fastssl.data.buffers import send
from fastssl.data.cut import describe_source, whole_boxes
from fastssl.data.damage import OnError, kept_rows, nothing_left
from fastssl.data.decoder import open_pool
from fastssl.data.memory import free_bytes
from fastssl.data.order import Schedule
from fastssl.data.served import Served
from fastssl.data.source import Progress
from fastssl.errors import InputError
from fastssl.telemetry.environment import usable_cores
from fastssl.types import Batch, Draw, ViewDrawer

_CHUNK_BYTES = 64 * 1024**2
"""Decoded pixels between two progress calls; on a GPU also the size of the host buffer."""
ROOM = 0.9
"""Share of the free memory that a set may take; the rest is left to the batches themselves."""


class ResidentLoader:
    """Serves a beton from memory on `device`; batches are there too.

    With `gather=False` batches hold the whole set (`Batch.gathered`), for a backend that gathers by itself.
    """

    def __init__(
        self,
        served: Served,
        schedule: Schedule,
        *,
        views: ViewDrawer | None = None,
        num_workers: int = 2,
        device: torch.device | str = "cpu",
        reason: str = "asked for",
        on_error: OnError = "raise",
        progress: Progress | None = None,
        gather: bool = True,
    ) -> None:
        check_counts(num_workers)
        self.info, self.batch_size, self.source = served.info, schedule.rank_batch_size, served.source
        self.device, self.reason = torch.device(device), reason
        self._beton = served.beton
        self._gather_images = gather
        self._on_error: OnError = on_error
        self._schedule, self._num_workers = schedule, min(num_workers, usable_cores())
        if views is None:
            served.require_one_size("loader=resident")
        self._views = None if served.one_size else views
        self._sizes = served.beton.sizes[served.source]
        self._require_room(served)
        self._whole = np.ones(len(served.source), dtype=bool)
        self._rows: Tensor | None = self._decode(served, progress)
        self._labels = torch.from_numpy(served.labels).to(self.device)

    def _require_room(self, served: Served) -> None:
        needed, free = served.decoded_bytes, free_bytes(self.device)
        if needed > ROOM * free:
            raise InputError(
                f"loader=resident needs {needed / 1e9:.2f} GB for {served.info.num_samples} decoded images and "
                f"{self.device} has {free / 1e9:.2f} GB free; take loader=crops or a smaller fraction"
            )

    def _decode(self, served: Served, progress: Progress | None) -> UInt8[Tensor, "n values"]:
        """One row of height * width * 3 values per image; notes in `_whole` which of them are whole."""
        shape = (served.info.height, served.info.width, 3)
        rows = torch.empty(served.info.num_samples, *shape, dtype=torch.uint8, device=self.device)
        chunk = max(1, _CHUNK_BYTES // int(np.prod(shape)))
        pool, self._decoder = open_pool(self._num_workers)
        with pool:
            for start in range(0, len(rows), chunk):
                part, source = rows[start : start + chunk], served.source[start : start + chunk]
                served.beton.check_unchanged()
                host = part if part.device.type == "cpu" else torch.empty(part.shape, dtype=torch.uint8)
                samples, boxes = describe_source(served.beton, source), whole_boxes(served.beton.sizes[source])
                failures = pool.read_images(served.beton.content, samples, boxes, host.numpy())
                served.beton.check_unchanged()  # of one that is cut off, some samples read as zeros
                if failures:
                    self._whole[start : start + chunk] = kept_rows(served.beton, source, failures, self._on_error)
                if host is not part:
                    part.copy_(host)
                if progress is not None:
                    progress(start + len(part), len(rows))
        return rows.flatten(1)

    def __len__(self) -> int:
        return len(self._schedule)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of one epoch; nothing waits for the device after its order has been sent there."""
        if self._rows is None:
            raise InputError("the loader is closed; open another one")
        return self._gather(number, self._schedule.positions(number, start_step))

    def _gather(self, number: int, positions: Int64[np.ndarray, "m"]) -> Iterator[Batch]:
        """The whole epoch's index goes to the device at once; a step is a slice of it."""
        whole = self._whole[positions]
        ends = np.concatenate([[0], np.cumsum(whole)])
        kept = positions[whole]
        indices = torch.from_numpy(kept).to(self.device)
        for start in range(0, len(positions), self.batch_size):
            end = min(start + self.batch_size, len(positions))
            low, high = int(ends[start]), int(ends[end])
            if self._rows is None:
                raise closed()
            if low == high:
                raise nothing_left(self._beton, self.source[positions[start:end]])
            yield self._make_batch(self._rows, indices[low:high], self._draw(number, kept[low:high]),
                                   skipped=end - start - (high - low))  # fmt: skip

    def _make_batch(self, rows: Tensor, index: Tensor, draw: Draw | None, skipped: int) -> Batch:
        pixels = rows.index_select(0, index) if self._gather_images else rows
        return Batch(
            images=pixels.view(-1, self.info.height, self.info.width, 3).permute(0, 3, 1, 2),
            labels=self._labels.index_select(0, index),
            index=index.clone(),
            gathered=self._gather_images,
            draw=draw,
            skipped=skipped,
        )

    def _draw(self, number: int, positions: Int64[np.ndarray, "b"]) -> Draw | None:
        """Of images of several sizes; others are drawn on their device, by `make_views`."""
        if self._views is None:
            return None
        draw = self._views(number, positions, self._sizes[positions])
        return replace(draw, tables=send(draw.tables, self.device))

    def close(self) -> None:
        """Give the memory back. Safe to call twice."""
        self._rows = None

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "resident",
            "reason": self.reason,
            "decoder": self._decoder,
            "num_workers": self._num_workers,
            "threads_read_back": 0,  # decoding is over: a batch is gathered by the caller's thread or the GPU
            "resident_bytes": self._rows.nbytes if self._rows is not None else 0,
            "on_error": self._on_error,
            "device": str(self.device),
            **self._schedule.describe(),
        }
