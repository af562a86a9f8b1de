"""A run is a value: it survives JSON, its identity covers what changes the result and nothing else."""

import dataclasses
import json

import pytest
import torch

from fastssl.augment.presets import PRESETS, get_preset
from fastssl.data.policy import OrderConfig
from fastssl.errors import InputError
from fastssl.models import ModelConfig
from fastssl.recipe import RESULT_FREE, DataConfig, Recipe
from fastssl.recipes import RECIPES
from fastssl.report.arms import FREE
from fastssl.views import ViewSpec

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


@pytest.mark.parametrize("name", PRESETS)
def test_recipe_with_a_preset_survives_json_and_has_its_own_identity(name):
    base = RECIPES["demo-simclr"]()
    first, *more = get_preset(name, size=32)
    recipe = dataclasses.replace(base, spec=first, more_specs=tuple(more), views=2 + len(more))
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert recipe.identity(**FACTS) != base.identity(**FACTS)
    if more:
        other = dataclasses.replace(recipe, more_specs=(*more[:-1], dataclasses.replace(more[-1], flip_p=0.4)))
        assert other.identity(**FACTS) != recipe.identity(**FACTS)


def test_recipe_with_another_order_survives_json_and_has_its_own_identity():
    base = RECIPES["demo-diet"]()
    sliding = OrderConfig(order="sliding", window_images=100, stride_images=20)
    recipe = dataclasses.replace(base, data=dataclasses.replace(base.data, order=sliding))
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert recipe.identity(**FACTS) != base.identity(**FACTS)


@pytest.mark.parametrize("change", [{"fraction": 0.0}, {"holdout": 1.0}, {"label_noise": -0.1}], ids=str)
def test_impossible_share_of_the_data_is_refused_naming_the_field(change):
    with pytest.raises(InputError, match=f"^{next(iter(change))}="):
        DataConfig(**change)


def test_views_follow_the_specs_in_turn_and_take_the_datasets_mean():
    own = ViewSpec(size=24, mean=(0.1, 0.2, 0.3))
    recipe = dataclasses.replace(RECIPES["demo-simclr"](), spec=ViewSpec(size=16), more_specs=(own,), views=3)
    specs = recipe.specs((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    assert [spec.size for spec in specs] == [16, 24, 16]
    assert [spec.mean for spec in specs] == [(0.5, 0.5, 0.5), (0.1, 0.2, 0.3), (0.5, 0.5, 0.5)]
    assert {spec.std for spec in specs} == {(0.2, 0.2, 0.2)}


def test_spec_that_no_view_would_follow_is_refused():
    with pytest.raises(InputError, match=r"^views=2 leaves some of the 3 specs .* give 3 or more"):
        dataclasses.replace(RECIPES["demo-simclr"](), more_specs=(ViewSpec(), ViewSpec()))


@pytest.mark.parametrize("arch", ["nano", "micro", "resnet18"])
def test_view_too_small_for_the_encoder_is_refused_and_no_other(arch):
    model = ModelConfig(arch=arch)
    encoder, dim = model.build(32)
    base = dataclasses.replace(RECIPES["demo-simclr"](), model=model)
    small = ViewSpec(size=model.least_size)
    assert encoder(torch.zeros(2, 3, small.size, small.size)).shape == (2, dim)
    assert dataclasses.replace(base, more_specs=(small,)).more_specs == (small,)
    if small.size > 1:
        smaller = ViewSpec(size=small.size - 1)
        with pytest.raises(InputError, match=rf"^size={smaller.size} is too small a view for arch={arch}"):
            dataclasses.replace(base, more_specs=(smaller,))
        with pytest.raises(RuntimeError):
            encoder(torch.zeros(2, 3, smaller.size, smaller.size))


def test_recipes_with_committed_results_keep_their_views():
    """Their numbers stand in results/: a view that changed would make the rows describe another run."""
    expected = {
        "demo-simclr": ViewSpec(crop_scale=(0.2, 1.0)),
        "demo-barlow": ViewSpec(crop_scale=(0.3, 1.0)),
        "demo-vicreg": ViewSpec(crop_scale=(0.2, 1.0)),
        "demo-diet": ViewSpec(crop_scale=(0.2, 1.0)),
        "demo-supervised": ViewSpec(crop_scale=(0.4, 1.0)),
        "demo-random": ViewSpec(crop_scale=(0.2, 1.0)),
        "cifar10-nano-simclr": ViewSpec(crop_scale=(0.2, 1.0), hue=0.0),
        "cifar10-nano-supervised": ViewSpec(crop_scale=(0.25, 1.0), hue=0.0, jitter_p=0.0, gray_p=0.0),
        "cifar10-nano-random": ViewSpec(hue=0.0),
    }
    assert {name: RECIPES[name]().spec for name in expected} == expected
    assert all(RECIPES[name]().more_specs == () for name in expected)


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
        return [_changed(v) for v in value] or [1]
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
