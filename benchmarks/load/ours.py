"""This library's loaders: `crops` (compiled, or without C code), and `images`, which leaves the crops to a GPU."""

import os
from collections.abc import Iterator

from benchmarks.load.contestant import Delivered, Missing, Task, epoch_numbers
from fastssl.augment.draw import Drawer
from fastssl.data.decoder import VARIABLE
from fastssl.data.open import open_loader
from fastssl.types import Batch

REGIMES = {
    "crops": "open_loader('crops'): each image decoded once, in C, where its crops lie; views within a level of "
    "torchvision's antialiased ones; three batches ahead",
    "crops, plain": "open_loader('crops') where the C library is not compiled: whole decode, resize by numba, the same "
    "pixels",
    "images": "open_loader('images'): each image decoded once, where its crops lie; the views are not cut",
}


class OurLoader:
    antialiased = True

    def __init__(self, name: str, task: Task) -> None:
        self.task, self.regime = task, REGIMES[name]
        os.environ[VARIABLE] = "plain" if name == "crops, plain" else "native"
        drawer = Drawer(task.specs, task.seed)
        self.loader = open_loader(
            "images" if name == "images" else "crops",
            task.stored.beton,
            batch_size=task.batch,
            seed=task.seed,
            num_workers=task.threads,
            views=drawer,
        )
        decoder = self.loader.describe()["decoder"]
        if not decoder.startswith(os.environ[VARIABLE]):
            self.loader.close()
            raise Missing(f"the loader took another decoder: {decoder}")

    def block(self, number: int) -> Iterator[Delivered]:
        for epoch in epoch_numbers(self.task, number):
            for batch in self.loader.epoch(epoch):
                yield self._delivered(batch)

    def _delivered(self, batch: Batch) -> Delivered:
        assert batch.draw is not None
        tables = tuple(table[:, :5].numpy() for table in batch.draw.tables)  # box and flip come first
        index = self.loader.source[batch.index.numpy()]
        images = None if batch.crops else batch.images
        return Delivered(batch.crops, batch.labels, index, tables, images)

    def threads(self) -> int:
        return int(self.loader.describe()["threads_read_back"])

    def close(self) -> None:
        self.loader.close()


def open_contestant(name: str, task: Task) -> OurLoader:
    return OurLoader(name, task)
