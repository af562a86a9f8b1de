"""The pool where the C library is not compiled: another decoder's whole images, and the same pixels bit for bit.

Slower: an image is decoded as a whole, and each sample passes through the interpreter. A mapped file that is cut off
while it is read ends the process here; everything else that fails a sample in C fails it here, with the same words at
the line's beginning.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from jaxtyping import Int32, UInt8

from fastssl.errors import InputError
from fastssl.native.batch import CUBIC, Failure, View, check_crops, check_images, check_threads
from fastssl.native.plain_resize import cut_view
from fastssl.native.plain_sample import Decode, Refused, check_box, check_room, check_sample, read_pixels, shrink_of


class PlainPool:
    """`Pool`'s interface and results on Python's threads; for the methods' arguments see there."""

    kind: Literal["plain"] = "plain"

    def __init__(self, num_threads: int, decode: Decode) -> None:
        """Starts up to `num_threads` (1-1024) as they are needed; `decode` is called by several at once."""
        check_threads(num_threads)
        self.num_threads = num_threads
        self._decode, self._process, self._closed = decode, os.getpid(), False
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="fastssl-plain")

    def close(self) -> None:
        """Ends the threads. Closing again does nothing."""
        self._closed = True
        self._threads.shutdown()

    def __enter__(self) -> "PlainPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def make_crops(
        self, source: UInt8[np.ndarray, "bytes"], samples: np.ndarray, views: Sequence[View], *, scaled: bool = False
    ) -> list[Failure]:
        """See `Pool.make_crops`. `scaled` costs time here: the whole decode, which sees the damage, comes first."""
        check_crops(source, samples, views)

        def work(item: int) -> None:
            sample = check_sample(source, samples, item)
            boxes = [tuple(view.crops[item, :4].tolist()) for view in views]
            for box in boxes:
                check_box(sample, box)
            shrink = shrink_of(boxes, views) if scaled and sample.jpeg else 1
            pixels = read_pixels(source, sample, shrink, self._decode)
            for view, box in zip(views, boxes, strict=True):
                part = tuple(edge / shrink for edge in box)
                cut_view(pixels, part, bool(view.crops[item, 4]), CUBIC[view.interpolation], view.out[item])

        return self._run(work, len(samples))

    def read_images(
        self,
        source: UInt8[np.ndarray, "bytes"],
        samples: np.ndarray,
        boxes: Int32[np.ndarray, "b 4"],
        out: UInt8[np.ndarray, "b height width 3"],
    ) -> list[Failure]:
        """See `Pool.read_images`."""
        check_images(source, samples, boxes, out)

        def work(item: int) -> None:
            sample = check_sample(source, samples, item)
            top, left, height, width = box = tuple(boxes[item].tolist())
            check_box(sample, box)
            check_room(sample, out.shape[1:3])
            part = slice(top, top + height), slice(left, left + width)
            out[item][part] = read_pixels(source, sample, 1, self._decode)[part]

        return self._run(work, len(samples))

    def _run(self, work: Callable[[int], None], num_samples: int) -> list[Failure]:
        if self._closed or self._process != os.getpid():
            raise InputError("pool is closed, or belongs to the process this one was forked from; open another")

        def line_of(item: int) -> str | None:
            try:
                work(item)
            except Refused as refused:
                return str(refused)
            return None

        lines = self._threads.map(line_of, range(num_samples))
        return [Failure(item, line) for item, line in enumerate(lines) if line]
