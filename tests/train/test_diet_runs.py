import dataclasses

import numpy as np
import pytest

from fastssl.errors import InputError
from fastssl.methods.diet import DIETConfig
from fastssl.recipe import DataConfig, ProbeConfig
from fastssl.recipes import RECIPES
from fastssl.train import resume, train
from fastssl.train.setup import build, start_card


def tiny(method, **change):
    recipe = RECIPES["demo-diet"]()
    defaults = {"data": DataConfig(dataset="tiny", loader="resident"), "probe": ProbeConfig(probes=1, knn_k=5),
                "batch_size": 16, "epochs": 1, "budget_s": None, "precision": "fp32", "backend": "reference",
                "device": "cpu", "checkpoint_s": 0.0}  # fmt: skip
    return dataclasses.replace(recipe, method=method, **{**defaults, **change})


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, lambda dim: 16 * 64 * dim + 4 * 16 * 64),
        ({"head": "low_rank", "head_rank": 4}, lambda dim: 16 * 4 * (64 + dim) + 4 * 16 * 64),
        ({"head": "index_code", "code_digits": 2}, lambda dim: 16 * 16 * dim + 4 * 16 * 16 + 8 * 64),
    ],
)
def test_start_card_says_what_the_head_takes(tiny_dataset, options, numbers):
    parts = build(tiny(DIETConfig(**options)))
    dim = parts.trainable.method.head.state_dict()["down.weight" if "head_rank" in options else "weight"].shape[1]
    (line,) = (line for line in start_card(parts, "run") if line.startswith("method"))
    assert line.endswith(f", its head takes {numbers(dim) / 1e6:,.1f} MB")


def test_start_card_is_silent_where_memory_does_not_grow_with_the_dataset(tiny_dataset):
    parts = build(tiny(RECIPES["demo-simclr"]().method, views=2))
    assert not any("its head takes" in line for line in start_card(parts, "run"))


def test_run_on_other_clusters_is_another_run(tiny_dataset, tmp_path):
    path = tmp_path / "clusters.npy"
    recipe = tiny(DIETConfig(head="kmeans", targets=str(path)), checkpoint_s=0.0)

    def stop(share):
        raise KeyboardInterrupt

    np.save(path, np.arange(64) % 7)
    first = build(recipe).identity
    with pytest.raises(KeyboardInterrupt):
        train(recipe, runs_dir=tmp_path / "runs", say=lambda line: None, progress=stop)
    (run,) = (tmp_path / "runs").iterdir()
    np.save(path, np.arange(64) // 7)
    with pytest.raises(InputError, match=f"targets differs from when {run.name} began; put the old file back"):
        resume(run, say=lambda line: None)
    assert build(recipe).identity != first
    np.save(path, (np.arange(64) % 7).astype(np.int16))
    assert build(recipe).identity == first
    assert resume(run, say=lambda line: None).metrics["loss_minus_floor"] > 0
