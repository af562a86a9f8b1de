"""Betons that are damaged as disks, copies and people damage them, and loaders that read them."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ffcv.types import ALLOC_TABLE_TYPE, HeaderType
from PIL import Image

from fastssl.augment import Drawer
from fastssl.data.beton import BetonFile
from fastssl.data.format import hash_tables, read_layout
from fastssl.data.open import open_loader
from fastssl.data.paths import sidecar_path
from fastssl.types import Batch, Loader
from fastssl.views import ViewSpec

NUM_IMAGES, SIDE_PX = 20, 32
SPECS = (ViewSpec(size=16), ViewSpec(size=12, flip_p=1.0))
Damage = Callable[[Path, int], None]


def open_kind(kind: str, path: Path, **options: Any) -> Loader:
    """A loader with two workers at most; of `crops`, with two views."""
    views = {"views": Drawer(SPECS, options.get("seed", 0))} if kind == "crops" else {}
    return open_loader(kind, path, **{"batch_size": 5, "num_workers": 1, **views, **options})


def pixels_of(batch: Batch) -> tuple[np.ndarray, ...]:
    return tuple(tensor.numpy() for tensor in (batch.crops or (batch.images,)))


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)


def place(path: Path, sample: int) -> tuple[int, int]:
    """Where a sample's payload begins, and how long it is, in bytes."""
    beton = BetonFile(path)
    return int(beton.offsets[sample]), int(beton.payload_sizes[sample])


def reseal(path: Path) -> None:
    """The sidecar agrees with the tables as they are now: what a writer with a fault would have left."""
    content = np.fromfile(path, dtype=np.uint8)
    layout = read_layout(content, path)
    sidecar = json.loads(sidecar_path(path).read_text())
    sidecar["tables_sha256"] = hash_tables(content[: layout.data_begin], content[layout.data_end :])
    sidecar_path(path).write_text(json.dumps(sidecar))


def zero(start: float, stop: float) -> Damage:
    """That share of a payload becomes zeros."""

    def damage(path: Path, sample: int) -> None:
        offset, size = place(path, sample)
        begin, end = int(start * size), int(stop * size)
        overwrite(path, offset + begin, bytes(end - begin))

    return damage


def set_length(share: float) -> Damage:
    """The allocation table says that a payload is so much of its length."""

    def damage(path: Path, sample: int) -> None:
        offset, size = place(path, sample)
        content = path.read_bytes()
        begin = int(np.frombuffer(content, HeaderType, 1)["alloc_table_ptr"][0])
        table = np.frombuffer(content, ALLOC_TABLE_TYPE, offset=begin).copy()
        table["size"][table["ptr"] == offset] = int(share * size)
        overwrite(path, begin, table.tobytes())
        reseal(path)

    return damage


def replace_by_text(path: Path, sample: int) -> None:
    offset, size = place(path, sample)
    overwrite(path, offset, (b"<html>404 not found</html>\n" * size)[:size])


def replace_by_jpeg(height: int, width: int) -> Damage:
    """Another, whole JPEG: of another size than the tables say."""

    def damage(path: Path, sample: int) -> None:
        offset, size = place(path, sample)
        buffer = io.BytesIO()
        Image.new("RGB", (width, height), (200, 30, 30)).save(buffer, "JPEG", quality=30)
        assert len(buffer.getvalue()) <= size, "it must fit where the first one was"
        overwrite(path, offset, buffer.getvalue())
        set_length(len(buffer.getvalue()) / size + 1e-9)(path, sample)

    return damage


JPEG_DAMAGE: dict[str, Damage] = {
    "header zeroed": zero(0.0, 0.1),
    "tail zeroed": zero(0.7, 1.0),
    "cut off in the middle": set_length(0.5),
    "text instead": replace_by_text,
    "no bytes": set_length(0.0),
    "smaller image": replace_by_jpeg(SIDE_PX // 2, SIDE_PX // 2),
    "larger image": replace_by_jpeg(SIDE_PX * 2, SIDE_PX * 2),
    "wider image": replace_by_jpeg(SIDE_PX, SIDE_PX * 2),
}
RAW_DAMAGE: dict[str, Damage] = {"too few bytes": set_length(0.5), "no bytes": set_length(0.0)}
EVERY_DAMAGE = [("jpg", name) for name in JPEG_DAMAGE] + [("raw", name) for name in RAW_DAMAGE]


def damage_as(mode: str, name: str) -> Damage:
    return (JPEG_DAMAGE if mode == "jpg" else RAW_DAMAGE)[name]
