"""Betons by this library and by FFCV, and the ceiling: files appended to one file."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.load.cases import STORED, THREADS
from benchmarks.load.iterated import Samples
from fastssl.data.beton import BetonFile
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.sources import folder_source

QUALITY = STORED["jpeg-500"].quality
_HEAD = struct.Struct("<qq")
"""Bytes of the image, label."""


def write(home: Path, samples: Samples) -> None:
    _write_beton(home, samples, keep_jpeg=True)


def write_again(home: Path, samples: Samples) -> None:
    _write_beton(home, samples, keep_jpeg=False)


def _write_beton(home: Path, samples: Samples, keep_jpeg: bool) -> None:
    options = WriteOptions(mode="jpg", quality=QUALITY, keep_jpeg=keep_jpeg, num_threads=THREADS)
    write_beton(folder_source(Path(samples[0][0]).parent.parent, name="photographs"), _file(home), options)


def write_with_ffcv(home: Path, samples: Samples) -> None:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter
    from torchvision.datasets import ImageFolder

    fields = {"image": RGBImageField(write_mode="jpg", jpeg_quality=QUALITY), "label": IntField()}
    folder = ImageFolder(str(Path(samples[0][0]).parent.parent))
    DatasetWriter(str(_file(home)), fields, num_workers=THREADS).from_indexed_dataset(folder)


def read_back(home: Path) -> Iterator[tuple[bytes, int]]:
    if not (home / "set.beton").exists():
        yield from _read_appended(home)
        return
    beton = BetonFile(home / "set.beton")
    for place, label in enumerate(beton.labels.tolist()):
        yield bytes(beton.payload(place)), label


def read_pixels(home: Path) -> Iterator[tuple[np.ndarray, int]]:
    beton = BetonFile(home / "set.beton")
    for place, label in enumerate(beton.labels.tolist()):
        yield beton.decode(place), label


def append(home: Path, samples: Samples) -> None:
    home.mkdir(parents=True)
    with (home / "appended").open("wb") as out:
        for path, label in samples:
            content = Path(path).read_bytes()
            out.write(_HEAD.pack(len(content), label))
            out.write(content)


def _read_appended(home: Path) -> Iterator[tuple[bytes, int]]:
    with (home / "appended").open("rb") as file:
        while head := file.read(_HEAD.size):
            size, label = _HEAD.unpack(head)
            yield file.read(size), label


def _file(home: Path) -> Path:
    home.mkdir(parents=True)
    return home / "set.beton"
