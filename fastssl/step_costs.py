"""What a training step of each method costs, beside the supervised step, on this machine and a given network."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from fastssl.methods import METHODS
from fastssl.models import Arch, ModelConfig
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.train.checkpoint import Trainable
from fastssl.train.setup import DTYPES, build_trainable, resolve_device, with_precision
from fastssl.types import DatasetInfo, Views

INFO = DatasetInfo("made-up", "train", "none", 50_000, 10, 32, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
ROUNDS = 5
"""Each times one step of every method, beginning with another one; the median over rounds counts."""


def step_costs(
    arch: Arch, batch_size: int, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, dict[str, Any]]:
    """By method: `views` per image, `step_s`, and `relative`, the step's time over the supervised one's.

    Settings are those of the recipes cifar10-*; views are made up and at hand, so data and augmentation are not in it.
    A step is forward, backward and update. A median over few steps: for choosing a method, not for quoting.
    """
    jobs = {kind: _Step(_recipe(kind, arch, batch_size)) for kind in METHODS if kind != "random"}
    spent: dict[str, list[float]] = {kind: [] for kind in jobs}
    order, total = list(jobs), len(jobs) * (ROUNDS + 1)
    for turn in range(ROUNDS + 1):  # the first, in which kernels are chosen, is not counted
        for i, kind in enumerate(order[turn:] + order[:turn]):
            seconds = jobs[kind].timed()
            if turn:
                spent[kind].append(seconds)
            progress(turn * len(order) + i + 1, total)
    medians = {kind: statistics.median(values) for kind, values in spent.items()}
    costs = {
        kind: {"views": jobs[kind].recipe.views, "step_s": step, "relative": step / medians["supervised"]}
        for kind, step in medians.items()
    }
    return costs | {"random": {"views": 1, "step_s": None, "relative": None}}


def _recipe(kind: str, arch: Arch, batch_size: int) -> Recipe:
    recipe = next(
        made for name, make in RECIPES.items() if name.startswith("cifar10-") and (made := make()).method.kind == kind
    )
    return replace(recipe, model=ModelConfig(arch=arch), batch_size=batch_size)


def _made_up(count: int, size: int) -> torch.Tensor:
    """Images of values from -1 to 1, no two alike."""
    pixels = torch.arange(count * 3 * size * size) * 2654435761 % 251
    return (pixels / 125 - 1).view(count, 3, size, size)


class _Step:
    """One method's training step on views that are there already."""

    def __init__(self, recipe: Recipe) -> None:
        self.device = resolve_device(recipe.device)
        self.recipe = with_precision(recipe, self.device)
        self.trainable: Trainable = build_trainable(self.recipe, INFO, self.device)
        dtype = DTYPES[self.recipe.precision]
        count = self.recipe.batch_size
        self.views: Views = tuple(
            _made_up(count, spec.size).to(self.device, dtype, memory_format=torch.channels_last)
            for spec in self.recipe.drawer.specs
        )
        self.index = torch.arange(count, device=self.device)

    def timed(self) -> float:
        """Seconds of one step, the device waited for at both ends."""
        self._wait()
        start = time.perf_counter()
        trainable, recipe = self.trainable, self.recipe
        trainable.on_step_start(0, 0.5)
        with torch.autocast(self.device.type, DTYPES[recipe.precision], enabled=recipe.precision != "fp32"):
            output = trainable.method(self.views, self.index, self.index % INFO.num_classes)
        trainable.scaler.scale(output.loss).backward()
        trainable.scaler.step(trainable.optimizer)
        trainable.scaler.update()
        trainable.optimizer.zero_grad(set_to_none=True)
        trainable.on_step_end(0, 0.5)
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
