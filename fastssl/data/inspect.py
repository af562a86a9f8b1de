"""What is in a beton (`inspect_beton`), whether all of it is whole (`verify_beton`), how it looks (`contact_sheet`)."""

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fastssl.data.beton import BetonFile
from fastssl.data.fingerprint import combine_digests
from fastssl.data.format import MODE_JPG
from fastssl.data.measured import count_classes
from fastssl.data.source import Progress
from fastssl.errors import InputError
from fastssl.telemetry.environment import usable_cores
from fastssl.telemetry.files import write_atomically

_CHUNK = 64
_MARGIN_PX = 6


def inspect_beton(path: str | Path) -> dict[str, Any]:
    """Header, fields, sizes, class counts and sidecar, from the tables alone: no image is decoded."""
    beton = BetonFile(path)
    labelled, sizes = beton.labels[beton.labels >= 0], beton.sizes
    num_classes = max(len(beton.class_names), int(beton.labels.max(initial=-1)) + 1)
    return {
        "path": str(path),
        "file_bytes": os.path.getsize(path),
        "page_bytes": beton.layout.page_bytes,
        "fields": beton.fields,
        "num_samples": beton.num_samples,
        "num_jpg": int((beton.modes == MODE_JPG).sum()),
        "num_raw": int((beton.modes != MODE_JPG).sum()),
        "height_range": [int(sizes[:, 0].min(initial=1 << 16)), int(sizes[:, 0].max(initial=0))],
        "width_range": [int(sizes[:, 1].min(initial=1 << 16)), int(sizes[:, 1].max(initial=0))],
        "payload_bytes": int(beton.payload_sizes.sum()),
        "class_names": list(beton.class_names),
        "class_counts": count_classes(labelled, num_classes),
        "num_unlabelled": beton.num_samples - len(labelled),
        "fingerprint": beton.layout.fingerprint,
        "sidecar": beton.sidecar,
    }


def verify_beton(path: str | Path, progress: Progress | None = None, num_threads: int | None = None) -> dict[str, Any]:
    """Check the structure, decode every sample and recompute the fingerprint; raises `InputError` at the first fault.

    Gives `samples`, `bytes`, `fingerprint` and `compared`: what the fingerprint was found equal to ("file and sidecar",
    "file", "sidecar", or "nothing" for a file written by FFCV without a sidecar).
    """
    beton = BetonFile(path)
    _check_structure(beton)
    digests: list[bytes] = []
    for some in _digest_chunks(beton, num_threads or usable_cores()):
        digests += some
        if progress is not None:
            progress(len(digests), beton.num_samples)
    fingerprint = combine_digests(digests)
    stored = {"file": beton.layout.fingerprint, "sidecar": (beton.sidecar or {}).get("fingerprint")}
    for where, claimed in stored.items():
        if claimed is not None and claimed != fingerprint:
            raise InputError(f"{path} has another content than its {where} says; write the file again")
    compared = " and ".join(where for where, claimed in stored.items() if claimed is not None) or "nothing"
    size_bytes = os.path.getsize(path)
    return {
        "path": str(path),
        "samples": len(digests),
        "bytes": size_bytes,
        "fingerprint": fingerprint,
        "compared": compared,
    }


def _check_structure(beton: BetonFile) -> None:
    order = np.argsort(beton.offsets, kind="stable")
    offsets, sizes = beton.offsets[order], beton.payload_sizes[order]
    overlapping = np.flatnonzero(offsets[1:] < offsets[:-1] + sizes[:-1])
    if len(overlapping):
        first, second = order[overlapping[0]], order[overlapping[0] + 1]
        raise InputError(f"{beton.path}: samples {first} and {second} overlap; write the file again")
    pages = beton.layout.page_bytes
    straddling = np.flatnonzero(offsets // pages != (offsets + np.maximum(sizes, 1) - 1) // pages)
    if len(straddling):
        raise InputError(f"{beton.path}: sample {order[straddling[0]]} crosses a page; write the file again")


def _digest_chunks(beton: BetonFile, num_threads: int) -> Iterator[list[bytes]]:
    """Digests of all samples in order, each decoded first."""

    def check(start: int) -> list[bytes]:
        return [_check_sample(beton, index) for index in range(start, min(start + _CHUNK, beton.num_samples))]

    with ThreadPoolExecutor(num_threads, thread_name_prefix="verify") as pool:
        try:
            yield from pool.map(check, range(0, beton.num_samples, _CHUNK))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check_sample(beton: BetonFile, index: int) -> bytes:
    beton.decode(index)
    return beton.digest(index)


def contact_sheet(path: str | Path, out_png: str | Path, columns: int = 10, rows: int = 10, cell_px: int = 64) -> Path:
    """A PNG with one line per class: its name and its first `columns` images, in cells of `cell_px`; `rows` classes.

    Small images are enlarged without smoothing, so that the pixels show.
    """
    if min(columns, rows, cell_px) < 1:
        raise InputError(f"columns={columns}, rows={rows}, cell_px={cell_px}: each must be at least 1")
    beton, out = BetonFile(path), Path(out_png)
    labels = np.unique(beton.labels)[:rows].tolist()
    names = [beton.class_names[label] if 0 <= label < len(beton.class_names) else "unlabelled" for label in labels]
    font = ImageFont.load_default(max(11, cell_px // 5))
    name_px = _MARGIN_PX * 2 + round(max((font.getlength(name[:30]) for name in names), default=0))
    step = cell_px + _MARGIN_PX
    sheet = Image.new("RGB", (name_px + columns * step + _MARGIN_PX, len(labels) * step + _MARGIN_PX), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (label, name) in enumerate(zip(labels, names)):
        top = _MARGIN_PX + row * step
        draw.text((_MARGIN_PX, top + cell_px // 2), name[:30], fill="black", font=font, anchor="lm")
        for column, index in enumerate(np.flatnonzero(beton.labels == label)[:columns].tolist()):
            cell = _fit(Image.fromarray(beton.decode(index)), cell_px)
            left = name_px + column * step
            sheet.paste(cell, (left + (cell_px - cell.width) // 2, top + (cell_px - cell.height) // 2))
    png = io.BytesIO()
    sheet.save(png, format="PNG")
    write_atomically(out, png.getvalue())
    return out


def _fit(image: Image.Image, cell_px: int) -> Image.Image:
    scale = cell_px / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR)
