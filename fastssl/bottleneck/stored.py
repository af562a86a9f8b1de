"""Some images of a dataset as they are stored, or as they would be if they were written otherwise."""

import mmap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from fastssl import native
from fastssl.augment import Drawer
from fastssl.data.beton import BetonFile
from fastssl.data.encode import Task, encode_sample
from fastssl.data.format import MODE_JPG
from fastssl.data.options import WriteOptions
from fastssl.data.source import Item
from fastssl.types import Draw


@dataclass(frozen=True, eq=False)
class Stored:
    """Payloads somewhere in `source`, a mapped file or memory."""

    source: UInt8[np.ndarray, "bytes"]
    samples: np.ndarray
    """As `native.describe_samples` gives them."""
    mapped: mmap.mmap | None = None
    """The file, where it is one."""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def sizes(self) -> Int64[np.ndarray, "n 2"]:
        """Height and width in pixels."""
        return np.stack((self.samples["height"], self.samples["width"]), axis=1).astype(np.int64)

    @property
    def bytes_per_image(self) -> float:
        return float(self.samples["bytes"].mean())

    @property
    def is_jpeg(self) -> bool:
        """Whether most of the images are; the others are raw pixels."""
        return bool(self.samples["jpeg"].mean() > 0.5)

    def forget(self) -> None:
        """Lets go of the pages this process has mapped; what the page cache holds stays there."""
        if self.mapped is not None:
            self.mapped.madvise(mmap.MADV_DONTNEED)

    def draw(self, drawer: Drawer) -> Draw:
        """The views of a first epoch in which these are the first images of the dataset."""
        return drawer(0, np.arange(len(self), dtype=np.int64), self.sizes)


def stored_in(beton: BetonFile, positions: Int64[np.ndarray, "n"]) -> Stored:
    """Those samples of a file."""
    samples = native.describe_samples(
        beton.offsets[positions],
        beton.payload_sizes[positions],
        beton.sizes[positions],
        beton.modes[positions] == MODE_JPG,
    )
    return Stored(beton.content, samples, beton.mapped)


def written_otherwise(
    beton: BetonFile, positions: Int64[np.ndarray, "n"], options: WriteOptions, num_threads: int
) -> Stored:
    """Those samples in memory as `fastssl beton write` with these options would store what the file holds now."""

    def encode(position: int):
        task = Task(position, Item(position, beton.decode(position), f"sample {position}"), 0, options.mode == "jpg")
        return encode_sample(task, options)

    with ThreadPoolExecutor(num_threads) as threads:
        samples = list(threads.map(encode, positions.tolist()))
    payload_bytes = np.array([len(sample.payload) for sample in samples], dtype=np.int64)
    offsets = np.cumsum(payload_bytes) - payload_bytes
    sizes = np.array([(sample.height, sample.width) for sample in samples], dtype=np.int64)
    source = np.frombuffer(b"".join(sample.payload for sample in samples), dtype=np.uint8)
    is_jpeg = np.full(len(samples), options.mode == "jpg")
    return Stored(source, native.describe_samples(offsets, payload_bytes, sizes, is_jpeg))
