"""Ceilings, opened like contestants: bare decoding, Huffman decoding alone, a copy. They make no views."""

import ctypes
import hashlib
import os
import shlex
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.load.contestant import Delivered, Missing, Task, epoch_numbers
from fastssl.data.beton import BetonFile

SOURCE = Path(__file__).with_name("ceilings.c")
CHUNK = 16
REGIMES = {
    "decode": "libjpeg-turbo decodes each image whole, once, to RGB (accurate DCT); no crop, no view",
    "huffman": "libjpeg-turbo's jpeg_read_coefficients: what reading the whole file takes at least",
    "copy": "reads the crop's mean share of each image once and writes as many bytes as the views have",
}


class Ceiling:
    antialiased = False

    def __init__(self, name: str, task: Task) -> None:
        self.regime, self.name, self.task = REGIMES[name], name, task
        self.library = library(task.stored.beton.parent)
        self.beton = BetonFile(task.stored.beton)
        self.content = np.memmap(task.stored.beton, np.uint8, "r")
        self.pool = ThreadPoolExecutor(task.threads)
        self.scratch = threading.local()
        self.largest = int(self.beton.sizes.prod(axis=1).max()) * 3
        self.view_bytes = sum(3 * spec.size**2 for spec in task.specs)
        scales = [spec.crop_scale or (1.0, 1.0) for spec in task.specs]
        self.share = max(sum(scale) / 2 for scale in scales)

    def block(self, number: int) -> Iterator[Delivered]:
        size = self.task.batch
        for epoch in epoch_numbers(self.task, number):
            order = np.random.default_rng([self.task.seed, epoch]).permutation(len(self.beton))
            for start in range(0, len(order) - size + 1, size):
                positions = order[start : start + size]
                views = np.empty((size, self.view_bytes if self.name == "copy" else 0), np.uint8)
                parts = [(positions[at : at + CHUNK], views[at : at + CHUNK]) for at in range(0, size, CHUNK)]
                list(self.pool.map(self._work, *zip(*parts)))
                yield Delivered((), self.beton.labels[positions])

    def threads(self) -> int:
        return len(self.pool._threads)

    def close(self) -> None:
        self.pool.shutdown()

    def _work(self, positions: np.ndarray, views: np.ndarray) -> None:
        if not hasattr(self.scratch, "pixels"):
            self.scratch.pixels = np.empty(self.largest, np.uint8)
        offsets, sizes = self.beton.offsets[positions], self.beton.payload_sizes[positions]
        given = (self.content.ctypes.data, offsets.ctypes.data, sizes.ctypes.data, len(positions))
        scratch = self.scratch.pixels.ctypes.data
        if self.name == "copy":
            self.library.copy_pixels(*given, self.share, scratch, views.ctypes.data, self.view_bytes)
        elif (done := self.library.decode_jpegs(*given, scratch, self.name == "huffman")) != len(positions):
            raise RuntimeError(f"libjpeg-turbo failed on image {positions[done]}")


def library(folder: Path) -> ctypes.CDLL:
    """Compiled once per source text, into the cache folder."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    target = folder / f"ceilings-{digest}.so"
    if not target.exists():
        made = target.with_suffix(f".{os.getpid()}")
        compiler = shlex.split(os.environ.get("CC") or "cc")
        _run([*compiler, "-O3", "-fPIC", "-shared", str(SOURCE), "-o", str(made), "-ljpeg"])
        os.replace(made, target)
    library = ctypes.CDLL(str(target))
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.decode_jpegs.argtypes = [pointer, pointer, pointer, number, pointer, ctypes.c_int32]
    library.decode_jpegs.restype = number
    library.copy_pixels.argtypes = [pointer, pointer, pointer, number, ctypes.c_double, pointer, pointer, number]
    library.copy_pixels.restype = None
    return library


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except OSError as error:
        raise Missing(f"no C compiler: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or [f"exit code {done.returncode}"]
        raise Missing(f"{command[0]}: {lines[0]}")


def open_contestant(name: str, task: Task) -> Ceiling:
    return Ceiling(name, task)
