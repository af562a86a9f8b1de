"""What a step costs beyond its loader: augmentation, copy to the device, the step itself; and a run as a whole."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch

from fastssl.augment import make_views
from fastssl.bottleneck.pipeline import NOTHING, Cost
from fastssl.bottleneck.subject import Subject
from fastssl.bottleneck.timing import measure
from fastssl.train.setup import Parts
from fastssl.types import Batch, Loader

_AHEAD = 4
"""First batches that are not counted: loaders work some batches ahead, so these were made before they are asked for.
Of slow steps one will do: the loader has long been ready."""


@dataclass(frozen=True)
class Flow:
    """A loader, or a whole run, over some seconds."""

    cost: Cost
    waited: float
    """Share of the time spent waiting for the next batch, 0 to 1."""


def crops_batch(subject: Subject) -> tuple[Parts, Batch]:
    """A batch whose views are cut already, and the parts that learn from it; the loader is closed.

    Cut with antialias even where a spec does without: what augmentation costs does not depend on it.
    """
    drawer = subject.recipe.drawer
    plain = replace(drawer, specs=tuple(replace(spec, antialias=True) for spec in drawer.specs))
    parts = subject.open("crops", drawer=plain)
    with closing(parts.loader):
        batch = _first(parts.loader)
    assert batch.draw is not None, "whoever cuts the views has drawn them"
    return parts, replace(batch, draw=replace(batch.draw, specs=drawer.specs))


def images_batch(subject: Subject) -> Batch:
    """A batch of images from which the views are still to be cut."""
    with closing(subject.open("images").loader) as loader:
        return _first(loader)


def measure_augment(parts: Parts, batch: Batch, seconds: float) -> Cost:
    """Views of a batch, with the cutting where the loader left it to the device."""
    recipe = parts.recipe
    work = lambda: make_views(batch, parts.specs, parts.backend, seed=recipe.seed, epoch=0, dtype=parts.dtype)
    return measure(work, len(batch.index), seconds, parts.device)


def measure_copy(batch: Batch, device: torch.device, seconds: float) -> Cost:
    """What a loader hands over, from pinned memory to the GPU; nothing on a CPU."""
    if device.type == "cpu":
        return NOTHING
    pinned = [torch.empty_like(images, device="cpu").pin_memory() for images in (batch.images, *batch.crops)]
    work = lambda: [images.to(device, non_blocking=True) for images in pinned]
    return measure(work, len(batch.index), seconds, device)


def measure_step(parts: Parts, batch: Batch, seconds: float) -> Cost:
    """Forward, backward and update on views made before; the weights are thrown away afterwards."""
    views = make_views(batch, parts.specs, parts.backend, seed=parts.recipe.seed, epoch=0, dtype=parts.dtype)
    return measure(lambda: parts.learn(views, batch), len(batch.index), seconds, parts.device)


def measure_loader(loader: Loader, seconds: float, device: torch.device) -> Flow:
    """Batches taken as fast as they come; closes the loader."""
    return _over(loader, lambda batch, epoch: None, seconds, device)


def measure_run(parts: Parts, seconds: float, step: Cost) -> Flow:
    """Batches taken, augmented and learnt from, as a run does it; closes the loader. `step` is what one costs."""
    slow = step.wall_s * parts.recipe.batch_size > seconds
    return _over(parts.loader, parts.step, seconds, parts.device, ahead=1 if slow else _AHEAD)


def _over(
    loader: Loader, work: Callable[[Batch, int], Any], seconds: float, device: torch.device, ahead: int = _AHEAD
) -> Flow:
    images, waited = 0, 0.0
    with closing(loader), closing(_endless(loader)) as batches:
        for _ in range(ahead):
            work(*next(batches))
        _finish(device)
        wall, cpu = time.perf_counter(), time.process_time()
        while not images or time.perf_counter() < wall + seconds:
            asked = time.perf_counter()
            batch, epoch = next(batches)
            waited += time.perf_counter() - asked
            work(batch, epoch)
            images += len(batch.index)
        _finish(device)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Flow(Cost(wall / images, cpu / images), waited / wall)


def _endless(loader: Loader) -> Generator[tuple[Batch, int], None, None]:
    for epoch in count():
        for batch in loader.epoch(epoch):
            yield batch, epoch


def _first(loader: Loader) -> Batch:
    return next(loader.epoch(0))


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
