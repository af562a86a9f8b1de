"""What is examined: a dataset's file, the recipe that would train on it, and the parts of that run."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64

from fastssl.augment import Drawer, get_backend
from fastssl.augment.presets import get_preset
from fastssl.bottleneck.stored import Stored, stored_in
from fastssl.data.open import choose_kind, find_beton, loader_of
from fastssl.data.order import Schedule
from fastssl.data.served import Served, serve
from fastssl.data.subset import Subset
from fastssl.errors import InputError
from fastssl.methods.supervised import SupervisedConfig
from fastssl.models import ModelConfig
from fastssl.recipe import DataConfig, Recipe
from fastssl.telemetry.environment import usable_cores
from fastssl.train.checkpoint import Trainable
from fastssl.train.setup import Parts, build_trainable, resolve_device, with_precision
from fastssl.types import AugmentBackend

MOST_SAMPLES = 256
_SIDES = (224, 160, 128, 96, 64, 32)
"""Sides of views that the field trains with, in pixels."""
_EXAMINED = ("crops", "images", "resident", "ffcv")


@dataclass(frozen=True)
class Subject:
    """A run that could start, but for its loader, which is still to be opened."""

    recipe: Recipe
    served: Served
    kind: str
    """The loader the run would have."""
    reason: str
    device: torch.device
    backend: AugmentBackend
    trainable: Trainable

    @cached_property
    def positions(self) -> Int64[np.ndarray, "n"]:
        """Of the samples that are read and decoded, in the file: evenly spaced."""
        return _some(self.served, MOST_SAMPLES).source

    @cached_property
    def stored(self) -> Stored:
        return stored_in(self.served.beton, self.positions)

    @property
    def workers(self) -> int:
        return self.recipe.data.workers

    def open(self, kind: str, num_images: int | None = None, drawer: Drawer | None = None) -> Parts:
        """The run with a loader of that kind, which the caller closes; of `num_images` evenly spaced samples, or of
        all, with the recipe's drawer or another."""
        recipe, data = self.recipe, self.recipe.data
        served = self.served if num_images is None else _some(self.served, num_images)
        order = data.order if num_images is None else "random"
        schedule = Schedule(num_samples=served.info.num_samples, batch_size=recipe.batch_size, seed=recipe.seed,
                            order=order, offsets=served.offsets)  # fmt: skip
        loader = loader_of(
            kind, served, schedule, views=drawer or recipe.drawer, scaled=data.scaled_decode and kind == "crops",
            num_workers=data.workers, device=str(self.device), reason="examined", on_error=data.on_error,
        )  # fmt: skip
        specs = recipe.specs(served.info.mean, served.info.std)
        return Parts(recipe, self.device, loader, self.backend, self.backend, specs, self.trainable)


def find_subject(
    dataset: str,
    recipe: Recipe | None = None,
    *,
    loader: str | None = None,
    workers: int | None = None,
    precision: Literal["bf16", "fp16", "fp32"] | None = None,
) -> Subject:
    """The run of `recipe` on another dataset, by name or as a .beton file; without a recipe, that of plain SimCLR.

    Without `loader`, `workers` and `precision` the recipe's own; plain SimCLR takes every core. A batch larger than the
    dataset shrinks to it. Errors: `InputError` for a dataset that is missing, damaged, empty or, for a method that
    reads them, without labels; and for a recipe that cannot run on it.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers={workers} is not a number of threads; give 1 or more")
    path = find_beton(dataset)
    chosen = recipe.data if recipe else DataConfig()
    served = serve(path, Subset(holdout=chosen.holdout, indices=chosen.indices, fraction=chosen.fraction,
                                label_noise=chosen.label_noise, seed=chosen.subset_seed))  # fmt: skip
    recipe = recipe or plain_simclr(served)
    data = replace(recipe.data, dataset=str(path), workers=recipe.data.workers if workers is None else workers)
    recipe = replace(recipe, data=data, batch_size=min(recipe.batch_size, served.info.num_samples),
                     precision=precision or recipe.precision)  # fmt: skip
    if isinstance(recipe.method, SupervisedConfig) and served.labels.min() < 0:
        raise InputError(f"dataset={dataset} has images without a label and method=supervised reads labels; give a "
                         "labelled split or a recipe of a self-supervised method")  # fmt: skip
    device = resolve_device(recipe.device)
    recipe = with_precision(recipe, device)
    kind, reason = loader or data.loader, "asked for"
    if kind == "auto":
        kind, reason = choose_kind(served, device, recipe.drawer)
    examined = (*_EXAMINED, "nvjpeg") if device.type == "cuda" else _EXAMINED
    if kind not in examined:
        raise InputError(f"loader={kind} is not examined on {device.type}; give one of {', '.join(examined)}")
    backend = get_backend(recipe.backend, device)
    return Subject(recipe, served, kind, reason, device, backend, build_trainable(recipe, served.info, device))


def plain_simclr(served: Served) -> Recipe:
    """SimCLR's two views at the largest usual side that the images have: ResNet-18 on a GPU; on a CPU `nano` and
    batches that fit its pace."""
    shorter = float(np.median(served.beton.sizes[served.source].min(axis=1)))
    side = next((side for side in _SIDES if side <= shorter), _SIDES[-1])
    on_gpu = resolve_device("auto").type == "cuda"
    return Recipe(
        name="plain-simclr",
        data=DataConfig(workers=usable_cores()),
        model=ModelConfig(arch="resnet18" if on_gpu else "nano"),
        spec=get_preset("simclr", size=side)[0],
        batch_size=256 if on_gpu else max(16, min(64, 64 * 96**2 // side**2)),
    )


def _some(served: Served, num_images: int) -> Served:
    """Evenly spaced samples of those served, as if they were all."""
    whole = len(served.source)
    places = np.linspace(0, whole - 1, min(whole, num_images)).astype(np.int64)
    info = replace(served.info, num_samples=len(places))
    return replace(served, source=served.source[places], labels=served.labels[places], info=info)
