"""What the loader's threads spend on an image: reading it, decoding it, cutting its views."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64

from fastssl import native
from fastssl.bottleneck.pipeline import Cost
from fastssl.bottleneck.stored import Stored
from fastssl.bottleneck.timing import measure, measure_once
from fastssl.data.decoder import AnyPool, open_pool
from fastssl.errors import InputError
from fastssl.types import Draw

AS_FAST = 2.0
"""A first pass that takes up to this many times as long as the second found the file in memory; disks are slower."""


@dataclass(frozen=True)
class Reading:
    """Copying payloads out of the mapped file."""

    first: Cost
    """The first time: from the page cache or from the disk."""
    second: Cost
    """The same once the page cache must have them."""
    again: Cost
    """Once this process has those pages mapped, too: what later epochs over a file in memory pay."""
    bytes_per_image: float

    @property
    def warm(self) -> bool:
        """Whether the first pass already found the file in the page cache."""
        return self.first.wall_s <= AS_FAST * self.second.wall_s

    def mb_per_s(self, cost: Cost) -> float:
        return self.bytes_per_image / cost.wall_s / 1e6


@dataclass(frozen=True)
class Decoding:
    """Costs of decoding with some number of threads; each includes taking the bytes from memory."""

    decoder: str
    """Which one, and why where it is not the native one."""
    threads: int
    whole: Cost
    """Of all of each image."""
    region: Cost
    """Of the smallest box around the crops of all views."""
    crops: Cost
    """Of that box, and of cutting and resizing every view."""


def measure_reading(stored: Stored, threads: int, seconds: float) -> Reading:
    """Copies whole payloads with `threads` threads, each into a buffer of its own that stays in its cache."""
    shares = [part for part in np.array_split(stored.samples, threads) if len(part)]
    buffers = [np.empty(int(part["bytes"].max()), dtype=np.uint8) for part in shares]

    def copy(part: np.ndarray, buffer: np.ndarray) -> None:
        for offset, size in zip(part["offset"].tolist(), part["bytes"].tolist()):
            buffer[:size] = stored.source[offset : offset + size]

    with ThreadPoolExecutor(len(shares)) as pool:
        work = lambda: list(pool.map(copy, shares, buffers))
        # threads are started and buffers touched before the first pass, which cannot be repeated
        list(pool.map(lambda buffer: buffer.fill(0), buffers))
        first = measure_once(work, len(stored))
        stored.forget()
        second = measure_once(work, len(stored))
        return Reading(first, second, measure(work, len(stored), seconds), stored.bytes_per_image)


def measure_decoding(stored: Stored, draw: Draw, threads: int, seconds: float, *, scaled: bool = False) -> Decoding:
    """Decodes all images with `threads` threads of the loaders' decoder. Raises `InputError` for a damaged sample."""
    boxes = around_crops(draw)
    whole = np.concatenate((np.zeros_like(stored.sizes), stored.sizes), axis=1).astype(np.int32)
    pool, decoder = open_pool(threads)
    with pool:
        cost_of = lambda views: measure(lambda: _make(pool, stored, views, scaled), len(stored), seconds)
        return Decoding(decoder, threads, cost_of(_corners(whole)), cost_of(_corners(boxes)), cost_of(views_of(draw)))


def views_of(draw: Draw) -> list[native.View]:
    """What the pool is to cut, with memory for it."""
    return [
        native.View(params.table.numpy(), _empty(len(params.table), spec.size), spec.interpolation)
        for params, spec in zip(draw.params, draw.specs, strict=True)
    ]


def around_crops(draw: Draw) -> Int32[np.ndarray, "b 4"]:
    """Top, left, height, width of the smallest box around all views of each image."""
    crops = np.stack([params.crop.numpy() for params in draw.params])
    first = crops[:, :, :2].min(axis=0)
    return np.concatenate((first, (crops[:, :, :2] + crops[:, :, 2:]).max(axis=0) - first), axis=1)


def _corners(boxes: Int32[np.ndarray, "b 4"]) -> list[native.View]:
    """Two views of one pixel in opposite corners: the box between them is decoded, and resizing costs nothing."""
    last = boxes[:, :2] + boxes[:, 2:] - 1
    return [native.View(_one_pixel(corner), _empty(len(boxes), 1)) for corner in (boxes[:, :2], last)]


def _one_pixel(corner: Int64[np.ndarray, "b 2"]) -> Int32[np.ndarray, "b 5"]:
    ones, zeros = np.ones_like(corner), np.zeros_like(corner[:, :1])
    return np.ascontiguousarray(np.concatenate((corner, ones, zeros), axis=1), dtype=np.int32)


def _empty(count: int, side: int) -> np.ndarray:
    return np.empty((count, side, side, 3), dtype=np.uint8)


def _make(pool: AnyPool, stored: Stored, views: list[native.View], scaled: bool) -> None:
    if failures := pool.make_crops(stored.source, stored.samples, views, scaled=scaled):
        raise InputError(f"sample {failures[0].sample} of those examined is damaged: {failures[0].message}; "
                         "`fastssl beton verify` names it")  # fmt: skip
