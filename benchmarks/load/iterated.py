"""Peers that are an iterable of batches: what they share, so that a file of each holds what is its own."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import torch
from torchvision.datasets import ImageFolder

from benchmarks.load.contestant import Delivered, Task, epoch_numbers
from benchmarks.load.draws import draw_crop
from benchmarks.load.processes import descendants
from fastssl.views import ViewSpec


class Iterated:
    """`batches(epoch)` gives (views, labels) of one whole epoch."""

    def __init__(
        self,
        task: Task,
        regime: str,
        batches: Callable[[int], Iterable[tuple[Any, Any]]],
        antialiased: bool = False,
        threads: Callable[[], int] = lambda: len(descendants()),
    ) -> None:
        self.task, self.regime, self.antialiased, self.threads = task, regime, antialiased, threads
        self._batches = batches

    def block(self, number: int) -> Iterator[Delivered]:
        for epoch in epoch_numbers(self.task, number):
            for views, labels in self._batches(epoch):
                yield Delivered(tuple(views), labels)

    def close(self) -> None:
        """What it has started ends with the process that has it."""


class DecodeAndCut:
    """JPEG bytes -> views: simplejpeg and OpenCV, once per image, for peers that leave that to their user."""

    def __init__(self, specs: tuple[ViewSpec, ...], seed: int) -> None:
        self.specs, self.seed, self.random = specs, seed, (0, Random())

    def __call__(self, payload: bytes) -> list[np.ndarray]:
        import simplejpeg

        if self.random[0] != os.getpid():  # the first call in this worker
            cv2.setNumThreads(1)
            self.random = os.getpid(), Random(f"{self.seed} {os.getpid()}")
        return cut(simplejpeg.decode_jpeg(payload), self.specs, self.random[1])


def cut(pixels: np.ndarray, specs: tuple[ViewSpec, ...], random: Random) -> list[np.ndarray]:
    """Random crops of one image, resized by cv2 (INTER_LINEAR, not antialiased) and flipped."""
    views = []
    for spec in specs:
        top, left, tall, wide, flip = draw_crop(random, *pixels.shape[:2], spec)
        window = pixels[top : top + tall, left : left + wide]
        made = cv2.resize(window, (spec.size, spec.size), interpolation=cv2.INTER_LINEAR)
        views.append(cv2.flip(made, 1) if flip else made)
    return views


def collated(samples: Iterable[tuple[list[np.ndarray], int]]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """A batch of (views, label): tensors, which workers hand over in shared memory."""
    samples = list(samples)
    views = [torch.from_numpy(np.stack(column)) for column in zip(*(views for views, _ in samples))]
    return views, torch.tensor([label for _, label in samples])


Samples = list[tuple[str, int]]
"""(path, label) of each file."""


def files(task: Task) -> Samples:
    """(path, label) of every JPEG file of the set."""
    return ImageFolder(str(task.stored.folder)).samples


def made_once(task: Task, ending: str, write: Callable[[Path, list[tuple[str, int]]], None]) -> Path:
    """A folder in a peer's own format beside the beton, in an order drawn once, as its users would write it."""
    home = task.stored.beton.with_suffix(f".{ending}")
    if not home.exists():
        samples = files(task)
        order = np.random.default_rng(0).permutation(len(samples))
        scratch = home.with_suffix(f".{os.getpid()}")
        shutil.rmtree(scratch, ignore_errors=True)
        write(scratch, [samples[position] for position in order])
        os.replace(scratch, home)
    return home
