"""Many views of each image from one decode: libjpeg-turbo, an antialiased resize and a thread pool in C.

A sample is read and decoded once, only where its crops lie; every view is then cut from those pixels. The result is a
function of the bytes and the crops alone: any number of threads, any processor and any batch give the same pixels.

Against `torchvision.transforms.v2.functional.resized_crop` on float pixels with antialias, a view is at most one level
of 255 off. Without `scaled` the pixels under the resize equal those of a whole decode by libjpeg-turbo (accurate
integer transform, smooth upsampling of chroma).
"""

import ctypes
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int32, UInt8

from fastssl.errors import InputError
from fastssl.native.library import MESSAGE_BYTES, SAMPLE, CBatch, CView, load

CUBIC = {"bilinear": False, "bicubic": True}
_MOST_THREADS, _LEAST_WORDS, _MOST_SIDE = 1024, 5, 8192


class Failure(NamedTuple):
    """A sample whose views were not made: its place in the batch, and one line that says why."""

    sample: int
    message: str


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """One view of every sample of a batch."""

    crops: Int32[np.ndarray, "b words"]
    """Top, left, height, width in pixels of the source image, and whether to flip left to right; further columns are
    the caller's (a `ViewParams.table` fits as it is)."""
    out: UInt8[np.ndarray, "b size size 3"]
    """Where the view is written: RGB, 0-255, contiguous."""
    interpolation: str = "bilinear"


def available() -> str | None:
    """None where the native decoder can be used, else one line: why not, and the remedy."""
    library = load()
    return library if isinstance(library, str) else None


def describe_samples(
    offsets: Int[np.ndarray, "b"],
    payload_bytes: Int[np.ndarray, "b"],
    sizes: Int[np.ndarray, "b 2"],
    jpeg: Bool[np.ndarray, "b"],
) -> np.ndarray:
    """The samples of a batch as `Pool.make_crops` takes them: payload's offset and length, (height, width), coding."""
    samples = np.zeros(len(offsets), SAMPLE)
    samples["offset"], samples["bytes"], samples["jpeg"] = offsets, payload_bytes, jpeg
    samples["height"], samples["width"] = np.asarray(sizes)[:, 0], np.asarray(sizes)[:, 1]
    return samples


class Pool:
    """Threads that make views. Safe to share: several threads may have batches under way, the earlier goes first.

    Memory: per thread, the largest decoded region so far (3 bytes per pixel) and some rows of it. A pool does not
    outlive a fork.
    """

    def __init__(self, num_threads: int) -> None:
        """Starts `num_threads` (1-1024); raises `InputError` where the library or a thread is not to be had."""
        library = load()
        if isinstance(library, str):
            raise InputError(library)
        if not 1 <= num_threads <= _MOST_THREADS:
            raise InputError(f"num_threads={num_threads} is not a number of threads; give 1 to {_MOST_THREADS}")
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
        The rows of a failing sample keep what they held. Damaged or cut-off data, a size that differs from the
        entry's, a crop or payload outside its bounds are failures; a bit that flipped inside compressed data without
        breaking it cannot be seen. `scaled` decodes at 1/2, 1/4 or 1/8 of the size where every crop of a sample still
        shrinks that much: quicker, and no longer equal to torchvision's resize of the whole image.
        Wrong arrays raise `InputError`.
        """
        if not self._close.alive or self._process != os.getpid():
            raise InputError("pool is closed, or belongs to the process this one was forked from; open another")
        _check_bytes(source, samples)
        for number, view in enumerate(views):
            _check_view(number, view, len(samples))
        messages = np.zeros((len(samples), MESSAGE_BYTES), np.uint8)
        c_views = (CView * len(views))(*(_c_view(view) for view in views))
        batch = CBatch(
            source.ctypes.data, source.size, samples.ctypes.data, c_views, messages.ctypes.data, len(views), scaled
        )
        failed = self._library.fs_make_crops(self._handle, ctypes.byref(batch), len(samples))
        return _read_failures(messages) if failed else []


def _close(library: ctypes.CDLL, handle: int, process: int) -> None:
    if os.getpid() == process:  # a forked child has the handle without the threads
        library.fs_pool_close(handle)


def _c_view(view: View) -> CView:
    words = view.crops.shape[1]
    return CView(view.crops.ctypes.data, words, view.out.ctypes.data, view.out.shape[1], CUBIC[view.interpolation])


def _check_bytes(source: np.ndarray, samples: np.ndarray) -> None:
    if source.dtype != np.uint8 or source.ndim != 1 or not source.flags.c_contiguous:
        raise InputError(f"source is {_kind(source)}; give the file's bytes as one contiguous row of uint8")
    if samples.dtype != SAMPLE or samples.ndim != 1 or not samples.flags.c_contiguous:
        raise InputError(f"samples is {_kind(samples)}; give what describe_samples makes")


def _check_view(number: int, view: View, num_samples: int) -> None:
    crops, out = view.crops, view.out
    if view.interpolation not in CUBIC:
        raise InputError(f"interpolation={view.interpolation!r} is unknown; give 'bilinear' or 'bicubic'")
    shaped = crops.ndim == 2 and len(crops) == num_samples and crops.shape[1] >= _LEAST_WORDS
    if crops.dtype != np.int32 or not shaped or not crops.flags.c_contiguous:
        need = f"contiguous int32 ({num_samples}, {_LEAST_WORDS} or more)"
        raise InputError(f"crops of view {number} is {_kind(crops)}; give {need}")
    side = out.shape[1] if out.ndim == 4 else 0
    shaped = out.shape == (num_samples, side, side, 3) and 1 <= side <= _MOST_SIDE
    if out.dtype != np.uint8 or not shaped or not out.flags.c_contiguous or not out.flags.writeable:
        raise InputError(f"out of view {number} is {_kind(out)}; give writeable uint8 ({num_samples}, side, side, 3)")


def _kind(array: Any) -> str:
    return f"{array.dtype} {tuple(array.shape)}"


def _read_failures(messages: np.ndarray) -> list[Failure]:
    failed = np.flatnonzero(messages[:, 0]).tolist()
    return [Failure(place, messages[place].tobytes().split(b"\0", 1)[0].decode(errors="replace")) for place in failed]
