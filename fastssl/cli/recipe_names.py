"""Names of recipes as people give them: whole, or patterns that stand for all that match."""

import fnmatch
from collections.abc import Sequence

from fastssl.cli import unknown
from fastssl.cli.parse import WrongUse
from fastssl.recipes import RECIPES


def recipe_names(patterns: Sequence[str]) -> list[str]:
    """Every recipe that matches, once, in order. Raises `WrongUse` for a pattern without a match, or no pattern."""
    names: list[str] = []
    for pattern in patterns:
        found = fnmatch.filter(RECIPES, pattern)
        if not found:
            raise WrongUse(unknown("recipe", pattern, list(RECIPES)))
        names += found
    if not names:
        raise WrongUse("recipes= names nothing to train; give names or a pattern like 'cifar10-nano-*'")
    return list(dict.fromkeys(names))
