"""The pool of C threads."""

import ctypes
import os
import weakref
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Int32, UInt8

from fastssl.errors import InputError
from fastssl.native.batch import CUBIC, Failure, View, check_crops, check_images, check_threads
from fastssl.native.library import MESSAGE_BYTES, CCrops, CImages, CSource, CView, load


class Pool:
    """Threads that make views. Safe to share: several threads may have batches under way, the earlier goes first.

    Memory: per thread, the largest decoded region so far (3 bytes per pixel) and some rows of it. A pool does not
    outlive a fork.
    """

    kind: Literal["native"] = "native"

    def __init__(self, num_threads: int) -> None:
        """Starts `num_threads` (1-1024); raises `InputError` where the library or a thread is not to be had."""
        library = load()
        if isinstance(library, str):
            raise InputError(library)
        check_threads(num_threads)
        handle = library.fs_pool_open(num_threads)
        if not handle:
            raise InputError(f"num_threads={num_threads} could not be started; give fewer")
        self.num_threads = num_threads
        self._library, self._handle, self._process = library, handle, os.getpid()
        self._close = weakref.finalize(self, _close, library, handle, self._process)

    def close(self) -> None:
        """Ends the threads; not while a batch is under way. Closing again does nothing."""
        self._close()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def make_crops(
        self, source: UInt8[np.ndarray, "bytes"], samples: np.ndarray, views: Sequence[View], *, scaled: bool = False
    ) -> list[Failure]:
        """Writes all views of a batch; returns when they are done, with the samples that failed.

        `samples` comes from `describe_samples`; its offsets count from the start of `source`, usually a mapped file.
        The rows of a failing sample keep what they held, unless its file became unreadable midway. Damaged or cut-off
        data, a size that differs from the entry's, a crop or payload outside its bounds, a mapped file that is cut off
        or fails while it is read are failures; not so a bit that flipped inside compressed data without breaking it,
        and raw pixels in the last page of a file that was cut off, which read as zeros. `scaled` decodes at 1/2, 1/4
        or 1/8 of the size where every crop of a sample still shrinks that much: quicker, and no longer equal to
        torchvision's resize of the whole image.
        Wrong arrays raise `InputError`.
        """
        check_crops(source, samples, views)
        c_views = (CView * len(views))(*(_c_view(view) for view in views))
        messages = _messages(samples)
        batch = CCrops(_c_source(source, samples, messages), c_views, len(views), scaled)
        return self._run(self._library.fs_make_crops, batch, messages)

    def read_images(
        self,
        source: UInt8[np.ndarray, "bytes"],
        samples: np.ndarray,
        boxes: Int32[np.ndarray, "b 4"],
        out: UInt8[np.ndarray, "b height width 3"],
    ) -> list[Failure]:
        """Writes the pixels of each image that lie in its box to their own place: out[i, y, x] is pixel (y, x).

        `boxes` are top, left, height, width in pixels; all of an image is (0, 0, height, width). What the image's
        pixels outside its box hold afterwards is undefined, and so is a failing sample's image; nothing outside the
        image is touched. An image larger than its place is a failure, and so is all that `make_crops` names; wrong
        arrays raise `InputError`.
        """
        check_images(source, samples, boxes, out)
        messages = _messages(samples)
        c_source = _c_source(source, samples, messages)
        batch = CImages(c_source, boxes.ctypes.data, out.ctypes.data, *out.shape[1:3])
        return self._run(self._library.fs_read_images, batch, messages)

    def _run(self, run: Any, batch: ctypes.Structure, messages: np.ndarray) -> list[Failure]:
        if not self._close.alive or self._process != os.getpid():
            raise InputError("pool is closed, or belongs to the process this one was forked from; open another")
        return _read_failures(messages) if run(self._handle, ctypes.byref(batch), len(messages)) else []


def _close(library: ctypes.CDLL, handle: int, process: int) -> None:
    if os.getpid() == process:  # a forked child has the handle without the threads
        library.fs_pool_close(handle)


def _messages(samples: np.ndarray) -> np.ndarray:
    return np.empty((len(samples), MESSAGE_BYTES), np.uint8)  # each is emptied by the thread that has its sample


def _c_source(source: np.ndarray, samples: np.ndarray, messages: np.ndarray) -> CSource:
    return CSource(source.ctypes.data, source.size, samples.ctypes.data, messages.ctypes.data)


def _c_view(view: View) -> CView:
    words = view.crops.shape[1]
    return CView(view.crops.ctypes.data, words, view.out.ctypes.data, view.out.shape[1], CUBIC[view.interpolation])


def _read_failures(messages: np.ndarray) -> list[Failure]:
    failed = np.flatnonzero(messages[:, 0]).tolist()
    return [Failure(place, messages[place].tobytes().split(b"\0", 1)[0].decode(errors="replace")) for place in failed]
