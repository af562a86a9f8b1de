"""Train a recipe (any of its fields by flag), or resume a run that was interrupted."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from fastssl.cli.console import Console
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.train import train

EXAMPLE = "fastssl train cifar10-barlow --views 4 --projector-dim 256"

if TYPE_CHECKING:
    AnyRecipe = Recipe
else:
    AnyRecipe = tyro.extras.subcommand_type_from_defaults(
        {name: make() for name, make in RECIPES.items()},
        {name: (make.__doc__ or "").strip() for name, make in RECIPES.items()},
        prefix_names=False,
    )


@dataclass(frozen=True)
class Command:
    recipe: AnyRecipe | None = None
    resume: Path | None = None
    """Directory of an interrupted run; it goes on from its last checkpoint."""
    runs_dir: Path = Path("runs")
    """Holds one directory per run."""
    fresh: bool = False
    """Start over although a run of this recipe exists."""

    def run(self, console: Console) -> dict[str, Any]:
        if (self.recipe is None) == (self.resume is None):
            raise InputError(f"give either a recipe ({', '.join(RECIPES)}) or --resume RUN")
        with console.progress("training", "‰") as update:
            result = train(
                self.recipe,
                runs_dir=self.runs_dir,
                resume=self.resume,
                fresh=self.fresh,
                say=console.say,
                progress=lambda share: update(round(1000 * share), 1000),
            )
        console.say(
            f"done      ridge {result.metrics['ridge']:.2%}, kNN {result.metrics['knn']:.2%}; {result.directory}"
        )
        return dataclasses.asdict(result)
