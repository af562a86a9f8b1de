"""Batches read by FFCV: memory-mapped, decoded by compiled code on several threads, ahead of the training step.

FFCV's own loop is kept and its traps closed (all seen in version 1.0.2):
- its batches are views of slots that it writes again: every batch is copied out before it is yielded;
- an epoch left early keeps its thread: ours is ended and joined, and its memory context closed once;
- an error in its thread ends the thread without a word and the consumer waits for ever: ours is raised in the consumer;
- it sets the thread counts of torch and Numba to its number of workers, and to 1 when it is imported: ours puts the
  caller's back;
- it turns a JPEG that cannot be decoded into zeros, and one of another size into part of an image: our decoder compares
  sizes and keeps libjpeg-turbo's return code, and a sample with an error *or a warning* (truncated, corrupt entropy
  data) raises `InputError` naming it, or is left out. What JPEG itself cannot tell (flipped bits that still parse; any
  change of raw pixels) is not seen here: `fastssl beton verify` compares the fingerprint;
- a read beyond the end of its mapped file ends the process: each batch is begun only with the file as it was. A cut in
  the midst of a batch is still one too many; loaders `crops` and `images` survive that.

Numba cannot cache this code on disk (it calls C through pointers), so the first batch of a process compiles for a
second or two; the kernel is a module function, so later loaders of the process compile nothing.
"""

import contextlib
import queue
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import torch

from fastssl.data.ahead import check_counts
from fastssl.data.beton import BetonFile
from fastssl.data.damage import OnError, kept_rows, nothing_left
from fastssl.data.format import MODE_JPG, MODE_RAW
from fastssl.data.order import Schedule
from fastssl.data.served import Served
from fastssl.errors import InputError
from fastssl.native import Failure
from fastssl.types import Batch

# ruff: noqa: E402
# To import FFCV is to set torch's and numba's threads to 1 for the whole process (ffcv 1.0.2, `pipeline/compiler.py`),
# which halves the speed of training on two cores: the counts are put back.
_torch_threads, _numba_threads = torch.get_num_threads(), numba.get_num_threads()
from ffcv.fields.rgb_image import SimpleRGBImageDecoder
from ffcv.libffcv import imdecode, memcpy
from ffcv.loader import Loader as StockLoader
from ffcv.loader.epoch_iterator import EpochIterator
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.state import State
from ffcv.traversal_order.base import TraversalOrder

torch.set_num_threads(_torch_threads)
numba.set_num_threads(_numba_threads)

_POLL_S = 0.2
"""How often a waiting consumer looks whether the thread still lives."""

_imdecode = numba.njit(nogil=True)(imdecode)
_memcpy = numba.njit(nogil=True)(memcpy)


@numba.njit(nogil=True)
def _has_size(data, height, width):
    """Whether a JPEG's frame says so. FFCV's decoder would shrink a larger one, and leave what a smaller one lacks."""
    at = 2
    while at + 9 <= data.size and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker != 0xC4 and marker != 0xC8 and marker != 0xCC:
            return data[at + 5] * 256 + data[at + 6] == height and data[at + 7] * 256 + data[at + 8] == width
        at += 1 if marker == 0xFF else 2 + data[at + 2] * 256 + data[at + 3]
    return False


@numba.njit(nogil=True, parallel=True)
def _decode_batch(batch_indices, images, status, metadata, storage):
    content, pointers, sizes = storage
    for slot in numba.prange(len(batch_indices)):
        field = metadata[batch_indices[slot]]
        start = field["data_ptr"]
        data = content[start : start + sizes[np.searchsorted(pointers, start)]]
        height, width = field["height"], field["width"]
        if field["mode"] == MODE_JPG and _has_size(data, height, width):
            status[slot, 0] = _imdecode(data, images[slot], height, width, height, width, 0, 0, 1, 1, False, False)
        elif field["mode"] == MODE_RAW and data.size == images[slot].size:
            _memcpy(data, images[slot])
            status[slot, 0] = 0
        else:
            status[slot, 0] = -1


class CheckedRGBImageDecoder(SimpleRGBImageDecoder):
    """FFCV's decoder of images of one size, giving back `(pixels, status)`; a status that is not 0 is a failure."""

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, Any]:
        state, images = super().declare_state_and_memory(previous_state)
        return replace(state, jit_mode=True), (images, AllocationQuery((1,), np.dtype("<i4")))

    def generate_code(self) -> Callable:
        def decode(batch_indices, memory, metadata, storage):
            images, status = memory
            _decode_batch(batch_indices, images, status, metadata, storage)
            return images[: len(batch_indices)], status[: len(batch_indices)]

        return decode


class SeededOrder(TraversalOrder):
    """FFCV's traversal order, driven by our `Schedule`."""

    def __init__(self, schedule: Schedule, source: np.ndarray) -> None:
        self.schedule, self.source = schedule, source

    def __call__(self, loader: StockLoader) -> "SeededOrder":
        """FFCV calls the order it was given with the loader; ours needs nothing of it."""
        return self

    def sample_order(self, epoch: int, start_step: int = 0) -> Any:
        """Positions in the beton, as an int64 array (FFCV's annotations say sequence of int)."""
        return self.source[self.schedule.positions(epoch, start_step)]


class _Epoch(EpochIterator):
    """FFCV's thread, with its failures kept and its end in our hands."""

    def __init__(self, loader: StockLoader, order: Any, beton: BetonFile) -> None:
        self.beton = beton
        self.failure: BaseException | None = None
        self.num_threads: int | None = None
        self.torch_threads = torch.get_num_threads()
        super().__init__(loader, order)

    def run(self) -> None:
        try:
            super().run()
        except BaseException as failure:
            self.failure = failure

    def run_pipeline(self, b_ix: int, batch_indices: np.ndarray, batch_slot: int, cuda_event: Any) -> Any:
        if self.num_threads is None:
            self.num_threads = numba.get_num_threads()
            torch.set_num_threads(self.torch_threads)
        self.beton.check_unchanged()  # to read beyond the end of a file that was cut off would end the process
        return super().run_pipeline(b_ix, batch_indices, batch_slot, cuda_event)

    def __next__(self) -> Any:
        while True:
            if self.closed:
                raise InputError("the loader was closed while an epoch was being read; close it last")
            try:
                item = self.output_queue.get(timeout=_POLL_S)
            except queue.Empty:
                if self.is_alive() or not self.output_queue.empty():
                    continue
                raise self.failure or RuntimeError("FFCV's reading thread ended before its epoch did") from None
            if item is not None:
                return item[1]
            if not self.closed:  # else the thread found no further batch because of that
                raise StopIteration

    def close(self) -> None:
        """End the thread, whatever it is doing, and give back its memory. Safe to call twice."""
        if self.closed:
            return
        self.closed = True
        self.terminate_event.set()
        self.iter_ixes = iter(())  # the thread asks it for the next batch and finds none
        while self.is_alive():
            with contextlib.suppress(queue.Empty):
                self.output_queue.get_nowait()  # it may be waiting for room
            self.join(timeout=0.01)
        self.memory_context.__exit__(None, None, None)
        self.memory_allocations = self.storage_state = None


def _image_pipeline(fields: dict[str, str]) -> dict[str, Any]:
    """Decode the image field that `BetonFile` serves, and no other: labels are known already."""
    images = [name for name, kind in fields.items() if kind == "RGBImageField"]
    image = "image" if "image" in images else images[0]
    return {**dict.fromkeys(fields), image: [CheckedRGBImageDecoder()]}


class FfcvLoader:
    """Serves a beton of images of one size through FFCV; batches are on `device`."""

    def __init__(
        self,
        served: Served,
        schedule: Schedule,
        *,
        num_workers: int = 2,
        batches_ahead: int = 3,
        device: torch.device | str = "cpu",
        reason: str = "asked for",
        on_error: OnError = "raise",
    ) -> None:
        check_counts(num_workers, batches_ahead)
        self.info, self.batch_size, self.source = served.info, schedule.rank_batch_size, served.source
        self.device, self.reason = torch.device(device), reason
        self._served, self._schedule = served, schedule
        self._on_error: OnError = on_error
        served.require_one_size("loader=ffcv")
        self._requested_workers = num_workers
        self._threads_read_back: int | None = None
        self._epochs: set[_Epoch] = set()
        self._order = SeededOrder(schedule, served.source)
        self._stock: StockLoader | None = self._open_stock(num_workers, batches_ahead)

    def _open_stock(self, num_workers: int, batches_ahead: int) -> StockLoader:
        """FFCV's loader of the image field alone.

        The caller's thread counts are put back afterwards. FFCV's compiler is off meanwhile: its product would be a
        wrapper around `_decode_batch` and a page reader that nothing calls, for .4 s per loader.
        """
        torch_threads, numba_threads = torch.get_num_threads(), numba.get_num_threads()
        Compiler.set_enabled(False)
        try:
            return StockLoader(
                str(self._served.path),
                batch_size=self.batch_size,
                num_workers=min(num_workers, numba.config.NUMBA_NUM_THREADS),  # pyright: ignore[reportAttributeAccessIssue]
                os_cache=True,
                order=self._order,
                pipelines=_image_pipeline(self._served.beton.fields),
                drop_last=self._schedule.drop_last,
                batches_ahead=batches_ahead,
            )
        finally:
            Compiler.set_enabled(True)
            torch.set_num_threads(torch_threads)
            numba.set_num_threads(numba_threads)

    def __len__(self) -> int:
        return len(self._schedule)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of one epoch; its thread starts with the first batch and ends with the epoch, however that ends."""
        if self._stock is None:
            raise InputError("the loader is closed; open another one")
        batches = self._schedule.batches(number, start_step)
        return self._read(batches, self._order.sample_order(number, start_step))

    def _read(self, batches: list[np.ndarray], source: Any) -> Iterator[Batch]:
        if self._stock is None:
            raise InputError("the loader is closed; open another one")
        self._served.beton.check_unchanged()  # FFCV maps it anew for each epoch
        epoch = _Epoch(self._stock, source, self._served.beton)
        self._epochs.add(epoch)
        try:
            for positions in batches:
                (pixels, status), *_ = next(epoch)
                self._served.beton.check_unchanged()  # of one that was cut off, some samples read as zeros
                self._threads_read_back = epoch.num_threads
                yield self._copy_out(positions, pixels, self._kept(positions, status))
        finally:
            epoch.close()
            self._epochs.discard(epoch)

    def _kept(self, positions: np.ndarray, status: np.ndarray) -> np.ndarray | None:
        """Which rows stay; None for all."""
        failed = np.flatnonzero(status[:, 0]).tolist()
        if not failed:
            return None
        source = self._served.source[positions]
        failures = [Failure(row, self._reason(int(source[row]))) for row in failed]
        kept = kept_rows(self._served.beton, source, failures, self._on_error)
        if not kept.any():
            raise nothing_left(self._served.beton, source)
        return kept

    def _reason(self, sample: int) -> str:
        try:
            self._served.beton.decode(sample)
        except InputError as error:
            return str(error).partition("is damaged: ")[2].partition("; write")[0]
        return "it does not decode cleanly"

    def _copy_out(self, positions: np.ndarray, pixels: np.ndarray, kept: np.ndarray | None) -> Batch:
        """A batch that owns its memory. To a GPU it goes through pinned memory, which torch guards until copied."""
        skipped = 0
        if kept is not None:
            positions, pixels, skipped = positions[kept], pixels[kept], int((~kept).sum())
        pinned = self.device.type == "cuda"
        images = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=pinned)
        images.copy_(torch.from_numpy(pixels))
        labels, index = torch.from_numpy(self._served.labels[positions]), torch.from_numpy(positions.copy())
        return Batch(
            images=images.to(self.device, non_blocking=pinned).permute(0, 3, 1, 2),
            labels=labels.to(self.device, non_blocking=pinned),
            index=index.to(self.device, non_blocking=pinned),
            skipped=skipped,
        )

    def close(self) -> None:
        """End running epochs and let go of the file. Safe to call twice."""
        for epoch in list(self._epochs):
            epoch.close()
        if self._stock is not None:
            self._stock.memory_manager.context.mmap = None  # pyright: ignore[reportAttributeAccessIssue]
            self._stock = None

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "ffcv",
            "reason": self.reason,
            "num_workers": self._requested_workers,
            "threads_read_back": self._threads_read_back,
            "os_cache": True,
            "on_error": self._on_error,
            "batches_ahead": self._stock.batches_ahead if self._stock else None,
            "device": str(self.device),
            **self._schedule.describe(),
        }
