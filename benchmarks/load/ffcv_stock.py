"""FFCV as its users run it for several views: one pipeline per view on the image field, each with its own decoder."""

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.pipeline import PipelineSpec
from ffcv.transforms import RandomHorizontalFlip

from benchmarks.load.contestant import Delivered, Task
from fastssl.data.beton import BetonFile


class StockLoader:
    regime = (
        "FFCV's own Loader: RandomResizedCropRGBImageDecoder (resizes by INTER_AREA) and RandomHorizontalFlip in one "
        "pipeline per view, NumPy out, os_cache=True, batches_ahead=3; all epochs of a block as one, because each of "
        "its epochs allocates its buffers anew"
    )
    antialiased = False

    def __init__(self, task: Task) -> None:
        beton = BetonFile(task.stored.beton)
        labels = next(name for name, kind in beton.fields.items() if kind == "IntField")
        image = next(name for name, kind in beton.fields.items() if kind == "RGBImageField")
        names = [image, *(f"view {number}" for number in range(1, len(task.specs)))]
        # in the order in which a batch has them: first the file's fields, then those added
        self.places = {name: place for place, name in enumerate([*beton.fields, *names[1:]])}
        self.names, self.labels = names, labels
        pipelines = {name: _pipeline(image, spec) for name, spec in zip(names, task.specs, strict=True)}
        self.loader = open_loader(task, {**pipelines, labels: [IntDecoder()]}, len(beton))

    def block(self, number: int) -> Iterator[Delivered]:
        for batch in self.loader:
            views = tuple(batch[self.places[name]] for name in self.names)
            yield Delivered(views, batch[self.places[self.labels]][:, 0])

    def threads(self) -> int:
        """What numba was told; FFCV's thread and this one share the setting of the pool they both start."""
        return min(self.loader.num_workers, numba.get_num_threads())

    def close(self) -> None:
        """Its threads end with their epochs."""


def open_loader(task: Task, pipelines: dict[str, Any], num_images: int) -> Loader:
    """All epochs of a block as one; of a single epoch, the images that fill its batches."""
    once = np.arange(num_images // task.batch * task.batch if task.epochs == 1 else num_images)
    return Loader(
        str(task.stored.beton),
        batch_size=task.batch,
        num_workers=task.threads,
        os_cache=True,
        order=OrderOption.RANDOM,
        seed=task.seed,
        indices=np.tile(once, task.epochs),
        pipelines=pipelines,
        drop_last=True,
    )


def _pipeline(image: str, spec) -> PipelineSpec:
    decoder = RandomResizedCropRGBImageDecoder((spec.size, spec.size), spec.crop_scale, spec.crop_ratio)
    return PipelineSpec(image, decoder=decoder, transforms=[RandomHorizontalFlip(spec.flip_p)])


def open_contestant(name: str, task: Task) -> StockLoader:
    return StockLoader(task)
