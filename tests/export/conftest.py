"""Runs with weights but without training: an encoder of any architecture that has seen a batch, as a checkpoint."""

import dataclasses

import pytest
import torch

from fastssl.models import ModelConfig
from fastssl.recipe import DataConfig
from fastssl.recipes import RECIPES
from fastssl.train.run_dir import RunDir
from tests.conftest import name_tiny  # the suite's, not this folder's

FACTS = {"fingerprint": "f" * 64, "device": "cpu", "loader": "resident", "backend": "reference"}


@pytest.fixture
def run_of(tiny_beton, tmp_path, monkeypatch):
    """Takes an architecture (and more of the model) and gives the directory of its run."""
    betons = tmp_path / "betons"
    betons.mkdir()
    name_tiny(tiny_beton, betons)
    monkeypatch.setenv("FASTSSL_BETONS", str(betons))

    def make(arch="nano", **model):
        base = RECIPES["demo-simclr"]()
        recipe = dataclasses.replace(
            base,
            model=ModelConfig(arch=arch, **model),
            spec=dataclasses.replace(base.spec, size=16),
            data=DataConfig(dataset="tiny", loader="resident"),
            precision="fp32",
        )
        run = RunDir.of(tmp_path / "runs", recipe, FACTS)
        run.begin(recipe, FACTS)
        encoder, _ = recipe.model.build(16)
        with torch.no_grad():  # so that BatchNorm's statistics are not 0 and 1
            encoder.train()(torch.linspace(-2, 2, 8 * 3 * 16 * 16).sin().view(8, 3, 16, 16))
        method = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
        position = {"step": 7, "epoch": 1, "log_sums": {}}
        torch.save({"format": 1, "state": {"method": method}, "position": position}, run.checkpoint)
        return run.path

    return make
