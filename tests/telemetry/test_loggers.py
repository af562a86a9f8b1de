"""Loggers: a line of JSON always, extras on request, and none that can stop a run."""

import json
import sys
import types

import pytest

from fastssl.cli import main
from fastssl.errors import InputError
from fastssl.telemetry.loggers import Loggers, require
from fastssl.train import resume, train
from tests.tiny_runs import Interrupted, interrupted_after, tiny


def lines(folder):
    return [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]


def test_every_run_leaves_its_scalars(tiny_dataset, tmp_path):
    recipe = tiny()
    train(recipe, runs_dir=tmp_path, say=lambda _: None)
    (run,) = tmp_path.iterdir()
    found = lines(run)
    assert {line["step"] for line in found} == {4, 8}
    assert {"train/loss", "views", "compute_s"} <= {name for line in found for name in line}
    assert {"probe/ridge", "probe/rankme"} <= {name for line in found for name in line}


def test_a_resumed_run_has_every_line_once(tiny_dataset, tmp_path):
    recipe = tiny(checkpoint_s=1e-9, epochs=4)
    with pytest.raises(Interrupted):
        train(recipe, runs_dir=tmp_path, say=lambda _: None, progress=interrupted_after(10))
    (run,) = tmp_path.iterdir()
    with (run / "scalars.jsonl").open("a") as handle:
        handle.write('{"step": 12, "train/loss": 1.0}\n{"step": 1')  # of what is about to be redone, and cut off
    resume(run, say=lambda _: None)
    steps = [line["step"] for line in lines(run) if "train/loss" in line]
    assert steps == [4, 8, 12, 16]
    assert lines(run)[0]["step"] == 4


def test_tensorboard_can_be_read_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = Loggers(tmp_path, ["tensorboard"], 0, print)
    loggers.log(3, {"train/loss": 2.5})
    loggers.log(6, {"train/loss": 1.5})
    loggers.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(3, 2.5), (6, 1.5)]


def test_wandb_is_told_name_config_and_scalars(tmp_path, monkeypatch):
    told = []
    fake = types.ModuleType("wandb")
    one = types.SimpleNamespace(log=lambda s, step: told.append((step, s)), finish=lambda: told.append("end"))
    fake.init = lambda **options: told.append(options) or one
    monkeypatch.setitem(sys.modules, "wandb", fake)
    (tmp_path / "recipe.json").write_text('{"recipe": {"seed": 3}}')
    loggers = Loggers(tmp_path, ["wandb"], 0, print)
    loggers.log(2, {"x": 1.0})
    loggers.close()
    assert told[0]["id"] == tmp_path.name
    assert told[0]["config"] == {"seed": 3}
    assert told[1:] == [(2, {"x": 1.0}), "end"]


def test_a_logger_that_fails_is_switched_off_and_the_rest_goes_on(tmp_path, monkeypatch):
    fake = types.ModuleType("wandb")

    def refuse(*_, **__):
        raise ConnectionError("no service")

    fake.init = lambda **options: types.SimpleNamespace(log=refuse, finish=refuse)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    (tmp_path / "recipe.json").write_text('{"recipe": {}}')
    said = []
    loggers = Loggers(tmp_path, ["wandb"], 0, said.append)
    for step in (1, 2):
        loggers.log(step, {"x": 1.0})
    loggers.close()
    assert said == ["log       wandb failed and is switched off: no service"]
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


def test_a_missing_logger_is_refused_before_training(tiny_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"log=wandb needs wandb.*fastssl-vision\[wandb\]"):
        require(["wandb"])
    assert main(["train", "demo-simclr", "--runs-dir", str(tmp_path / "runs"), "--log", "wandb"]) == 1
    assert not (tmp_path / "runs").exists()
