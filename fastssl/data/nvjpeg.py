"""JPEG bytes resident in host memory, decoded by the GPU (`gpu_decode`): for a set whose pixels would not fit.

Each batch is decoded whole; views are cut on the device. One thread decodes ahead of the training step: it alone waits
for the device, and the step's stream is told to wait by an event.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from fastssl.data.ahead import check_counts, closed, make_ahead
from fastssl.data.buffers import send
from fastssl.data.damage import OnError, kept_rows, nothing_left
from fastssl.data.gpu_decode import Decoded, GpuDecoder
from fastssl.data.order import Schedule
from fastssl.data.payloads import Payloads
from fastssl.data.served import Served
from fastssl.data.source import Progress
from fastssl.types import Batch, Draw, ViewDrawer


@dataclass(frozen=True, slots=True)
class _Step:
    positions: Int64[np.ndarray, "k"]
    """Of the samples that are not damaged."""
    decoded: Decoded
    draw: Draw | None


class NvjpegLoader:
    """Serves a beton of any sizes from its bytes in host memory; raw samples are copied. Batches are on `device`.

    A JPEG that nvJPEG refuses is decoded by libjpeg-turbo on the CPU, which tells damage from what nvJPEG cannot do
    (arithmetic coding, say). Damage that nvJPEG decodes without a word goes unnoticed. Pixels of JPEGs differ from
    those of other loaders by a few levels. On a CPU, which `open_loader` refuses, torchvision's libjpeg takes nvJPEG's
    place. `num_workers` has no part in it: the binding decodes one batch at a time.
    """

    def __init__(
        self,
        served: Served,
        schedule: Schedule,
        *,
        views: ViewDrawer | None = None,
        num_workers: int = 1,
        batches_ahead: int = 3,
        device: torch.device | str = "cuda",
        reason: str = "asked for",
        on_error: OnError = "raise",
        progress: Progress | None = None,
    ) -> None:
        check_counts(num_workers, batches_ahead)
        self.info, self.batch_size, self.source = served.info, schedule.rank_batch_size, served.source
        self.device, self.reason = _numbered(torch.device(device)), reason
        self._served, self._schedule, self._batches_ahead = served, schedule, batches_ahead
        self._on_error: OnError = on_error
        if views is None:
            served.require_one_size("nvjpeg")
        self._views = None if served.one_size else views  # images of one size are drawn on their device
        payloads = Payloads(served, pinned=self.device.type == "cuda", progress=progress)
        self._resident_bytes = payloads.num_bytes
        self._decoder: GpuDecoder | None = GpuDecoder(served, payloads, self.device)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fastssl-nvjpeg")

    def __len__(self) -> int:
        return len(self._schedule)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of one epoch; what was begun for it ends with it, however that is. Never waits for the device."""
        self._require_open()
        return self._read(number, self._schedule.batches(number, start_step))

    def _read(self, number: int, steps: list[Int64[np.ndarray, "b"]]) -> Iterator[Batch]:
        decoder = self._require_open()
        made = make_ahead(self._thread, lambda step: self._make(decoder, number, step), steps, self._batches_ahead)
        try:
            for step in made:
                yield self._make_batch(step)
                self._require_open()
        finally:
            made.close()

    def _require_open(self) -> GpuDecoder:
        if self._decoder is None:
            raise closed()
        return self._decoder

    def _make(self, decoder: GpuDecoder, number: int, positions: Int64[np.ndarray, "b"]) -> _Step:
        """In the decoding thread."""
        decoded, kept = decoder(positions), positions
        if decoded.failures:
            kept = positions[kept_rows(self._served.beton, self.source[positions], decoded.failures, self._on_error)]
        if not len(kept):
            raise nothing_left(self._served.beton, self.source[positions])
        sizes = self._served.beton.sizes[self.source[kept]]
        return _Step(kept, decoded, self._views(number, kept, sizes) if self._views is not None else None)

    def _make_batch(self, step: _Step) -> Batch:
        images, draw = step.decoded.images, step.draw
        if step.decoded.ready is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(step.decoded.ready)
            images.record_stream(stream)  # its memory is decoded into again only when that stream is done with it
        return Batch(
            images=images,
            labels=send(torch.from_numpy(self._served.labels[step.positions]), self.device),
            index=send(torch.from_numpy(step.positions.copy()), self.device),
            draw=draw if draw is None else replace(draw, tables=send(draw.tables, self.device)),
            skipped=len(step.decoded.failures),
        )

    def close(self) -> None:
        """Ends what is under way, and gives the memory back. Safe to call twice."""
        self._decoder = None
        self._thread.shutdown(wait=True, cancel_futures=True)

    def describe(self) -> dict[str, Any]:
        refused = {} if self._decoder is None else {"decoded_on_cpu": self._decoder.num_refused}
        return {
            "kind": "nvjpeg",
            "reason": self.reason,
            "decoder": "torchvision, nvJPEG" if self.device.type == "cuda" else "torchvision, libjpeg",
            "num_workers": 1,
            "threads_read_back": 1,  # a pool of one starts it or raises
            "batches_ahead": self._batches_ahead,
            "resident_bytes": 0 if self._decoder is None else self._resident_bytes,
            **refused,
            "on_error": self._on_error,
            "device": str(self.device),
            **self._schedule.describe(),
        }


def _numbered(device: torch.device) -> torch.device:
    """The caller's current GPU by its number: the decoding thread has a current one of its own."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device
