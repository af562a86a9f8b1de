"""Training on damaged images: with `on_error=skip` log and record count them, else the run ends with the one line."""

import dataclasses
import shutil

import pytest
import torch

from fastssl.data.beton import BetonFile
from fastssl.errors import InputError
from fastssl.recipe import DataConfig, ProbeConfig
from fastssl.recipes import RECIPES
from fastssl.telemetry.records import read_records
from fastssl.train import resume, train
from fastssl.train.checkpoint import read_checkpoint
from tests.faults.betons import zero


@pytest.fixture(autouse=True)
def _one_thread():
    """Of so small a network two threads do nothing but wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


HURT_TRAIN, HURT_TEST = (5, 20, 41), (7, 8)
EPOCHS = 2


@pytest.fixture
def damaged(tiny_beton, tmp_path, monkeypatch):
    """Dataset `tiny`, of JPEGs: 3 of 64 training images and 2 of 30 test images are damaged."""
    folder = tmp_path / "betons"
    folder.mkdir()
    monkeypatch.setenv("FASTSSL_BETONS", str(folder))
    for split, num_images, hurt in (("train", 64, HURT_TRAIN), ("test", 30, HURT_TEST)):
        source, path = tiny_beton(num_images, mode="jpg"), folder / f"tiny-{split}.beton"
        for suffix in ("", ".json"):
            shutil.copy(f"{source}{suffix}", f"{path}{suffix}")
        for sample in hurt:
            zero(0.0, 0.1)(path, sample)
    return folder / "tiny-train.beton"


def recipe_of(kind, on_error="skip", **change):
    return dataclasses.replace(
        RECIPES["demo-simclr"](),
        data=DataConfig(dataset="tiny", loader=kind, on_error=on_error),
        probe=ProbeConfig(probes=2, knn_k=5),
        epochs=EPOCHS,
        batch_size=16,
        precision="fp32",
        backend="reference",
        device="cpu",
        **change,
    )


@pytest.mark.parametrize("kind", ["crops", "resident"])
def test_skipped_images_are_counted_in_log_and_record(damaged, tmp_path, kind):
    lines = []
    result = train(recipe_of(kind), runs_dir=tmp_path / "runs", say=lines.append)
    [directory] = (tmp_path / "runs").iterdir()
    records = read_records([directory / "records.jsonl"])
    assert [record["case"]["skipped"] for record in records] == [3, 6]
    assert [record["case"]["skipped_by_probe"] for record in records] == [5, 5]
    assert [record["case"]["loader"]["on_error"] for record in records] == ["skip", "skip"]
    assert (records[-1]["budget"]["images"], records[-1]["budget"]["views"]) == (2 * 61, 2 * 2 * 61)
    epochs = [line for line in lines if line.startswith("epoch")]
    assert ["  skipped 3  " in epochs[0], "  skipped 6  " in epochs[1]] == [True, True]
    probes = [line for line in lines if line.startswith("probe")]
    assert all(line.endswith("5 damaged images left out") for line in probes)
    assert result.metrics["knn"] >= 0


def test_resumed_run_keeps_the_count(damaged, tmp_path):
    class Interrupted(Exception):
        pass

    steps = []

    def interrupt(share):
        steps.append(share)
        if len(steps) == 6:
            raise Interrupted

    recipe = recipe_of("crops", checkpoint_s=0.0)
    with pytest.raises(Interrupted):
        train(recipe, runs_dir=tmp_path / "runs", say=lambda line: None, progress=interrupt)
    [directory] = (tmp_path / "runs").iterdir()
    kept = read_checkpoint(directory / "checkpoint.pt")["position"]
    assert (kept["step"], kept["images"] + kept["skipped"]) == (5, 5 * 16)
    resume(directory, say=lambda line: None)
    last = read_records([directory / "records.jsonl"])[-1]
    assert (last["case"]["skipped"], last["budget"]["images"]) == (6, 2 * 61)


@pytest.mark.parametrize("kind", ["crops", "images", "resident", "ffcv"])
def test_damage_ends_a_run_that_does_not_skip_before_it_leaves_anything(damaged, tmp_path, kind):
    with pytest.raises(
        InputError, match=r"^.*tiny-(?:train|test)\.beton sample \d+ at byte \d+ is damaged: .*on_error=skip$"
    ):
        train(recipe_of(kind, "raise", seed=1), runs_dir=tmp_path / "runs", say=lambda line: None)


@pytest.fixture
def fastssl(tmp_path, monkeypatch, capsys):
    from fastssl.cli import main

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        status = main([str(argument) for argument in arguments])
        return status, capsys.readouterr()

    return run


FLAGS = ["--dataset", "tiny", "--batch-size", "16", "--epochs", "1", "--probes", "1", "--knn-k", "5", "--device", "cpu",
         "--backend", "reference", "--precision", "fp32"]  # fmt: skip


def test_command_ends_with_one_line_and_status_1_or_skips_when_told(damaged, fastssl, tmp_path):
    command = ["train", "demo-simclr", *FLAGS, "--loader", "crops"]
    status, streams = fastssl(*command)
    assert status == 1
    [line] = streams.err.strip().splitlines()
    offsets = BetonFile(damaged).offsets
    assert any(f"tiny-train.beton sample {i} at byte {offsets[i]} is damaged: " in line for i in HURT_TRAIN)
    assert line.startswith("fastssl: ")
    status, streams = fastssl(*command, "--on-error", "skip", "--json")
    assert status == 0
    [directory] = (tmp_path / "runs").glob("*/records.jsonl")
    assert read_records([directory])[-1]["case"]["skipped"] == 3


def test_command_names_a_policy_that_is_none(fastssl):
    status, streams = fastssl("train", "demo-simclr", "--on-error", "ignore")
    assert status == 2
    assert "ignore" in streams.err
    assert len(streams.err.strip().splitlines()) == 1
