"""The honest rival: simplejpeg and OpenCV on Python threads, each image decoded once for all of its views."""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random

import cv2
import numpy as np
import simplejpeg

from benchmarks.load.contestant import Delivered, Task, epoch_numbers
from benchmarks.load.draws import draw_crop
from fastssl.data.beton import BetonFile
from fastssl.data.format import MODE_JPG

CHUNK = 16
"""Images handed to a thread at once: enough to hide the pool's cost, few enough to end together."""
BATCHES_AHEAD = 2


class ThreadsLoader:
    regime = (
        "each image decoded once by simplejpeg (accurate DCT) into a buffer of its thread, crops by cv2.resize "
        "(INTER_LINEAR, which is not antialiased and five times as fast as INTER_AREA), cv2.flip; "
        "ThreadPoolExecutor, 16 images per call, two batches ahead"
    )
    antialiased = False

    def __init__(self, task: Task) -> None:
        cv2.setNumThreads(1)  # the pool's threads are all there shall be
        self.task, self.beton = task, BetonFile(task.stored.beton)
        self.pool = ThreadPoolExecutor(task.threads)
        self.scratch = threading.local()
        self.scratch_bytes = int(self.beton.sizes.prod(axis=1).max()) * 3

    def block(self, number: int) -> Iterator[Delivered]:
        pending: deque[tuple[Delivered, list[Future[None]]]] = deque()
        for positions, random in self._batches(number):
            pending.append(self._start(positions, random))
            if len(pending) > BATCHES_AHEAD:
                yield _finish(pending.popleft())
        while pending:
            yield _finish(pending.popleft())

    def threads(self) -> int:
        return len(self.pool._threads)

    def close(self) -> None:
        self.pool.shutdown()

    def _batches(self, number: int) -> Iterator[tuple[np.ndarray, Random]]:
        size = self.task.batch
        for epoch in epoch_numbers(self.task, number):
            order = np.random.default_rng([self.task.seed, epoch]).permutation(len(self.beton))
            for start in range(0, len(order) - size + 1, size):
                yield order[start : start + size], Random(f"{self.task.seed} {epoch} {start}")

    def _start(self, positions: np.ndarray, random: Random) -> tuple[Delivered, list[Future[None]]]:
        count, specs = len(positions), self.task.specs
        views = tuple(np.empty((count, spec.size, spec.size, 3), np.uint8) for spec in specs)
        crops = tuple(np.empty((count, 5), np.int32) for _ in specs)
        batch = Delivered(views, self.beton.labels[positions], positions, crops)
        starts = range(0, count, CHUNK)
        return batch, [self.pool.submit(self._fill, batch, start, random.getrandbits(64)) for start in starts]

    def _fill(self, batch: Delivered, start: int, seed: int) -> None:
        """The images `start` to `start + CHUNK` of the batch."""
        assert batch.index is not None
        assert batch.crops is not None
        random = Random(seed)
        for place in range(start, min(start + CHUNK, len(batch.index))):
            pixels = self._decode(int(batch.index[place]))
            for view, crops, spec in zip(batch.views, batch.crops, self.task.specs):
                top, left, tall, wide, flip = crops[place] = draw_crop(random, *pixels.shape[:2], spec)
                target = view[place]
                window = pixels[top : top + tall, left : left + wide]
                cv2.resize(window, (spec.size, spec.size), target, interpolation=cv2.INTER_LINEAR)
                if flip:
                    cv2.flip(target, 1, target)

    def _decode(self, position: int) -> np.ndarray:
        payload = self.beton.payload(position)
        if self.beton.modes[position] != MODE_JPG:
            return np.frombuffer(payload, np.uint8).reshape(*self.beton.sizes[position], 3)
        if not hasattr(self.scratch, "buffer"):
            self.scratch.buffer = np.empty(self.scratch_bytes, np.uint8)
        return simplejpeg.decode_jpeg(payload, buffer=self.scratch.buffer)


def _finish(started: tuple[Delivered, list[Future[None]]]) -> Delivered:
    batch, parts = started
    for part in parts:
        part.result()
    return batch


def open_contestant(name: str, task: Task) -> ThreadsLoader:
    return ThreadsLoader(task)
