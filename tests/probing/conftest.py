"""One small trained run, made once, and copied for whoever writes into it."""

import shutil
from pathlib import Path

import pytest

from fastssl.train import train
from tests.conftest import name_tiny  # the suite's, not this folder's
from tests.tiny_runs import tiny


@pytest.fixture(scope="session")
def trained(tiny_beton, tmp_path_factory):
    """Folder of betons, and by name the directories of runs: `simclr`, `other` (of another seed), `diet`."""
    betons, runs = tmp_path_factory.mktemp("betons_of_runs"), tmp_path_factory.mktemp("trained")
    name_tiny(tiny_beton, betons)
    patch = pytest.MonkeyPatch()
    patch.setenv("FASTSSL_BETONS", str(betons))
    recipes = {"simclr": tiny(), "other": tiny(seed=1), "diet": tiny("demo-diet")}
    found = {name: Path(train(r, runs_dir=runs, say=lambda _: None).directory) for name, r in recipes.items()}
    patch.undo()
    return betons, found


@pytest.fixture
def runs(trained, tmp_path, monkeypatch):
    """Copies of the runs, by name; the dataset `tiny` is found."""
    betons, found = trained
    monkeypatch.setenv("FASTSSL_BETONS", str(betons))
    return {name: Path(shutil.copytree(path, tmp_path / "runs" / path.name)) for name, path in found.items()}
