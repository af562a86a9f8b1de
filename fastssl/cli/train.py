"""Train a recipe (any of its fields by flag), or resume a run that was interrupted."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from fastssl.cli.console import Console
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.train import TrainResult, resume, train

EXAMPLE = "fastssl train cifar10-barlow --views 4 --projector-dim 256    or: fastssl train --resume runs/RUN"

if TYPE_CHECKING:
    AnyRecipe = Recipe
else:
    AnyRecipe = tyro.extras.subcommand_type_from_defaults(
        {name: make() for name, make in RECIPES.items()},
        {name: f"{(make.__doc__ or '').strip()}\n\nExample: {EXAMPLE}" for name, make in RECIPES.items()},
        prefix_names=False,
    )


@dataclass(frozen=True)
class Train:
    recipe: AnyRecipe
    runs_dir: Path = Path("runs")
    """Holds one directory per run."""
    fresh: bool = False
    """Start over although a run of this recipe exists."""

    def run(self, console: Console) -> dict[str, Any]:
        return _show(console, partial(train, self.recipe, runs_dir=self.runs_dir, fresh=self.fresh))


@dataclass(frozen=True)
class Resume:
    resume: Path
    """Directory of an interrupted run; it goes on from its last checkpoint, with its own recipe."""

    def run(self, console: Console) -> dict[str, Any]:
        return _show(console, partial(resume, self.resume))


def command_for(arguments: Sequence[str]) -> type:
    return Resume if any(a.split("=")[0] == "--resume" for a in arguments) else Train


def _show(console: Console, job: Callable[..., TrainResult]) -> dict[str, Any]:
    with console.progress("training", "‰") as update:
        result = job(say=console.say, progress=lambda share: update(round(1000 * share), 1000))
    metrics = result.metrics
    console.say(f"done      ridge {metrics['ridge']:.2%}, kNN {metrics['knn']:.2%}; {result.directory}")
    return dataclasses.asdict(result)
