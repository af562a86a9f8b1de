"""What the native decoder makes of the samples of a batch: the crops of every view, or the images they lie in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from fastssl import native
from fastssl.data.beton import BetonFile
from fastssl.data.buffers import Buffers
from fastssl.data.decoder import AnyPool
from fastssl.data.format import MODE_JPG
from fastssl.errors import InputError
from fastssl.types import Draw
from fastssl.views import ViewSpec

Made = tuple[list[UInt8[np.ndarray, "b _ _ 3"]], list[native.Failure]]


class Cutter(Protocol):
    """Makes arrays of `buffers` from samples of a file; rows of samples that failed hold anything."""

    def __call__(
        self, pool: AnyPool, beton: BetonFile, source: Int64[np.ndarray, "b"], draw: Draw | None, buffers: Buffers
    ) -> Made: ...

    @property
    def row_bytes(self) -> int:
        """Of what is made of one sample."""
        ...


def describe_source(beton: BetonFile, source: Int64[np.ndarray, "b"]) -> np.ndarray:
    """Those samples of the file as a pool takes them."""
    return native.describe_samples(
        beton.offsets[source], beton.payload_sizes[source], beton.sizes[source], beton.modes[source] == MODE_JPG
    )


@dataclass(frozen=True)
class CropCutter:
    """One array per view: its crop of every image, resized and flipped left to right."""

    specs: Sequence[ViewSpec]
    batch_size: int
    scaled: bool = False
    """Decode JPEGs at 1/2, 1/4 or 1/8 where every crop of an image shrinks that much."""

    def __post_init__(self) -> None:
        for v, spec in enumerate(self.specs):
            if not spec.antialias:
                raise InputError(f"antialias=False of view {v} is not what loader=crops does; give loader=images")

    @property
    def row_bytes(self) -> int:
        return sum(3 * spec.size**2 for spec in self.specs)

    def __call__(
        self, pool: AnyPool, beton: BetonFile, source: Int64[np.ndarray, "b"], draw: Draw | None, buffers: Buffers
    ) -> Made:
        assert draw is not None, "crops are drawn before they are cut"
        outs = [buffers.take((self.batch_size, spec.size, spec.size, 3), len(source)) for spec in self.specs]
        views = [
            native.View(table.numpy(), out, spec.interpolation)
            for table, out, spec in zip(draw.tables, outs, self.specs, strict=True)
        ]
        failures = pool.make_crops(beton.content, describe_source(beton, source), views, scaled=self.scaled)
        return outs, failures


@dataclass(frozen=True)
class ImageCutter:
    """One array of whole images in their upper left corners; only what the crops need of them is sure to be there."""

    height: int
    width: int
    batch_size: int

    @property
    def row_bytes(self) -> int:
        return 3 * self.height * self.width

    def __call__(
        self, pool: AnyPool, beton: BetonFile, source: Int64[np.ndarray, "b"], draw: Draw | None, buffers: Buffers
    ) -> Made:
        out = buffers.take((self.batch_size, self.height, self.width, 3), len(source))
        boxes = whole_boxes(beton.sizes[source]) if draw is None else _around_crops(draw)
        return [out], pool.read_images(beton.content, describe_source(beton, source), boxes, out)


def whole_boxes(sizes: Int64[np.ndarray, "b 2"]) -> Int32[np.ndarray, "b 4"]:
    """Top, left, height, width of all of each image."""
    return np.concatenate((np.zeros_like(sizes), sizes), axis=1).astype(np.int32)


def _around_crops(draw: Draw) -> Int32[np.ndarray, "b 4"]:
    """The smallest box around the crops of all views of each image."""
    crops = np.stack([params.crop.numpy() for params in draw.params])
    first = crops[:, :, :2].min(axis=0)
    end = (crops[:, :, :2] + crops[:, :, 2:]).max(axis=0)
    return np.concatenate((first, end - first), axis=1).astype(np.int32)
