"""What a sweep varies: lists, grids, draws, and the recipes that come of them."""

import itertools
import math

import pytest
from tiny_runs import tiny

from fastssl.errors import InputError
from fastssl.sweep import parse_axis, recipes_over


def over(*texts, **options):
    return recipes_over([tiny()], [parse_axis(text) for text in texts], **options)


def test_lists_are_crossed_and_named():
    recipes = over("views=2,4", "optim.lr=1e-3,2e-3")
    assert [(r.views, r.optim.lr) for r in recipes] == list(itertools.product((2, 4), (1e-3, 2e-3)))
    assert recipes[0].name == "demo-simclr,views=2,lr=0.001"
    assert len({r.identity() for r in recipes}) == 4


def test_grid_has_even_ratios_and_both_ends():
    assert parse_axis("lr=1e-4..1e-2/5").values == (1e-4, 3.162e-4, 1e-3, 3.162e-3, 1e-2)


def test_draws_lie_in_their_range_evenly_in_the_logarithm_and_are_the_same_again():
    recipes = over("lr=log:1e-4..1e-2", samples=400)
    values = [r.optim.lr for r in recipes]
    assert min(values) >= 1e-4
    assert max(values) <= 1e-2
    below = sum(value < 1e-3 for value in values) / len(values)
    assert abs(below - 0.5) < 4 * math.sqrt(0.25 / 400)
    assert values == [r.optim.lr for r in over("lr=log:1e-4..1e-2", samples=400)]
    assert values != [r.optim.lr for r in over("lr=log:1e-4..1e-2", samples=400, draw_seed=1)]


def test_random_fields_are_drawn_together_and_crossed_with_the_rest():
    recipes = over("lr=log:1e-4..1e-2", "weight_decay=log:1e-6..1e-2", "views=2,4", samples=3)
    assert len(recipes) == 6
    assert len({(r.optim.lr, r.optim.weight_decay) for r in recipes}) == 3
    assert all(not math.isclose(r.optim.lr, r.optim.weight_decay) for r in recipes)


def test_values_become_what_the_field_is():
    (recipe,) = over("lr=1", "crop_scale=(0.2,1)", "num_negatives=1", "compile=true", "indices=none.txt")
    assert type(recipe.optim.lr) is float
    assert recipe.spec.crop_scale == (0.2, 1.0)
    assert recipe.method.num_negatives == 1  # pyright: ignore[reportAttributeAccessIssue]
    assert recipe.compile is True
    assert over("crop_scale=none")[0].spec.crop_scale is None


def test_seeds_count_from_the_recipes_own():
    assert [(r.views, r.seed) for r in over("views=2,3", seeds=2)] == [(2, 0), (3, 0), (2, 1), (3, 1)]


@pytest.mark.parametrize(("texts", "samples", "words"), [
    (("views",), 0, "names no values"),
    (("views=",), 0, "names no values"),
    (("nothing=1",), 0, "names no one field"),
    (("order=random",), 1, "no field is random"),
    (("lr=log:1e-4..1e-2",), 0, "samples=0 draws no value"),
    (("lr=log:1e-4..1e-2/5",), 1, "random and counted"),
    (("lr=1e-2..1e-4/5",), 0, "is no range"),
    (("lr=1e-4..1e-2",), 0, "says no number of values"),
    (("lr=a..b/3",), 0, "has no numbers"),
    (("views=2.5",), 0, "views=2.5 is not what the field takes; give int"),
    (("precision=fp8",), 0, "precision='fp8'"),
    (("crop_scale=(0.2,)",), 0, "crop_scale"),
    (("views=0",), 0, "views=0 leaves nothing to look at"),
])  # fmt: skip
def test_impossible_axes_are_refused_by_name(texts, samples, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        over(*texts, samples=samples)
