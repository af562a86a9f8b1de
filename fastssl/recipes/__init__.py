"""Named runs: a recipe is a function that returns a `Recipe`; its docstring says what it costs and what it gives.

`RECIPES` is what `fastssl train` knows: the function's name with dashes. To add one, write the function and list it.
"""

from collections.abc import Callable

from fastssl.recipe import Recipe
from fastssl.recipes import cifar10, cifar100, demo, imagenet, stl10, tiny_imagenet

_FUNCTIONS: tuple[Callable[[], Recipe], ...] = (
    *demo.ALL,
    *cifar10.ALL,
    *cifar100.ALL,
    *stl10.ALL,
    *tiny_imagenet.ALL,
    *imagenet.ALL,
)

RECIPES: dict[str, Callable[[], Recipe]] = {f.__name__.replace("_", "-"): f for f in _FUNCTIONS}
