"""A run is a value: it survives JSON, its identity covers what changes the result and nothing else."""

import dataclasses
import json

import pytest

from fastssl.errors import InputError
from fastssl.recipe import RESULT_FREE, Recipe
from fastssl.recipes import RECIPES
from fastssl.report.arms import FREE

FACTS = {"fingerprint": "ab", "device": "cpu", "loader": "ffcv", "backend": "cpu"}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_survives_json(name):
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_docstring_has_a_price_tag_or_says_it_has_none(name):
    text = " ".join((RECIPES[name].__doc__ or "").split())
    assert "Price" in text or "not yet run" in text or "floor" in text or "results/" in text, text


def _changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if value is None:
        return 1
    if isinstance(value, list | tuple):
        return [_changed(v) for v in value]
    return {k: _changed(v) for k, v in value.items()}


def test_identity_changes_with_every_field_but_the_result_free_ones(monkeypatch):
    recipe = RECIPES["demo-simclr"]()
    values, before = recipe.to_json(), recipe.identity(**FACTS)

    def identity_of(changed):
        monkeypatch.setattr(Recipe, "to_json", lambda self: changed)
        return recipe.identity(**FACTS)

    def walk(node, put, path=""):
        for key, value in node.items():
            if isinstance(value, dict):
                walk(value, lambda new, key=key: put({**node, key: new}), f"{path}{key}.")
            else:
                same = identity_of(put({**node, key: _changed(value)})) == before
                assert same == (f"{path}{key}" in RESULT_FREE), f"{path}{key}"

    walk(values, lambda new: new)


def test_report_pools_runs_that_differ_in_the_same_fields():
    assert set(RESULT_FREE) | {"seed"} == FREE


@pytest.mark.parametrize("fact", FACTS)
def test_identity_covers_the_facts_of_data_and_machine(fact):
    recipe = RECIPES["demo-simclr"]()
    assert recipe.identity(**FACTS) != recipe.identity(**(FACTS | {fact: "other"}))


def test_recipes_differ_in_identity():
    identities = {make().identity(**FACTS) for make in RECIPES.values()}
    assert len(identities) == len(RECIPES)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"views": 0}, "views"),
        ({"batch_size": 1}, "batch_size"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": None}, "epochs"),
        ({"budget_s": 60.0}, "epochs"),
        ({"epochs": None, "budget_s": 0.0}, "budget_s"),
        ({"epochs": None, "budget_s": float("nan")}, "budget_s"),
    ],
)
def test_impossible_recipe_is_refused_naming_the_field(change, field):
    with pytest.raises(InputError, match=f"^{field}="):
        dataclasses.replace(RECIPES["demo-simclr"](), **change)


def test_recipe_of_another_version_is_refused():
    values = RECIPES["demo-simclr"]().to_json()
    with pytest.raises(InputError, match="unknown field 'colour'"):
        Recipe.from_json({**values, "colour": 1})
    with pytest.raises(InputError, match="kind='telepathy'"):
        Recipe.from_json({**values, "method": {"kind": "telepathy"}})
