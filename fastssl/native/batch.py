"""What a pool is given and gives back, and the checks of it: the same for every kind of pool."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int32, UInt8

from fastssl.errors import InputError
from fastssl.native.library import SAMPLE

CUBIC = {"bilinear": False, "bicubic": True}
MOST_THREADS = 1024
_LEAST_WORDS, _MOST_SIDE = 5, 8192


class Failure(NamedTuple):
    """A sample whose pixels were not made: its place in the batch, and one line that says why."""

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


def describe_samples(
    offsets: Int[np.ndarray, "b"],
    payload_bytes: Int[np.ndarray, "b"],
    sizes: Int[np.ndarray, "b 2"],
    jpeg: Bool[np.ndarray, "b"],
) -> np.ndarray:
    """The samples of a batch as pools take them: payload's offset and length, (height, width), coding."""
    samples = np.zeros(len(offsets), SAMPLE)
    samples["offset"], samples["bytes"], samples["jpeg"] = offsets, payload_bytes, jpeg
    samples["height"], samples["width"] = np.asarray(sizes)[:, 0], np.asarray(sizes)[:, 1]
    return samples


def check_threads(num_threads: int) -> None:
    if not 1 <= num_threads <= MOST_THREADS:
        raise InputError(f"num_threads={num_threads} is not a number of threads; give 1 to {MOST_THREADS}")


def check_crops(source: np.ndarray, samples: np.ndarray, views: Sequence[View]) -> None:
    """Raises `InputError` where an array is not what `make_crops` takes."""
    _check_bytes(source, samples)
    for number, view in enumerate(views):
        _check_view(number, view, len(samples))


def check_images(source: np.ndarray, samples: np.ndarray, boxes: np.ndarray, out: np.ndarray) -> None:
    """The same for `read_images`."""
    _check_bytes(source, samples)
    if boxes.dtype != np.int32 or boxes.shape != (len(samples), 4) or not boxes.flags.c_contiguous:
        raise InputError(f"boxes is {_kind(boxes)}; give contiguous int32 ({len(samples)}, 4)")
    height, width = out.shape[1:3] if out.ndim == 4 else (0, 0)
    shaped = out.shape == (len(samples), height, width, 3) and height > 0 and width > 0
    if not shaped or not _writeable_bytes(out):
        raise InputError(f"out is {_kind(out)}; give writeable uint8 ({len(samples)}, height, width, 3)")


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
    if not shaped or not _writeable_bytes(out):
        raise InputError(f"out of view {number} is {_kind(out)}; give writeable uint8 ({num_samples}, side, side, 3)")


def _writeable_bytes(out: np.ndarray) -> bool:
    return out.dtype == np.uint8 and out.flags.c_contiguous and out.flags.writeable


def _kind(array: Any) -> str:
    return f"{array.dtype} {tuple(array.shape)}"
