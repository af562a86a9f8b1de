"""What a sweep varies: `FIELD=VALUES` in words, and the recipes that come of it.

VALUES is a list (`views=2,4,8`), a grid (`optim.lr=1e-4..1e-2/5`, so many values in even ratios), or a random draw
(`optim.lr=log:1e-4..1e-2`, even in its logarithm). Lists and grids are crossed with one another; random fields are
drawn together, so many times as asked, and each draw is crossed with the rest.

FIELD is a dotted name of the recipe (`optim.lr`), or its last part where only one field ends so (`lr`). Draws are a
function of (seed, field, number of the draw), so a sweep that is asked for again is the same sweep.
"""

import ast
import dataclasses
import itertools
import math
import re
import typing
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fastssl.errors import InputError
from fastssl.kernels.philox import philox4x32, uniform
from fastssl.recipe import Recipe

_KEY = 0x73776565  # "swee": the second word of the key, so that no other draw of the library shares these
_RANGE = re.compile(r"(?P<log>log:)?(?P<low>[^,/]+?)\.\.(?P<high>[^,/]+?)(?:/(?P<count>\d+))?")


@dataclass(frozen=True)
class Axis:
    """One field and the values it takes; without values, the range that random ones are drawn from."""

    field: str
    values: tuple[Any, ...] = ()
    log_range: tuple[float, float] | None = None

    def drawn(self, number: int, seed: int) -> float:
        """Value of one draw, even in its logarithm, to four significant digits (a name must hold it)."""
        assert self.log_range is not None, "only asked of random axes"
        place = torch.tensor([zlib.crc32(self.field.encode())])
        share = uniform(philox4x32((place, torch.tensor([number]), 0, 0), (seed, _KEY))[0]).item()
        low, high = map(math.log, self.log_range)
        return float(f"{math.exp(low + (high - low) * share):.4g}")


def parse_axis(text: str) -> Axis:
    """`lr=1e-4,1e-3`, `lr=1e-4..1e-2/5` or `lr=log:1e-4..1e-2`. Errors: `InputError` for anything else."""
    field, equals, values = text.partition("=")
    field = field.strip().replace("-", "_")
    if not equals or not field or not values.strip():
        raise InputError(
            f"vary={text!r} names no values; give FIELD=A,B or FIELD=LOW..HIGH/COUNT or FIELD=log:LOW..HIGH"
        )
    if found := _RANGE.fullmatch(values.strip()):
        return _ranged(field, text, **found.groupdict())
    return Axis(field, tuple(_value(part) for part in _split(values)))


def recipes_over(
    bases: Sequence[Recipe], axes: Sequence[Axis], *, samples: int = 0, seeds: int = 1, draw_seed: int = 0
) -> list[Recipe]:
    """Every base with every combination of the axes' values and every seed 0, 1, ...; a name says what was set.

    `samples` is the number of draws of the random axes together. Errors: `InputError` for a field that a base does not
    have or a value it cannot take, random axes without `samples`, and the reverse.
    """
    random = [axis for axis in axes if axis.log_range is not None]
    if random and samples < 1:
        raise InputError(f"samples={samples} draws no value of {random[0].field}; give how many, as in --samples 20")
    if samples and not random:
        raise InputError(f"samples={samples} has no effect: no field is random; give one as FIELD=log:LOW..HIGH")
    return [
        _with(dataclasses.replace(base, seed=base.seed + seed), settings)
        for base, seed in itertools.product(bases, range(seeds))
        for settings in _combinations(axes, samples, draw_seed)
    ]


def _combinations(axes: Sequence[Axis], samples: int, draw_seed: int) -> Iterator[dict[str, Any]]:
    fixed, random = ([a for a in axes if (a.log_range is not None) == drawn] for drawn in (False, True))
    for number in range(samples or 1):
        draw = {axis.field: axis.drawn(number, draw_seed) for axis in random}
        for values in itertools.product(*(axis.values for axis in fixed)):
            yield draw | {axis.field: value for axis, value in zip(fixed, values)}


def _with(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    content = recipe.to_json()
    hints = dict(_leaves(recipe))
    for field, value in settings.items():
        name = _full_name(field, hints)
        target = content
        for part in name.split(".")[:-1]:
            target = target[part]
        target[name.rpartition(".")[2]] = _fitted(value, hints[name], name)
    words = ",".join(f"{field.rpartition('.')[2]}={_short(value)}" for field, value in settings.items())
    content["name"] = f"{recipe.name},{words}" if words else recipe.name
    return Recipe.from_json(content)


def _leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and type of each field that holds a value, but for the kind of a method: that is another recipe."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f"{prefix}{field.name}.")
        elif field.name not in ("kind", "name", "more_specs"):
            yield prefix + field.name, hints[field.name]


def _full_name(field: str, hints: dict[str, Any]) -> str:
    if field in hints:
        return field
    ending = [name for name in hints if name.endswith(f".{field}")]
    if len(ending) == 1:
        return ending[0]
    near = f"it could be {' or '.join(ending)}" if ending else f"fields are {', '.join(hints)}"
    raise InputError(f"vary={field} names no one field of the recipe; {near}")


def _fitted(value: Any, hint: Any, name: str) -> Any:
    """The value as the field has it: 1 for a float is 1.0, or the same run would have two names."""
    kinds = typing.get_args(hint) if not isinstance(hint, type) else (hint,)
    if typing.get_origin(hint) is typing.Literal:
        good = value in kinds
    elif typing.get_origin(hint) is tuple:
        good = isinstance(value, tuple) and len(value) == len(kinds)
        value = tuple(float(v) for v in value) if good and float in kinds else value
    else:
        if float in kinds and int not in kinds and type(value) is int:
            value = float(value)
        good = any(_fits(value, kind) for kind in kinds)
    if not good:
        raise InputError(f"{name}={value!r} is not what the field takes; give {_words(hint)}")
    return value


def _fits(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and len(value) == len(typing.get_args(kind))
    return type(value) is kind


def _words(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _ranged(field: str, text: str, log: str | None, low: str, high: str, count: str | None) -> Axis:
    try:
        ends = float(low), float(high)
    except ValueError as error:
        raise InputError(f"vary={text!r} has no numbers around '..'; give LOW..HIGH, as in 1e-4..1e-2") from error
    if not 0 < ends[0] < ends[1] < math.inf:
        raise InputError(f"vary={text!r} is no range; give 0 < LOW < HIGH")
    if log:
        if count:
            raise InputError(f"vary={text!r} is random and counted; leave out /{count} and give --samples {count}")
        return Axis(field, log_range=ends)
    if count is None or int(count) < 2:
        raise InputError(f"vary={text!r} says no number of values; give LOW..HIGH/COUNT of 2 or more, or log:LOW..HIGH")
    ratio = (ends[1] / ends[0]) ** (1 / (int(count) - 1))
    return Axis(field, tuple(float(f"{ends[0] * ratio**i:.4g}") for i in range(int(count))))


def _split(values: str) -> list[str]:
    """At the commas outside of brackets."""
    return [part.strip() for part in re.split(r",(?![^(\[]*[)\]])", values) if part.strip()]


def _value(text: str) -> Any:
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("(", "").replace(")", "").replace(", ", "-").replace("/", "_")
