"""Named runs: every method on every dataset, each a value that knows its name and states its price."""

import json

import pytest

from fastssl.data.cards import card_names
from fastssl.methods import METHODS
from fastssl.recipe import Recipe
from fastssl.recipes import RECIPES

DATASETS = ("cifar10", "cifar10-nano", "cifar100", "stl10", "tiny-imagenet", "imagenet", "imagenet100")
ALL = {name: make() for name, make in RECIPES.items()}


def test_recipes_are_named_as_they_are_called():
    assert {name: recipe.name for name, recipe in ALL.items()} == {name: name for name in ALL}


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_method_has_a_recipe_on_every_dataset(dataset):
    kinds = {recipe.method.kind for name, recipe in ALL.items() if name.rsplit(f"{dataset}-", 1)[0] == ""}
    assert kinds == set(METHODS)


def test_recipes_survive_json_and_differ_from_one_another():
    identities = {recipe.identity() for recipe in ALL.values()}
    assert len(identities) == len(ALL)
    for recipe in ALL.values():
        assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_recipes_name_known_datasets_and_a_price():
    for name, recipe in ALL.items():
        assert recipe.data.dataset in card_names(), name
        words = (RECIPES[name].__doc__ or "").lower()
        assert any(word in words for word in ("price", "floor", "not yet run")), name


def test_methods_that_compare_views_are_given_two_or_more():
    for name, recipe in ALL.items():
        assert (recipe.views == 1) == (recipe.method.kind in ("diet", "supervised", "random")), name


def test_rates_that_grow_with_the_batch_do():
    assert ALL["imagenet-simclr"].optim.lr == pytest.approx(0.3 * ALL["imagenet-simclr"].batch_size / 256)
    assert ALL["cifar10-simsiam"].optim.lr == pytest.approx(0.06)


def test_small_views_come_where_the_paper_has_them():
    sizes = lambda name: [spec.size for spec in ALL[name].drawer.specs]
    assert sizes("imagenet-swav") == [224] * 2 + [96] * 6
    assert sizes("imagenet-dino") == [224] * 2 + [96] * 8
    assert sizes("stl10-swav")[:2] == [64, 64]
    assert len(sizes("stl10-swav")) == 8
    assert max(spec.blur_p for spec in ALL["cifar10-simsiam"].drawer.specs) == 0
