"""Batches decoded by `fastssl.native`: each image is read and decoded once for all its views, and only where they lie.

Parameters are drawn before anything is decoded, so `crops` serves ready-cut views and `images` what surrounds them. A
pool of threads takes the samples of a batch in turn; a few batches are under way while the training step computes.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from fastssl.data.ahead import check_counts, closed, make_ahead
from fastssl.data.buffers import Buffers, send
from fastssl.data.cut import CropCutter, Cutter, ImageCutter
from fastssl.data.damage import OnError, kept_rows, nothing_left
from fastssl.data.decoder import open_pool
from fastssl.data.order import Schedule
from fastssl.data.pages import PageWindow
from fastssl.data.served import Served
from fastssl.errors import InputError
from fastssl.types import Batch, Draw, ViewDrawer


@dataclass(frozen=True, slots=True)
class _Step:
    """A batch on the host, with its damaged samples taken out."""

    positions: Int64[np.ndarray, "b"]
    draw: Draw | None
    arrays: list[UInt8[np.ndarray, "b _ _ 3"]]
    skipped: int


class DecodedLoader:
    """Serves a beton of any sizes as `crops` or `images`; batches are on `device`."""

    def __init__(
        self,
        served: Served,
        schedule: Schedule,
        *,
        kind: str = "crops",
        views: ViewDrawer | None = None,
        num_workers: int = 2,
        batches_ahead: int = 3,
        device: torch.device | str = "cpu",
        reason: str = "asked for",
        on_error: OnError = "raise",
        scaled: bool = False,
    ) -> None:
        check_counts(num_workers, batches_ahead)
        self.info, self.batch_size, self.source = served.info, schedule.rank_batch_size, served.source
        self.kind, self.device, self.reason = kind, torch.device(device), reason
        self._served, self._schedule, self._views = served, schedule, views
        self._on_error: OnError = on_error
        self._batches_ahead = batches_ahead
        self._cutter = self._choose_cutter(scaled)
        self._buffers = Buffers(self.device)
        self._pool, self._decoder = open_pool(num_workers)
        self._threads = ThreadPoolExecutor(batches_ahead, thread_name_prefix="fastssl-batches")
        self._closed = False

    def _choose_cutter(self, scaled: bool) -> Cutter:
        if self.kind == "crops":
            if self._views is None:
                raise InputError("loader=crops needs views to cut; give views, or take loader=images")
            return CropCutter(self._views.specs, self.batch_size, scaled)
        if self._views is None:
            self._served.require_one_size(f"loader={self.kind} without views")
        return ImageCutter(self.info.height, self.info.width, self.batch_size)

    def __len__(self) -> int:
        return len(self._schedule)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of one epoch; what was begun for it ends with it, however that is."""
        self._require_open()
        return self._read(number, self._schedule.batches(number, start_step))

    def _read(self, number: int, steps: list[Int64[np.ndarray, "b"]]) -> Iterator[Batch]:
        pages = PageWindow(self._served, self._schedule, number)
        self._require_open()
        if steps:
            pages.reached(steps[0])
        made = make_ahead(self._threads, lambda step: self._make(number, step), steps, self._batches_ahead)
        try:
            for step in made:
                pages.reached(step.positions)
                yield self._to_device(step)
                self._require_open()
        finally:
            made.close()
            pages.close()

    def _require_open(self) -> None:
        if self._closed:
            raise closed()

    def _make(self, number: int, positions: Int64[np.ndarray, "b"]) -> _Step:
        """In a thread of its own; the work is the pool's."""
        beton, source = self._served.beton, self.source[positions]
        beton.check_unchanged()  # the plain pool does not survive a read beyond the end
        draw = self._views(number, positions, beton.sizes[source]) if self._views is not None else None
        arrays, failures = self._cutter(self._pool, beton, source, draw, self._buffers)
        beton.check_unchanged()  # one that is cut off damages every sample beyond, and some read as zeros
        if not failures:
            return _Step(positions, draw, arrays, 0)
        kept = kept_rows(beton, source, failures, self._on_error)
        if not kept.any():
            raise nothing_left(beton, source)
        if draw is not None:
            draw = replace(draw, tables=draw.tables[:, torch.from_numpy(kept)])
        return _Step(positions[kept], draw, [array[kept] for array in arrays], len(failures))

    def _to_device(self, step: _Step) -> Batch:
        images = [self._buffers.to_device(array).permute(0, 3, 1, 2) for array in step.arrays]
        draw = step.draw
        if draw is not None:
            draw = replace(draw, tables=send(draw.tables, self.device))
        crops = self.kind == "crops"
        return Batch(
            images=images[0].new_empty((0, 3, 0, 0)) if crops else images[0],
            labels=send(torch.from_numpy(self._served.labels[step.positions]), self.device),
            index=send(torch.from_numpy(step.positions.copy()), self.device),
            draw=draw,
            crops=tuple(images) if crops else (),
            skipped=step.skipped,
        )

    def close(self) -> None:
        """Ends what is under way and the threads. Safe to call twice."""
        self._closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._pool.close()
        self._buffers.clear()

    def describe(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "reason": self.reason,
            "decoder": self._decoder,
            "num_workers": self._pool.num_threads,
            "threads_read_back": self._pool.num_threads,  # a pool starts all of them or raises
            "batches_ahead": self._batches_ahead,
            "buffer_bytes": (self._batches_ahead + 2) * self.batch_size * self._cutter.row_bytes,
            "on_error": self._on_error,
            "device": str(self.device),
            **self._schedule.describe(),
        }
