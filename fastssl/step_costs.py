"""What a training step of each method costs beside the supervised step: counted in passes of the network, and timed."""

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fastssl.methods import METHODS
from fastssl.models import Arch, ModelConfig
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.train.checkpoint import Trainable
from fastssl.train.setup import DTYPES, build_trainable, learn, made_up_pixels, resolve_device, with_precision
from fastssl.types import DatasetInfo, Views

INFO = DatasetInfo("made-up", "train", "none", 50_000, 10, 32, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
ROUNDS = 5
"""Each times one step of every method, beginning with another one; the median over rounds counts."""


BACKWARD = 2
"""Forward passes that a backward one costs: a product for the inputs' gradient and one for the weights'."""


def counted_costs() -> dict[str, float]:
    """By method: the passes of the network in a step per image, as a multiple of the supervised step's.

    A step of the recipes cifar10-* is made with a network that counts the pixels it is shown, with and without a
    gradient. Heads and losses are not in it.
    """
    passes = {kind: _passes(next(_cifar10(kind))) for kind in METHODS}
    return {kind: value / passes["supervised"] for kind, value in passes.items()}


def _passes(recipe: Recipe) -> float:
    """Forward passes per image of the first view's size, with those that the backward passes cost."""
    count, side = 4, recipe.spec.size
    network = _Tally()
    method = recipe.method.build(network, network.dim, INFO)
    views = tuple(_made_up(count, spec.size) for spec in recipe.drawer.specs)
    index = torch.arange(count)
    method(views, index, index)  # pyright: ignore[reportCallIssue]
    learning, looking = (network.pixels[key] / (count * side**2) for key in (True, False))
    return (1 + BACKWARD) * learning + looking


class _Tally(nn.Module):
    """A network of one layer that counts pixels by whether a gradient will come back; copies count with it."""

    dim = 16

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, self.dim))
        self.pixels = {True: 0, False: 0}

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Tally":
        twin = _Tally()
        twin.weight = copy.deepcopy(self.weight, memo)
        twin.pixels = self.pixels
        return twin

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.pixels[torch.is_grad_enabled() and self.weight.requires_grad] += len(x) * x.shape[2] * x.shape[3]
        return x.mean((1, 2, 3))[:, None] * self.weight


def step_costs(
    arch: Arch, batch_size: int, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, dict[str, Any]]:
    """By method: `views` per image, `step_s`, and `relative`, the step's time over the supervised one's.

    Settings are those of the recipes cifar10-*; views are made up and at hand, so data and augmentation are not in it.
    A step is forward, backward and update. A median over few steps: for choosing a method, not for quoting.
    """
    at = lambda recipe: replace(recipe, model=ModelConfig(arch=arch), batch_size=batch_size)
    jobs = {kind: _Step(at(next(_cifar10(kind)))) for kind in METHODS if kind != "random"}
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


def _cifar10(kind: str) -> Iterator[Recipe]:
    """The method's recipes on CIFAR-10, the plain one first."""
    recipes = (make() for name, make in RECIPES.items() if name.startswith("cifar10-"))
    return (recipe for recipe in recipes if recipe.method.kind == kind)


def _made_up(count: int, size: int) -> torch.Tensor:
    """Views of values from -1 to 1."""
    return made_up_pixels(count, size, size) / 125 - 1


class _Step:
    """One method's training step on views that are there already."""

    def __init__(self, recipe: Recipe) -> None:
        self.device = resolve_device(recipe.device)
        self.recipe = with_precision(recipe, self.device)
        self.trainable: Trainable = build_trainable(self.recipe, INFO, self.device)
        self.dtype = DTYPES[self.recipe.precision]
        count = self.recipe.batch_size
        self.views: Views = tuple(
            _made_up(count, spec.size).to(self.device, self.dtype, memory_format=torch.channels_last)
            for spec in self.recipe.drawer.specs
        )
        self.index = torch.arange(count, device=self.device)

    def timed(self) -> float:
        """Seconds of one step, the device waited for at both ends."""
        self._wait()
        start = time.perf_counter()
        self.trainable.on_step_start(0, 0.5)
        learn(self.trainable, self.dtype, self.views, self.index, self.index % INFO.num_classes)
        self.trainable.on_step_end(0, 0.5)
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
