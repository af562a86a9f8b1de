"""Train a recipe (any of its fields by flag), or resume a run that was interrupted."""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.cli.parse import WrongUse, view_flags
from fastssl.cli.preset import preset_specs
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.telemetry.loggers import LoggerName
from fastssl.train import TrainResult, resume, train
from fastssl.views import ViewSpec

EXAMPLE = "fastssl train cifar10-barlow --views 4 --projector-dim 256    or: fastssl train --resume runs/RUN"


_FIRST = "Where a preset has several views, these are the first one's; the probe has its size."


class Unflagged(tuple):
    """A tuple in which the command-line library does not look for flags: theirs would be those of `spec` again."""


@dataclass(frozen=True, kw_only=True)
class FlagRecipe(Recipe):
    """A recipe whose fields are flags, but for `more_specs`."""

    spec: Annotated[ViewSpec, view_flags(_FIRST)] = field(default_factory=ViewSpec)
    more_specs: tyro.conf.SuppressFixed[tyro.conf.Fixed[Unflagged]] = field(default_factory=Unflagged)


@dataclass(frozen=True)
class Train:
    recipe: Recipe
    preset: Annotated[str | None, tyro.conf.arg(name="spec", metavar="NAME")] = None
    """A named augmentation (`fastssl views --list`) at the recipe's size; flags of a view apply to its first view."""
    strength: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Of a preset that has a dial, as in --spec simclr --strength 0.5."""
    runs_dir: Path = Path("runs")
    """Holds one directory per run."""
    fresh: bool = False
    """Start over although a run of this recipe exists."""
    log: tuple[LoggerName, ...] = ()
    """Loggers beside RUN/scalars.jsonl, which is always written; no part of the run's identity."""

    def run(self, console: Console) -> dict[str, Any]:
        recipe = Recipe(**{**_fields(self.recipe), "more_specs": tuple(self.recipe.more_specs)})
        return _show(console, partial(train, recipe, runs_dir=self.runs_dir, fresh=self.fresh, log=self.log))


@dataclass(frozen=True)
class Resume:
    resume: Path
    """Directory of an interrupted run; it goes on from its last checkpoint, with its own recipe."""
    log: tuple[LoggerName, ...] = ()
    """Loggers beside RUN/scalars.jsonl, which is always written."""

    def run(self, console: Console) -> dict[str, Any]:
        return _show(console, partial(resume, self.resume, log=self.log))


def command_for(arguments: Sequence[str]) -> type:
    if any(a.split("=")[0] == "--resume" for a in arguments):
        return Resume
    parsed = _asked_for(arguments)
    any_recipe = tyro.extras.subcommand_type_from_defaults(
        {name: _with_preset(make(), arguments) for name, make in parsed.items()},
        {name: f"{inspect.getdoc(make) or ''}{_example(name, arguments)}" for name, make in parsed.items()},
        prefix_names=False,
    )

    @dataclass(frozen=True)
    class AnyTrain(Train):
        recipe: any_recipe  # pyright: ignore[reportInvalidTypeForm, reportIncompatibleVariableOverride]
        """Recipes; their own flags: `fastssl train RECIPE --help`."""

    return AnyTrain


def _asked_for(arguments: Sequence[str]) -> dict[str, Callable[[], Recipe]]:
    """The recipe that is named, and one more, since a choice takes two: a parser for all of them takes seconds."""
    named = [name for name in arguments if name in RECIPES][:1]
    names = [*named, *list(RECIPES)[:2]] if named else RECIPES
    return {name: RECIPES[name] for name in names}


def _example(name: str, arguments: Sequence[str]) -> str:
    """For the recipe that help was asked about; a list of all recipes needs it but once."""
    return f"\n\nExample: fastssl train {name} --spec simclr --strength 0.5" if name in arguments else ""


def _with_preset(recipe: Recipe, arguments: Sequence[str]) -> FlagRecipe:
    """The recipe with the views of the preset asked for, where it is the recipe asked for."""
    specs = preset_specs(arguments, recipe.spec.size) if recipe.name in arguments else None
    if specs is not None:
        views = max(recipe.views, len(specs))
        try:
            recipe = dataclasses.replace(recipe, spec=specs[0], more_specs=specs[1:], views=views)
        except InputError as error:
            raise WrongUse(str(error)) from None
    return FlagRecipe(**{**_fields(recipe), "more_specs": Unflagged(recipe.more_specs)})


def _fields(recipe: Recipe) -> dict[str, Any]:
    return {f.name: getattr(recipe, f.name) for f in dataclasses.fields(Recipe)}


def _show(console: Console, job: Callable[..., TrainResult]) -> dict[str, Any]:
    with console.progress("training", "‰") as update:
        result = job(say=console.say, progress=lambda share: update(round(1000 * share), 1000))
    metrics = result.metrics
    console.say(f"done      ridge {metrics['ridge']:.2%}, kNN {metrics['knn']:.2%}; {result.directory}")
    return dataclasses.asdict(result)
