"""A sample as the plain pool reads it: the checks of batch.c, and its pixels by a decoder that is given."""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from fastssl.native.batch import View

Decode = Callable[[bytes | memoryview, int, int], np.ndarray]
"""(JPEG, height, width) to RGB uint8 (height, width, 3); raises where the JPEG is damaged or of another size. To give
the same pixels it is libjpeg-turbo's whole decode, accurate transform and smooth upsampling."""


class Refused(Exception):
    """One line: why a sample fails."""


class Sample(NamedTuple):
    offset: int
    num_bytes: int
    height: int
    width: int
    jpeg: int
    unused: int


def check_sample(source: np.ndarray, samples: np.ndarray, item: int) -> Sample:
    sample = Sample(*samples[item].tolist())
    size, raw = f"{sample.height} x {sample.width} pixels", 3 * sample.height * sample.width
    if sample.num_bytes == 0:
        raise Refused("empty: it holds no bytes")
    if sample.offset + sample.num_bytes > source.size:
        raise Refused(f"outside the file: {sample.num_bytes} bytes from {sample.offset} on, of {source.size}")
    if not (1 <= sample.height <= 65535 and 1 <= sample.width <= 65535):
        raise Refused(f"wrong size: {size}")
    if not sample.jpeg and sample.num_bytes != raw:
        raise Refused(f"wrong size: {sample.num_bytes} bytes, but {size} take {raw}")
    return sample


def check_box(sample: Sample, box: tuple[int, ...]) -> None:
    top, left, height, width = box
    rows = top >= 0 and 0 < height <= sample.height - top
    if not rows or left < 0 or not 0 < width <= sample.width - left:
        place = f"{height} x {width} at ({top}, {left}) of {sample.height} x {sample.width}"
        raise Refused(f"crop outside the image: {place}")


def check_room(sample: Sample, room: tuple[int, ...]) -> None:
    if sample.height > room[0] or sample.width > room[1]:
        size = f"{sample.height} x {sample.width} pixels"
        raise Refused(f"too large: {size}, and there is room for {room[0]} x {room[1]}")


def shrink_of(boxes: Sequence[tuple[int, ...]], views: Sequence[View]) -> int:
    """The smallest scale at which no crop has to grow again."""
    fits = [min(box[2:]) // view.out.shape[1] for box, view in zip(boxes, views, strict=True)]
    return next(shrink for shrink in (8, 4, 2, 1) if shrink == 1 or all(fit >= shrink for fit in fits))


def read_pixels(source: np.ndarray, sample: Sample, shrink: int, decode: Decode) -> np.ndarray:
    """The whole image of a checked sample, a JPEG at 1/shrink (1, 2, 4, 8) of its size."""
    payload = source[sample.offset : sample.offset + sample.num_bytes]
    if not sample.jpeg:
        return payload.reshape(sample.height, sample.width, 3)
    try:
        pixels = decode(payload.data, sample.height, sample.width)
    except Exception as error:
        raise Refused(_why(payload, sample, error)) from error
    return pixels if shrink == 1 else _decode_scaled(payload, shrink)


def _open(payload: np.ndarray) -> JpegImageFile:
    """Reads the header. `Image.open` would refuse large images, and guess at formats."""
    return JpegImageFile(io.BytesIO(payload.data))


def _decode_scaled(payload: np.ndarray, shrink: int) -> np.ndarray:
    """Pillow's draft of a JPEG that was found whole: libjpeg-turbo's decode at 1/shrink."""
    image = _open(payload)
    image.draft("RGB", (image.width // shrink, image.height // shrink))  # the smallest scale that is no smaller
    return np.asarray(image.convert("RGB"))


def _why(payload: np.ndarray, sample: Sample, error: Exception) -> str:
    """The decoder's own words, unless the header shows a size that is not the entry's."""
    with suppress(Exception):  # a header that Pillow cannot read shows no size
        width, height = _open(payload).size
        if (height, width) != (sample.height, sample.width):
            return f"wrong size: the JPEG is {height} x {width}, its entry says {sample.height} x {sample.width}"
    return f"damaged JPEG: {error}"
