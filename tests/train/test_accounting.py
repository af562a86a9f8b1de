"""What a run cost: phases add up to wall time, nothing leaks into training, restarts and processes accumulate."""

import pkgutil
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from fastssl.telemetry.clock import Clock
from fastssl.telemetry.records import read_records
from fastssl.train import resume, train
from fastssl.train.setup import build, warm_up
from tests.conftest import name_tiny
from tests.tiny_runs import Interrupted, interrupted_after, tiny

SLOW_S = 1.0


def records_of(result):
    return read_records([Path(result.directory) / "records.jsonl"])


def run(folder, **change):
    return train(tiny(**change), runs_dir=folder, say=lambda _: None)


@pytest.fixture(scope="module")
def plain(tiny_beton, tmp_path_factory):
    """Least seconds per phase of three runs that nothing slows down; the first pays for what is compiled once."""
    betons = tmp_path_factory.mktemp("accounting")
    name_tiny(tiny_beton, betons)
    patch = pytest.MonkeyPatch()
    patch.setenv("FASTSSL_BETONS", str(betons))
    clocks = [run(tmp_path_factory.mktemp(f"plain{number}")).clock for number in range(3)]
    patch.undo()
    return {name: min(clock[name] for clock in clocks) for name in clocks[0] if name.endswith("_s")}


def test_phases_add_up_to_wall_time(tiny_dataset, tmp_path):
    clock = run(tmp_path, epochs=20).clock
    phases = sum(clock[f"{name}_s"] for name in ("compile", "data", "train", "eval", "checkpoint"))
    assert phases <= clock["wall_s"] + 1e-6
    assert phases == pytest.approx(clock["wall_s"], rel=0.01)


SLOW = {
    "eval": "fastssl.train.probe.Prober.__call__",
    "compile": "fastssl.train.setup.build_trainable",
    "checkpoint": "fastssl.train.loop.save_checkpoint",
}


@pytest.mark.parametrize("phase", SLOW)
def test_what_is_slow_outside_training_does_not_count_as_training(tiny_dataset, tmp_path, monkeypatch, plain, phase):
    real = pkgutil.resolve_name(SLOW[phase])

    def slowed(*args, **kwargs):
        time.sleep(SLOW_S)
        return real(*args, **kwargs)

    monkeypatch.setattr(SLOW[phase], slowed)
    clock = run(tmp_path).clock
    if phase != "checkpoint":  # the last record is written before the last checkpoint; the next test looks at those
        assert clock[f"{phase}_s"] >= plain[f"{phase}_s"] + 0.9 * SLOW_S
    assert clock["train_s"] + clock["data_s"] < plain["train_s"] + plain["data_s"] + 0.9 * SLOW_S


def test_a_slow_checkpoint_is_charged_to_itself(tiny_dataset, tmp_path, monkeypatch):
    real = pkgutil.resolve_name(SLOW["checkpoint"])
    monkeypatch.setattr(SLOW["checkpoint"], lambda *a: (time.sleep(0.05), real(*a))[1])
    clock = run(tmp_path, checkpoint_s=1e-9, epochs=3).clock
    assert clock["checkpoint_s"] > 11 * 0.05  # before the last step's: twelve steps


def test_restarts_accumulate(tiny_dataset, tmp_path):
    recipe = tiny(checkpoint_s=1e-9, epochs=4)
    whole = train(recipe, runs_dir=tmp_path / "whole", say=lambda _: None)
    with pytest.raises(Interrupted):
        train(recipe, runs_dir=tmp_path, say=lambda _: None, progress=interrupted_after(9))
    (directory,) = (p for p in tmp_path.iterdir() if p.name != "whole")
    before = torch.load(directory / "checkpoint.pt", weights_only=True)["clock"]
    result = resume(directory, say=lambda _: None)
    assert result.clock["wall_s"] > before["wall_s"]
    assert result.clock["compile_s"] > before["seconds"]["compile"]
    assert result.budget["views"] == whole.budget["views"]
    assert result.budget["flops"] == whole.budget["flops"] > 0


def test_flops_are_those_of_the_layers(tiny_dataset):
    """Twice the multiply-adds of every convolution and linear layer, forward once and backward twice (not into the
    image): counted here by shapes, there by torch."""
    parts = build(tiny())
    seen, first = [], []

    def count(module, inputs, output):
        per_output = module.in_features if isinstance(module, nn.Linear) else module.weight[0].numel()
        seen.append(2 * per_output * output.numel())
        if inputs[0].shape[1] == 3:
            first.append(seen[-1])

    layers = [m for m in parts.trainable.method.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    parts.learn((torch.zeros(16, 3, 16, 16),) * 2, next(parts.loader.epoch(0)))
    for hook in hooks:
        hook.remove()
    by_hand = 3 * sum(seen) - sum(first)
    assert warm_up(parts) == pytest.approx(by_hand, rel=0.02)  # the loss has a small product of its own
    parts.loader.close()


def test_the_record_tells_memory_and_that_energy_is_unknown(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("fastssl.train.loop.meter_for", lambda kind: (None, "nobody looks"))
    budget = records_of(run(tmp_path))[-1]["budget"]
    assert budget["joules"] is None
    assert budget["energy_source"] is None
    assert 10e6 < budget["peak_memory_bytes"] < 100e9


class Watt:
    """Draws one joule for each look at it."""

    source = "nvml"

    def __init__(self):
        self.looks = 0

    def joules(self):
        self.looks += 1
        return float(self.looks)


def test_joules_go_into_the_record_and_survive_restarts(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("fastssl.train.loop.meter_for", lambda kind: (Watt(), "a fake"))
    recipe = tiny(checkpoint_s=1e-9, epochs=4)
    with pytest.raises(Interrupted):
        train(recipe, runs_dir=tmp_path, say=lambda _: None, progress=interrupted_after(9))
    (directory,) = tmp_path.iterdir()
    before = torch.load(directory / "checkpoint.pt", weights_only=True)["clock"]["joules"]
    result = resume(directory, say=lambda _: None)
    assert result.budget["joules"] > before["train"] > 0
    assert result.budget["energy_source"] == "nvml"


def test_energy_of_evaluation_is_not_that_of_training():
    now, meter = [0.0], Watt()
    meter.joules = lambda: now[0] * 10
    clock = Clock(now=lambda: now[0], meter=meter, world_size=2)
    with clock.phase("train"):
        now[0] += 3
        with clock.phase("data", sync=False):
            now[0] += 1
        with clock.phase("eval"):
            now[0] += 50
        now[0] += 2
    now[0] += 100  # outside all phases
    assert clock.joules("train", "data") == 2 * 60.0  # two devices, six seconds each
    assert clock.joules("eval") == 2 * 500.0
    other = Clock(now=lambda: now[0], world_size=2)
    other.load_state_dict(clock.state_dict())
    assert other.joules("train") is None  # a part of the run would be missing
    assert other.wall_s == 156
    assert clock.gpu_hours("train", "data") == pytest.approx(2 * 6 / 3600)  # two processes count twice


def test_slow_loggers_do_not_count_as_training(tiny_dataset, tmp_path, monkeypatch, plain):
    real = pkgutil.resolve_name("fastssl.telemetry.loggers.JsonLines.log")

    def slowed(*args):
        time.sleep(SLOW_S)
        real(*args)

    monkeypatch.setattr("fastssl.telemetry.loggers.JsonLines.log", slowed)
    clock = run(tmp_path).clock
    assert clock["train_s"] + clock["data_s"] < plain["train_s"] + plain["data_s"] + 0.9 * SLOW_S


def test_a_counter_that_fails_ends_its_joules_and_not_the_run(tiny_dataset, tmp_path, monkeypatch):
    meter = Watt()

    def gone():
        meter.looks += 1
        if meter.looks > 4:
            raise OSError("the driver has left")
        return float(meter.looks)

    meter.joules = gone
    monkeypatch.setattr("fastssl.train.loop.meter_for", lambda kind: (meter, "a fake"))
    budget = run(tmp_path).budget
    assert (budget["joules"], budget["energy_source"]) == (None, None)


def test_joules_of_both_processes_of_a_resumed_run_add_up():
    now, meter = [0.0], Watt()
    meter.joules = lambda: now[0] * 10
    first, second = (Clock(now=lambda: now[0], meter=meter) for _ in range(2))
    with first.phase("train"):
        now[0] += 3
    with second.phase("compile"):
        now[0] += 2
    second.load_state_dict(first.state_dict())
    with second.phase("train"):
        now[0] += 4
    assert (second.joules("train"), second.joules("compile")) == (70.0, 20.0)
