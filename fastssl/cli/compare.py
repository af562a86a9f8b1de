"""Train several recipes for the same time, probe them, draw accuracy against compute."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.cli.parse import WrongUse
from fastssl.cli.recipe_names import recipe_names
from fastssl.compare import Comparison, budgeted, compare
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES

EXAMPLE = "fastssl compare 'cifar10-nano-*' --seconds 180    or: fastssl compare demo-simclr demo-random --seeds 3"


@dataclass(frozen=True)
class Command:
    recipes: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Names of recipes; patterns like 'cifar10-nano-*' (quoted) stand for all that match."""
    seconds: float = 180.0
    """Training clock per run; probes and set-up come on top."""
    seeds: int = 1
    """Runs per recipe, with seeds 0, 1, ..."""
    margin: float = 0.02
    """Accuracy that every arm must gain over the random encoder of its network, where that is among the recipes."""
    probes: int | None = None
    """Probes per run; the recipe's own number by default."""
    out: Path = Path("runs/compare")
    """Receives the runs, the table and the figure. Runs that are finished there are not repeated."""
    fresh: bool = False
    """Train them all anew."""

    def run(self, console: Console) -> dict[str, Any]:
        self._check()
        arms = [self._arm(name, seed) for seed in range(self.seeds) for name in recipe_names(self.recipes)]
        with console.progress("compare", "‰") as update:
            result = compare(
                arms, self.out, margin=self.margin, fresh=self.fresh, say=console.say,
                progress=lambda share: update(round(1000 * share), 1000),
            )  # fmt: skip
        return show(console, result)

    def _check(self) -> None:
        if not self.seconds > 0:
            raise WrongUse(f"seconds={self.seconds:g} is no time to train; give more than 0")
        for name in ("seeds", "probes"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise WrongUse(f"{name}={getattr(self, name)} compares nothing; give 1 or more")

    def _arm(self, name: str, seed: int) -> Recipe:
        recipe = budgeted(RECIPES[name](), self.seconds, seed)
        if self.probes is None or recipe.epochs is not None:  # the random encoder has no curve
            return recipe
        return dataclasses.replace(recipe, probe=dataclasses.replace(recipe.probe, probes=self.probes))


def show(console: Console, result: Comparison) -> dict[str, Any]:
    """The table, what fell short, and where the figures are; and all of it as a document."""
    console.say("")
    console.table(result.table.header, result.table.rows)
    for line in result.shortfalls:
        console.error(line)
    for path in result.figures:
        console.say(f"wrote {path}")
    return result.to_json()
