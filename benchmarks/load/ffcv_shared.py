"""FFCV with an operation of its user's: each image decoded once, all of its views cut from the decoded pixels."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import IMAGE_MODES, SimpleRGBImageDecoder, get_random_crop
from ffcv.libffcv import imdecode, resize_crop
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.state import State

from benchmarks.load.contestant import Delivered, Missing, Task
from benchmarks.load.ffcv_stock import StockLoader, open_loader
from fastssl.data.beton import BetonFile


class ViewsDecoder(SimpleRGBImageDecoder):
    """uint8 (b, views, s, s, 3): random crops and flips, all of one size."""

    def __init__(self, views: int, size: int, scale: tuple[float, float], ratio: tuple[float, float], flip_p: float):
        super().__init__()
        self.views, self.size, self.scale, self.ratio, self.flip_p = views, size, scale, ratio, flip_p

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, Any]:
        shape, pixel = (self.views, self.size, self.size, 3), np.dtype("u1")
        largest = 3 * int(self.metadata["width"].max()) * int(self.metadata["height"].max())
        state = replace(previous_state, jit_mode=True, shape=shape, dtype=pixel)
        return state, (AllocationQuery(shape, pixel), AllocationQuery((largest,), pixel))

    def generate_code(self) -> Callable:
        read, images = self.memory_read, Compiler.get_iterator()
        decode_jpeg, crop_to = Compiler.compile(imdecode), Compiler.compile(resize_crop)
        draw, jpeg = Compiler.compile(get_random_crop), IMAGE_MODES["jpg"]
        scale, ratio, flip_p, views = np.array(self.scale), np.array(self.ratio), self.flip_p, self.views

        def decode(batch, storage, metadata, state):
            made, scratch = storage
            for place in images(len(batch)):
                field = metadata[batch[place]]
                stored = read(field["data_ptr"], state)
                tall, wide = np.uint32(field["height"]), np.uint32(field["width"])
                if field["mode"] == jpeg:
                    whole = scratch[place]
                    decode_jpeg(stored, whole, tall, wide, tall, wide, 0, 0, 1, 1, False, False)
                    image = whole.reshape(-1)[: 3 * tall * wide].reshape(tall, wide, 3)
                else:
                    image = stored.reshape(tall, wide, 3)
                for v in range(views):
                    top, left, h, w = draw(tall, wide, scale, ratio)
                    crop_to(image, top, top + h, left, left + w, made[place, v])
                    if np.random.rand() < flip_p:  # noqa: NPY002  # what numba compiles
                        made[place, v] = made[place, v, :, ::-1].copy()
            return made[: len(batch)]

        decode.is_parallel = True  # pyright: ignore[reportFunctionMemberAccess]  # FFCV asks for it
        return decode


class SharedLoader(StockLoader):
    regime = (
        "FFCV's Loader with a decoder written for this: each image decoded once, its views cut by FFCV's own resize "
        "(INTER_AREA) and flipped in the same compiled loop; NumPy out, os_cache=True, batches_ahead=3"
    )

    def __init__(self, task: Task) -> None:
        first = task.specs[0]
        if any(spec != first for spec in task.specs) or first.crop_scale is None:
            raise Missing("its decoder makes views of one kind")
        beton = BetonFile(task.stored.beton)
        labels = next(name for name, kind in beton.fields.items() if kind == "IntField")
        image = next(name for name, kind in beton.fields.items() if kind == "RGBImageField")
        self.image, self.labels = list(beton.fields).index(image), list(beton.fields).index(labels)
        views = ViewsDecoder(len(task.specs), first.size, first.crop_scale, first.crop_ratio, first.flip_p)
        self.loader = open_loader(task, {image: [views], labels: [IntDecoder()]}, len(beton))

    def block(self, number: int) -> Iterator[Delivered]:
        for batch in self.loader:
            views = tuple(batch[self.image].swapaxes(0, 1))
            yield Delivered(views, batch[self.labels][:, 0])


def open_contestant(name: str, task: Task) -> SharedLoader:
    return SharedLoader(task)
