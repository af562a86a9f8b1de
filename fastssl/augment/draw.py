"""Views drawn before there are pixels: for loaders that decode only what the crops need."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64

from fastssl.augment.constant import on_device
from fastssl.errors import InputError
from fastssl.types import Batch, Draw
from fastssl.views import CROP_AT, FLIP_AT, SHIFT_AT, ViewKey, ViewParams, ViewSpec


@dataclass(frozen=True)
class Drawer:
    """A `types.ViewDrawer`: the draws of `sample.sample`, by the same key, for images of any sizes."""

    specs: tuple[ViewSpec, ...]
    """One per view."""
    seed: int

    def __call__(self, epoch: int, index: Int64[np.ndarray, "b"], sizes: Int64[np.ndarray, "b 2"]) -> Draw:
        """On the CPU. Raises `InputError` for a seed or an epoch that does not fit."""
        from fastssl.augment.sample_cpu import sample_sized  # numba is only imported where it is used

        key = ViewKey(self.seed, epoch, 0, torch.from_numpy(index))
        return Draw(self.specs, self.seed, epoch, sample_sized(self.specs, key, sizes))


def require_same(draw: Draw, specs: Sequence[ViewSpec], *, seed: int, epoch: int) -> None:
    """Raises `InputError` when a batch was drawn for other views than those it is asked for."""
    if (draw.seed, draw.epoch) != (seed, epoch):
        raise InputError(
            f"seed={seed}, epoch={epoch} are not those of the batch, drawn for seed {draw.seed}, epoch {draw.epoch}; "
            "give the loader the seed that trains, and read the epoch that trains"
        )
    if _geometry(draw.specs) != _geometry(specs):
        raise InputError(
            f"specs={len(specs)} views are not the {len(draw.specs)} that the batch was drawn for; give the loader the "
            "views that are made of it"
        )


def _geometry(specs: Sequence[ViewSpec]) -> list[ViewSpec]:
    return [replace(spec, mean=None, std=None) for spec in specs]


def remaining_params(batch: Batch) -> list[ViewParams]:
    """What is left to happen to `batch.crops`: all but crop, resize and flip left to right. No host sync.

    In `ViewParams` the shift of a padded view comes before the flips; behind the flip it goes the other way across.
    """
    assert batch.draw is not None, "whoever cuts the views has drawn them"
    tables = batch.draw.tables.clone()
    sizes = on_device(tuple(spec.size for spec in batch.draw.specs), torch.int32, tables.device)
    across = tables[:, :, SHIFT_AT + 1]
    tables[:, :, SHIFT_AT + 1] = torch.where(tables[:, :, FLIP_AT] != 0, -across, across)
    tables[:, :, CROP_AT : CROP_AT + 2] = 0
    tables[:, :, CROP_AT + 2 : CROP_AT + 4] = sizes[:, None, None]
    tables[:, :, FLIP_AT] = 0
    return [ViewParams(table) for table in tables]
