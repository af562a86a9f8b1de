"""Loader `crops` cuts before anyone sees an image: what it cut is read back from ramps that the same loader serves."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from fastssl.augment import Drawer
from fastssl.augment.resize import crop_resize
from fastssl.data.beton import BetonFile
from fastssl.data.decoded import DecodedLoader
from fastssl.data.format import MODE_RAW
from fastssl.data.order import Schedule
from fastssl.data.served import Served
from fastssl.parity.statistics import coordinate_ramp
from fastssl.types import Batch
from fastssl.views import ViewSpec


class _RampFile:
    """In place of a `BetonFile`: as many samples of one size, each of which is the same ramp, stored raw."""

    def __init__(self, served: Served) -> None:
        ramp = coordinate_ramp(served.info.height, served.info.width).permute(1, 2, 0).numpy()
        self.content = np.ascontiguousarray(ramp).reshape(-1)
        self.path, self.sizes = served.path, served.beton.sizes
        self.offsets = np.zeros(len(self.sizes), dtype=np.int64)
        self.payload_sizes = np.full(len(self.sizes), self.content.size, dtype=np.int64)
        self.modes = np.full(len(self.sizes), MODE_RAW, dtype=np.uint8)

    def check_unchanged(self) -> None:
        """It is no file."""


def serve_ramps(served: Served, schedule: Schedule, specs: Sequence[ViewSpec]) -> Iterator[Batch]:
    """Epoch 0 as `crops` serves it, with a coordinate ramp in the place of every image."""
    ramps = replace(served, beton=cast(BetonFile, cast(Any, _RampFile(served))))
    with closing(DecodedLoader(ramps, schedule, views=Drawer(tuple(specs), schedule.seed))) as loader:
        yield from loader.epoch(0)


def crop_distance(batch: Batch, stored: np.ndarray) -> np.ndarray:
    """Mean distance, per sample and in levels, of the first view's crops to exact arithmetic on the stored images."""
    assert batch.draw is not None
    params, spec = batch.draw.params[0], batch.draw.specs[0]
    images = torch.from_numpy(stored).permute(0, 3, 1, 2)
    exact = crop_resize(images, params.crop.cpu(), spec.size, spec.interpolation, spec.antialias).clamp(0, 1) * 255
    exact = torch.where(params.flip.cpu()[:, None, None, None], exact.flip(3), exact)
    return (batch.crops[0].cpu() - exact).abs().mean(dim=(1, 2, 3)).numpy()
