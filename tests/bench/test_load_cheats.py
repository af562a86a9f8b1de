"""Cheats that would look fast: each is planted in an honest loader, and named by the contract."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.load import checks
from benchmarks.load.cases import view
from benchmarks.load.contestant import Delivered, Task
from benchmarks.load.stored import StoredSet
from benchmarks.load.threads import ThreadsLoader
from fastssl.data.arrays import array_source
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton

SPECS = (view(32),) * 2


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Forty-eight smooth pictures of six classes."""
    coarse = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (48, 3, 5, 5)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (60, 80), mode="bilinear").round().to(torch.uint8)
    pixels = smooth.permute(0, 2, 3, 1).numpy()
    path = tmp_path_factory.mktemp("cheats") / "pictures.beton"
    write_beton(array_source(pixels, np.arange(48) % 6, name="pictures"), path, WriteOptions(mode="jpg", quality=95))
    return Task(StoredSet(path), SPECS, batch=16, threads=2)


class Honest(ThreadsLoader):
    """What the cheats change."""


class Cached(Honest):
    """Keeps its first epoch and serves it for ever, in new orders."""

    kept: list[Delivered] | None = None

    def block(self, number):
        self.kept = self.kept or [self._copied(batch) for batch in super().block(0)]
        order = np.random.default_rng(number).permutation(len(self.kept))
        return iter([self.kept[place] for place in order])

    def _copied(self, batch):
        return replace(batch, views=tuple(one.copy() for one in batch.views))


class OneBatch(Honest):
    """Makes a single batch, and serves it again and again."""

    def block(self, number):
        batches = list(super().block(number))
        return iter(batches[:1] * len(batches))


class Smaller(Honest):
    """Cuts views of 16 px where 32 are asked for."""

    def __init__(self, task):
        super().__init__(replace(task, specs=(view(16),) * 2))


class Unshuffled(Honest):
    def _batches(self, number):
        size = self.task.batch
        for start, (_, random) in zip(range(0, len(self.beton), size), super()._batches(number)):
            yield np.arange(start, start + size), random


class SameOrder(Honest):
    """Shuffled once, and never again."""

    def _batches(self, number):
        drawn = [random for _, random in super()._batches(number)]
        return zip([positions for positions, _ in super()._batches(0)], drawn)


class Zeros(Honest):
    """A decoder that fails and says nothing: zeros, as one that was published gave for every 4:4:4 JPEG."""

    def _decode(self, position):
        return super()._decode(position) * (position % 2)


class OneView(Honest):
    """Makes the first view, and serves it as the second."""

    def block(self, number):
        for batch in super().block(number):
            yield replace(batch, views=(batch.views[0],) * 2, crops=(batch.crops[0],) * 2)


class Missed(Honest):
    """Leaves the last batch out."""

    def block(self, number):
        yield from list(super().block(number))[:-1]


class Lies(Honest):
    """Labels of the file's order, whatever image is served."""

    def block(self, number):
        for place, batch in enumerate(super().block(number)):
            first = place * self.task.batch
            yield replace(batch, labels=self.beton.labels[first : first + self.task.batch])


CHEATS = {
    Cached: "were served before",
    OneBatch: "were served before",
    Smaller: "shape (16, 16, 16, 3), not",
    Unshuffled: "file's order",
    SameOrder: "one order",
    Zeros: "show nothing",
    OneView: "as another view",
    Missed: "images in a block",
    Lies: "labels are not those",
}


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_cheat_is_named(cheat, task):
    wrong = checks.epoch_breaches(cheat(task), task)
    assert len(wrong) >= 1
    assert any(CHEATS[cheat] in line for line in wrong), wrong


def test_honest_loader_is_let_through(task):
    assert checks.epoch_breaches(Honest(task), task) == []
