"""Health at a run's probes: measured beside the untrained encoder, with an alarm that a collapse sets off."""

import dataclasses

import pytest
import torch

from fastssl.evals.health import measures, spectra
from fastssl.recipe import DataConfig, ProbeConfig
from fastssl.recipes import RECIPES
from fastssl.telemetry.records import read_records
from fastssl.train import train
from fastssl.train.health import Health, alarm
from fastssl.train.probe import Prober
from fastssl.train.run_dir import RunDir
from fastssl.train.setup import build


def tiny(**change):
    recipe = RECIPES["demo-simclr"]()
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


def test_run_records_health_beside_that_of_the_untrained_encoder(tiny_dataset, tmp_path):
    lines = []
    result = train(tiny(), runs_dir=tmp_path, say=lines.append)
    first, last = (r["metrics"] for r in read_records([RunDir(tmp_path / result.run).records]))
    names = {"alpha", "alpha_r2", "rankme", "effective_rank"}
    assert names | {f"random_{name}" for name in names} | {"collapsed"} <= last.keys()
    assert all(first[f"random_{name}"] == last[f"random_{name}"] for name in names)
    assert last["effective_rank"] != last["random_effective_rank"]
    assert last["collapsed"] == 0
    assert not [line for line in lines if "COLLAPSED" in line]


def test_untrained_measures_move_nothing_of_the_run(tiny_dataset):
    parts = build(tiny())
    before = {name: value.clone() for name, value in parts.trainable.method.state_dict().items()}
    state = torch.default_generator.get_state()
    prober = Prober(parts)
    prober.look_at_untrained()
    once = prober.untrained
    prober.look_at_untrained()
    assert prober.untrained == once
    assert torch.equal(torch.default_generator.get_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in parts.trainable.method.state_dict().items())
    prober.close()


def zeroed(encoder):
    for parameter in encoder.parameters():
        parameter.zero_()


def shrunk(encoder):
    """Affine parts of the norms all but off: what is left is the same for every image."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.mul_(1e-3)
            module.bias.fill_(1.0)


@pytest.mark.parametrize("collapse", [zeroed, shrunk])
def test_run_whose_encoder_collapses_raises_the_alarm(collapse, tiny_dataset, tmp_path, monkeypatch):
    real = Prober.__call__

    def probe_after_collapse(prober):
        with torch.no_grad():
            collapse(prober.parts.trainable.encoder)
        return real(prober)

    monkeypatch.setattr(Prober, "__call__", probe_after_collapse)
    lines = []
    result = train(tiny(epochs=1, probe=ProbeConfig(probes=1, knn_k=5)), runs_dir=tmp_path, say=lines.append)
    assert result.metrics["collapsed"] == 1
    assert len([line for line in lines if line.startswith("COLLAPSED")]) == 1


def test_alarm_names_what_was_found_and_is_silent_otherwise():
    images = torch.eye(8).repeat(4, 1) + torch.arange(32)[:, None] % 3
    healthy, point = Health.of(images), Health.of(images * 1e-3 + 1)
    assert healthy.metrics == measures(spectra(images))
    assert alarm(healthy.beside(healthy)) is None
    line = torch.arange(32.0)[:, None] * torch.ones(8)
    assert "effective rank 1.00" in (alarm(Health.of(line).beside(healthy)) or "")
    assert point.collapsed(healthy)
