"""Directories of runs as training leaves them, without training."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from fastssl.recipes import RECIPES
from fastssl.telemetry.files import write_atomically
from fastssl.train.run_dir import RunDir

FACTS = {"fingerprint": "f" * 64, "device": "cpu", "loader": "resident", "backend": "cpu"}
RECORD = next(
    json.loads(line)
    for path in sorted((Path(__file__).parents[2] / "results").glob("*/*/*.jsonl"))
    for line in path.read_text().splitlines()
    if json.loads(line)["suite"] == "train"
)


def record_of(recipe, run, step, ridge=0.5, error=0.02):
    case = {**RECORD["case"], "run": run, "name": recipe.name, "method": recipe.method.kind, "seed": recipe.seed}
    case |= {"step": step, "epoch": step / 10, "recipe": recipe.to_json()}
    metrics = {**RECORD["metrics"], "ridge": ridge, "ridge_se": error, "knn": 0.3, "knn_se": 0.01}
    return {**RECORD, "case": case, "metrics": metrics}


@pytest.fixture
def make_run(tmp_path):
    """Writes a run below `tmp_path/runs` and gives its directory."""

    def make(recipe=None, *, step=20, finished=True, checkpoint=True, **measured):
        recipe = recipe or RECIPES["demo-simclr"]()
        run = RunDir.of(tmp_path / "runs", recipe, FACTS)
        run.begin(recipe, FACTS)
        for at in (step // 2, step):
            run.append(record_of(recipe, run.run_id, at, **measured))
        if checkpoint:
            content = {"format": 1, "state": {"method": {"w": torch.ones(3)}}, "position": {"step": step, "epoch": 2}}
            torch.save(content, run.path / "new.pt")
            shutil.move(run.path / "new.pt", run.checkpoint)
        if finished:
            write_atomically(run.path / "finished", b"")
        return run.path

    return make
