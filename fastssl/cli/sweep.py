"""Train recipes over a grid, a list or random draws of any of their fields: a fresh process per run, several at a time.

Values: a list `views=2,4,8`, a grid in even ratios `optim.lr=1e-4..1e-2/5`, a random draw `optim.lr=log:1e-4..1e-2`
(with --samples). Finished runs are not repeated and cut-off ones go on, so a sweep that was interrupted is asked for
again in the same words.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from fastssl.cli.console import Console
from fastssl.cli.parse import WrongUse
from fastssl.cli.recipe_names import recipe_names
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.sweep import Axis, Outcome, Slots, parse_axis, recipes_over, run_pool

EXAMPLE = "fastssl sweep cifar10-nano-simclr --vary optim.lr=5e-4..8e-3/5 views=2,4 --epochs 2 --holdout .1"
HEADER = ("run", "seed", "state", "compute s", "ridge %", "kNN %")


@dataclass(frozen=True)
class Command:
    recipes: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Names of recipes; patterns like 'cifar10-nano-*' (quoted) stand for all that match."""
    vary: tuple[str, ...] = ()
    """FIELD=VALUES, several of them crossed; FIELD is a dotted name of the recipe or its last part."""
    samples: int = 0
    """Draws of the random fields together."""
    draw_seed: int = 0
    """Of those draws."""
    seeds: int = 1
    """Runs per combination, with the recipe's seed and the next ones."""
    epochs: int | None = None
    """Passes over the images per run, instead of the recipe's length."""
    seconds: float | None = None
    """Training clock per run, instead of the recipe's length."""
    holdout: float = 0.0
    """Share of the training images that is kept out of training and probed instead of the test split: for choosing."""
    parallel: int = 1
    """Runs at a time, on an even share of the cores each; with GPUs, so many on each of them."""
    out: Path = Path("runs/sweep")
    """Receives a directory per run."""
    fresh: bool = False
    """Train them all anew."""
    dry_run: bool = False
    """Show the runs and train nothing."""
    slurm: bool = False
    """Submit the runs as one Slurm array instead (extra `slurm`); --parallel is how many run at a time."""
    minutes: int = 60
    """Of Slurm: time limit of a run."""
    partition: str = ""
    """Of Slurm."""
    cores: int = 8
    """Of Slurm: cores per run."""
    gpus: int = 1
    """Of Slurm: GPUs per run."""

    def run(self, console: Console) -> dict[str, Any]:
        recipes = self._recipes()
        if self.dry_run:
            console.table(("run", "seed"), [(recipe.name, str(recipe.seed)) for recipe in recipes])
            return {"ok": True, "runs": [{"name": r.name, "seed": r.seed} for r in recipes]}
        if self.slurm:
            return self._submit(console, recipes)
        with console.live(HEADER) as show:
            outcomes = run_pool(
                recipes, self.out, self._slots(), fresh=self.fresh, tell=lambda outcomes: show(_rows(outcomes))
            )
        for outcome in outcomes:
            if outcome.state == "failed":
                console.error(f"{outcome.recipe.name}, seed {outcome.recipe.seed}, failed: {outcome.error}")
        return {"ok": all(o.state == "done" for o in outcomes), "runs": [_document(o) for o in outcomes]}

    def _recipes(self) -> list[Recipe]:
        self._check()
        try:
            axes = [parse_axis(text) for text in self.vary]
            bases = [self._shaped(RECIPES[name](), axes) for name in recipe_names(self.recipes)]
            recipes = recipes_over(bases, axes, samples=self.samples, seeds=self.seeds, draw_seed=self.draw_seed)
        except InputError as error:
            raise WrongUse(str(error)) from None
        return recipes

    def _shaped(self, recipe: Recipe, axes: Sequence[Axis]) -> Recipe:
        length = {}
        if self.epochs is not None or self.seconds is not None:
            length = {"epochs": self.epochs, "budget_s": self.seconds}
        elif any(axis.field == "epochs" for axis in axes):
            length = {"epochs": recipe.epochs or 1, "budget_s": None}
        elif any(axis.field == "budget_s" for axis in axes):
            length = {"epochs": None, "budget_s": recipe.budget_s or 1.0}
        if self.holdout:
            length["data"] = dataclasses.replace(recipe.data, holdout=self.holdout)
            length["probe"] = dataclasses.replace(recipe.probe, test_split="val")
        return dataclasses.replace(recipe, **length)

    def _check(self) -> None:
        if self.epochs is not None and self.seconds is not None:
            raise WrongUse(f"epochs={self.epochs} and seconds={self.seconds:g} contradict each other; give one")
        for name in ("seeds", "parallel", "minutes", "cores"):
            if getattr(self, name) < 1:
                raise WrongUse(f"{name}={getattr(self, name)} leaves nothing to run; give 1 or more")

    def _slots(self) -> Slots:
        return Slots.split(self.parallel, gpus=torch.cuda.device_count())

    def _submit(self, console: Console, recipes: list[Recipe]) -> dict[str, Any]:
        from fastssl.sweep.slurm import submit

        jobs = submit(recipes, self.out, self.out / "slurm", minutes=self.minutes, at_once=self.parallel,
                      gpus=self.gpus, cores=self.cores, partition=self.partition, fresh=self.fresh)  # fmt: skip
        for recipe, job in zip(recipes, jobs):
            console.say(f"job {job.job_id}  {recipe.name}, seed {recipe.seed}")
        return {"ok": True, "jobs": [str(job.job_id) for job in jobs]}


def _rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    return [_cells(outcome) for outcome in outcomes]


def _cells(outcome: Outcome) -> tuple[str, ...]:
    state = f"{outcome.share:.0%}" if outcome.state == "running" else outcome.state
    numbers = ("", "", "")
    if outcome.result is not None:
        metrics, clock = outcome.result["metrics"], outcome.result["clock"]
        seconds = clock["train_s"] + clock["data_s"]
        numbers = (f"{seconds:.1f}", f"{metrics['ridge']:.2%}"[:-1], f"{metrics['knn']:.2%}"[:-1])
    return (outcome.recipe.name, str(outcome.recipe.seed), state, *numbers)


def _document(outcome: Outcome) -> dict[str, Any]:
    named = {"name": outcome.recipe.name, "seed": outcome.recipe.seed, "state": outcome.state}
    return named | ({"error": outcome.error} if outcome.error else {}) | (outcome.result or {})
