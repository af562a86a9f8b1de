"""One image to the bytes of its sample, with what is measured on the way; runs in the writer's threads."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from fastssl.data.fingerprint import sample_digest
from fastssl.data.format import MODE_JPG, MODE_RAW
from fastssl.data.jpeg import encode_jpeg
from fastssl.data.options import WriteOptions
from fastssl.data.pixels import load_pixels
from fastssl.data.source import Item


class Task(NamedTuple):
    """What a thread needs to know to store one image."""

    target: int
    """Position in the beton."""
    item: Item
    label: int
    as_jpg: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One image as stored, and its share of the statistics (of the pixels before JPEG encoding)."""

    index: int
    payload: bytes | memoryview
    mode: int
    height: int
    width: int
    digest: bytes
    """SHA-256 of the sample as stored."""
    pixels_hash: bytes
    """16 bytes that are equal for equal pixels."""
    channel_sums: np.ndarray
    """(2, 3) float64: sums of the values 0-255 and of their squares, per channel."""
    warning: str | None


def encode_samples(tasks: Sequence[Task], options: WriteOptions) -> list[Sample]:
    """`encode_sample` for a handful at once, which costs a thread pool less."""
    return [encode_sample(task, options) for task in tasks]


def encode_sample(task: Task, options: WriteOptions) -> Sample:
    """Decode, resize, encode, hash and measure one image; raises `InputError` naming it."""
    pixels = load_pixels(task.item.image, task.item.name, options)
    rgb = np.ascontiguousarray(pixels.rgb)
    height, width = rgb.shape[:2]
    if not task.as_jpg:
        mode, payload = MODE_RAW, rgb.data.cast("B")
    elif options.keep_jpeg and pixels.original is not None:
        mode, payload = MODE_JPG, pixels.original
    else:
        mode, payload = MODE_JPG, encode_jpeg(rgb, options.quality)
    pixels_hash = hashlib.blake2b(rgb.data, digest_size=16, salt=height.to_bytes(4, "little")).digest()
    digest = sample_digest(task.label, mode, height, width, payload)
    sums = _measure_channels(rgb)
    return Sample(task.target, payload, mode, height, width, digest, pixels_hash, sums, pixels.warning)


def _measure_channels(rgb: np.ndarray) -> np.ndarray:
    """Sums and sums of squares per channel, whole numbers again after OpenCV's division; it releases the GIL."""
    num_pixels = rgb.shape[0] * rgb.shape[1]
    mean, std = (statistic.reshape(3) for statistic in cv2.meanStdDev(rgb))
    return np.rint(np.stack([mean, std**2 + mean**2]) * num_pixels)
