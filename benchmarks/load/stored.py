"""The stored sets of a campaign, and the ramps that crops are read back from; written once into a cache folder."""

import ctypes
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int64

from benchmarks.contract import NUM_PROBES, PROBE, probe_ramps
from benchmarks.load.cases import STORED
from benchmarks.load.photographs import PhotographSource, recipe
from fastssl.data.beton import BetonFile
from fastssl.data.dataset import write_dataset
from fastssl.data.export import export_folder
from fastssl.data.format import MODE_JPG
from fastssl.data.pack import write_beton
from fastssl.data.source import Item, Source, SourceInfo

NUM_CIFAR = 50_000
RAMP_LABELS = 32
RAMP_QUALITY = 95


@dataclass(frozen=True)
class StoredSet:
    """One set as beton, and of JPEGs the same bytes as class folders."""

    beton: Path

    @property
    def folder(self) -> Path:
        """`<class>/<index>.jpg`."""
        return self.beton.with_suffix("")

    def warm(self) -> None:
        """Reads the files once, so that every contestant finds them in the page cache."""
        for path in self._files():
            with path.open("rb") as file:
                while file.read(1 << 20):
                    pass

    def cool(self) -> float:
        """Asks for the files to leave the page cache; returns the share of the beton that is still there."""
        for path in self._files():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # what is not on the disk yet cannot leave
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with self.beton.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            content = np.frombuffer(mapped, np.uint8)
            there = np.zeros(-(-len(content) // mmap.PAGESIZE), np.uint8)
            given = ctypes.c_void_p(content.ctypes.data), ctypes.c_size_t(len(content))
            failed = ctypes.CDLL(None).mincore(*given, ctypes.c_void_p(there.ctypes.data))
            del content
        return 1.0 if failed else float((there & 1).mean())

    def _files(self) -> list[Path]:
        return [self.beton, *self.folder.rglob("*.jpg")]


@dataclass(frozen=True)
class Cache:
    """Sets of `num_photographs` (and of `num_small` for `raw-32`) in `folder`; what is there is taken as it is."""

    folder: Path
    num_photographs: int
    num_small: int
    cifar: Path | None = None

    def stored(self, name: str) -> StoredSet:
        """The set that a case is measured on."""
        small = name == "raw-32"
        count, source = (self.num_small if small else self.num_photographs), f"photographs-{recipe()}"
        if small and self.cifar is not None:
            source = self.cifar.name.split(".")[0]
        path = self.folder / f"{source}-{count}-{name}.beton"
        if not path.exists():
            self._write(name, count, path)
        return _with_folder(path)

    def _write(self, name: str, count: int, path: Path) -> None:
        if name != "raw-32":
            write_beton(PhotographSource(count), path, STORED[name])
        elif self.cifar is None:
            write_beton(PhotographSource(count, side=32), path, STORED[name])
        else:
            options = replace(STORED[name], fraction=count / NUM_CIFAR)
            write_dataset("cifar10", options, archive=self.cifar, split="train", out=path)

    def ramps(self, name: str) -> StoredSet:
        """Coordinate ramps in the coding of that set."""
        jpeg = STORED[name].mode == "jpg"
        path = self.folder / f"ramps-{'jpeg' if jpeg else 'raw'}.beton"
        if not path.exists():
            source: Source = RampSource(jpeg)
            write_beton(source, path, replace(STORED[name], max_side=None))
        return _with_folder(path)


@dataclass(frozen=True)
class RampSource:
    """`probe_ramps` with their number as label. Of JPEGs every other has full chroma (4:4:4), which some decoders that
    were published turn into zeros."""

    jpeg: bool

    @property
    def info(self) -> SourceInfo:
        return SourceInfo(name="ramps", class_names=tuple(f"{label:02d}" for label in range(RAMP_LABELS)))

    @property
    def labels(self) -> Int64[np.ndarray, "n"]:
        return np.arange(NUM_PROBES, dtype=np.int64) % RAMP_LABELS

    def read(self, positions: Int64[np.ndarray, "m"]) -> Iterator[Item]:
        ramps, _ = probe_ramps(NUM_PROBES)
        for position in positions.tolist():
            pixels = ramps[position].permute(1, 2, 0).contiguous().numpy()
            assert pixels.shape[:2] == PROBE
            image = _encode(pixels, position) if self.jpeg else pixels
            yield Item(position, image, f"ramp {position}")


def _with_folder(path: Path) -> StoredSet:
    stored = StoredSet(path)
    if is_jpeg(BetonFile(path)) and not stored.folder.exists():
        export_folder(path, stored.folder)
    return stored


def _encode(pixels: np.ndarray, position: int) -> bytes:
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if position % 2 else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    options = [cv2.IMWRITE_JPEG_QUALITY, RAMP_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    done, coded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    assert done
    return coded.tobytes()


def is_jpeg(beton: BetonFile) -> bool:
    return bool((beton.modes == MODE_JPG).all())
