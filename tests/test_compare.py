"""Several recipes side by side: one that fails costs the others nothing."""

import dataclasses

import pytest

from fastssl import compare as module
from fastssl.compare import budgeted, compare
from fastssl.errors import InputError
from fastssl.models import ModelConfig
from fastssl.recipes import RECIPES
from fastssl.report import figures, load, tables
from fastssl.train import TrainResult

SIMCLR, RANDOM, DIET = (RECIPES[f"demo-{name}"]() for name in ("simclr", "random", "diet"))


@pytest.fixture
def trained(monkeypatch):
    """Training is replaced by results to be given, `{name: ridge}`; a recipe without one fails. And what was asked."""
    ridges, asked = {}, []

    def train(recipe, *, runs_dir, fresh, say, progress):
        asked.append(recipe)
        progress(1.0)
        if recipe.name not in ridges:
            raise RuntimeError("the cable\nwas pulled")
        return TrainResult(recipe.name, str(runs_dir / recipe.name), {"ridge": ridges[recipe.name]}, {}, {})

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(load, "load_runs", lambda paths: paths)
    for room, name in ((tables, "budget_table"), (figures, "budget_figure"), (figures, "budget_csv")):
        monkeypatch.setattr(room, name, lambda *arguments: ())
    return ridges, asked


def test_budget_is_for_all_but_the_random_encoder():
    assert (budgeted(SIMCLR, 3.0, seed=2).budget_s, budgeted(SIMCLR, 3.0).epochs) == (3.0, None)
    assert budgeted(RANDOM, 3.0, seed=2) == dataclasses.replace(RANDOM, seed=2)


def test_arm_too_near_its_random_encoder_is_named(trained, tmp_path):
    trained[0].update({"demo-simclr": 0.35, "demo-random": 0.31, "demo-diet": 0.30})
    shares = []
    result = compare([SIMCLR, RANDOM, DIET], tmp_path, margin=0.02, say=lambda line: None, progress=shares.append)
    assert result.shortfalls == ("demo-diet ends -1.0% from the random encoder, less than 2% above",)
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])


def test_floor_is_that_of_the_same_network(trained, tmp_path):
    wide = dataclasses.replace(SIMCLR, model=ModelConfig(width=2.0))
    trained[0].update({"demo-simclr": 0.30, "demo-random": 0.31})
    assert not compare([wide, RANDOM], tmp_path, margin=0.02, say=lambda line: None).shortfalls


def test_arm_that_fails_is_named_and_the_others_run(trained, tmp_path):
    trained[0].update({"demo-random": 0.31, "demo-diet": 0.9})
    said = []
    result = compare([SIMCLR, RANDOM, DIET], tmp_path, margin=0.02, say=said.append)
    assert [arm.name for arm in trained[1]] == ["demo-simclr", "demo-random", "demo-diet"]
    assert result.shortfalls == ("demo-simclr, seed 0, failed: the cable was pulled",)
    assert any("Traceback" in line for line in said)


def test_when_all_fail_the_first_reason_is_the_error(trained, tmp_path):
    with pytest.raises(InputError, match="demo-simclr, seed 0, failed: the cable was pulled"):
        compare([SIMCLR, RANDOM], tmp_path, margin=0.02, say=lambda line: None)
