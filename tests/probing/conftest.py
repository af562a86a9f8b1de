"""One small trained run, made once, and copied for whoever writes into it."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from fastssl.recipe import DataConfig, ProbeConfig
from fastssl.recipes import RECIPES
from fastssl.train import train
from tests.conftest import name_tiny  # the suite's, not this folder's


def tiny_recipe(name="demo-simclr", **change):
    recipe = RECIPES[name]()
    defaults = {
        "spec": dataclasses.replace(recipe.spec, size=16),
        "data": DataConfig(dataset="tiny", loader="resident"),
        "probe": ProbeConfig(probes=2, knn_k=5),
        "batch_size": 16,
        "epochs": 2,
        "precision": "fp32",
        "backend": "reference",
        "device": "cpu",
    }
    return dataclasses.replace(recipe, **{**defaults, **change})


@pytest.fixture(scope="session")
def trained(tiny_beton, tmp_path_factory):
    """Folder of betons, and by name the directories of runs: `simclr`, `other` (of another seed), `diet`."""
    betons, runs = tmp_path_factory.mktemp("betons_of_runs"), tmp_path_factory.mktemp("trained")
    name_tiny(tiny_beton, betons)
    patch = pytest.MonkeyPatch()
    patch.setenv("FASTSSL_BETONS", str(betons))
    recipes = {"simclr": tiny_recipe(), "other": tiny_recipe(seed=1), "diet": tiny_recipe("demo-diet")}
    found = {name: Path(train(r, runs_dir=runs, say=lambda _: None).directory) for name, r in recipes.items()}
    patch.undo()
    return betons, found


@pytest.fixture
def runs(trained, tmp_path, monkeypatch):
    """Copies of the runs, by name; the dataset `tiny` is found."""
    betons, found = trained
    monkeypatch.setenv("FASTSSL_BETONS", str(betons))
    return {name: Path(shutil.copytree(path, tmp_path / "runs" / path.name)) for name, path in found.items()}
