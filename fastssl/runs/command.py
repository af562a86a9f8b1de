"""The command line that trains a run's recipe again."""

import dataclasses
import json
import shlex
from collections.abc import Iterator
from typing import Any

from fastssl.augment.presets import PRESETS, get_preset
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES
from fastssl.report.arms import flatten


def changes(recipe: Recipe, base: Recipe) -> dict[str, tuple[str, str]]:
    """Fields in which a recipe differs from another: dotted name to (the recipe's, the base's) value, as JSON."""
    mine, theirs = dict(flatten(_plain(recipe))), dict(flatten(_plain(base)))
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    return {name: (mine.get(name, "null"), theirs.get(name, "null")) for name in names}


def base_of(recipe: Recipe) -> tuple[str, Recipe]:
    """The named recipe a recipe comes from: its namesake, else the nearest one of its method.

    Errors: `InputError` when no named recipe has its method.
    """
    if recipe.name in RECIPES and RECIPES[recipe.name]().method.kind == recipe.method.kind:
        return recipe.name, RECIPES[recipe.name]()
    made = {name: make() for name, make in RECIPES.items()}
    fitting = {name: base for name, base in made.items() if base.method.kind == recipe.method.kind}
    if not fitting:
        raise InputError(f"method={recipe.method.kind} has no named recipe; build this one in Python")
    name = min(fitting, key=lambda name: len(changes(recipe, fitting[name])))
    return name, fitting[name]


def arguments_of(recipe: Recipe) -> list[str] | None:
    """Arguments of `fastssl train` that make this recipe, or None where no flags do (specs of several views that are
    no preset's)."""
    name, base = base_of(recipe)
    found = [
        [*preset, *flags] for preset, start in _starts(recipe, base) if (flags := _flags(recipe, start)) is not None
    ]
    return [name, *min(found, key=len)] if found else None


def command_of(recipe: Recipe) -> str | None:
    """As a shell takes it."""
    arguments = arguments_of(recipe)
    return None if arguments is None else shlex.join(["fastssl", "train", *arguments])


def _starts(recipe: Recipe, base: Recipe) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """The base as it is, and with each preset, as `fastssl train --spec NAME` applies it."""
    plain, size = _plain(base), recipe.spec.size
    yield [], plain
    for name in PRESETS:
        try:
            first, *more = json.loads(json.dumps([dataclasses.asdict(s) for s in get_preset(name, size=size)]))
        except InputError:  # too small a view for it
            continue
        sized = [] if size == base.spec.size else ["--size", str(size)]
        views = max(base.views, 1 + len(more))
        yield ["--spec", name, *sized], {**plain, "spec": first, "more_specs": more, "views": views}


def _flags(recipe: Recipe, start: dict[str, Any]) -> list[str] | None:
    mine, theirs = dict(flatten(_plain(recipe))), dict(flatten(start))
    if mine["more_specs"] != theirs["more_specs"] or mine["method.kind"] != theirs["method.kind"]:
        return None
    flags: list[str] = []
    for field in mine:
        if mine[field] != theirs.get(field):
            flags += _flag(field.rpartition(".")[2].replace("_", "-"), json.loads(mine[field]))
    return flags


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *(str(v) for v in values)]


def _plain(recipe: Recipe) -> dict[str, Any]:
    return json.loads(json.dumps(recipe.to_json()))
