"""Sweeps, claims and races through the front door."""

import pytest


def test_dry_run_shows_the_runs_and_trains_nothing(fastssl, tmp_path):
    outcome = fastssl(
        "sweep", "demo-simclr", "--vary", "views=2,4", "lr=1e-3..1e-2/2", "--seeds", "2", "--dry-run", "--json"
    )
    assert outcome.status == 0
    assert len(outcome.document["runs"]) == 8
    assert not (tmp_path / "runs").exists()


def test_sweep_with_a_holdout_chooses_on_val(fastssl, tmp_path, monkeypatch):
    from fastssl.cli import sweep

    asked = []
    monkeypatch.setattr(sweep, "run_pool", lambda recipes, *a, **k: asked.extend(recipes) or [])
    assert fastssl("sweep", "demo-simclr", "--vary", "epochs=1,2", "--holdout", ".1").status == 0
    assert [(r.epochs, r.budget_s, r.data.holdout, r.probe.test_split) for r in asked] == [
        (1, None, 0.1, "val"),
        (2, None, 0.1, "val"),
    ]


@pytest.mark.parametrize(("arguments", "words"), [
    (("sweep", "demo-simcl"), "did you mean 'demo-simclr'"),
    (("sweep", "demo-simclr", "--vary", "views"), "names no values"),
    (("sweep", "demo-simclr", "--vary", "vieuws=2"), "names no one field"),
    (("sweep", "demo-simclr", "--parallel", "0"), "parallel=0"),
    (("sweep", "demo-simclr", "--epochs", "1", "--seconds", "2"), "contradict each other"),
    (("sweep",), "names nothing to train"),
    (("claim",), "name= names no claim"),
    (("claim", "small-projectr"), "did you mean 'small-projector'"),
    (("claim", "C1", "--seeds", "0"), "seeds=0 runs nothing"),
    (("speedrun", "mnist"), "dataset='mnist' has no ladder"),
    (("speedrun", "cifar10", "--target", "99.9"), "target=99.9 is above"),
    (("speedrun", "cifar10", "--seeds", "0"), "seeds=0 races nobody"),
])  # fmt: skip
def test_what_cannot_be_run_is_one_line_and_status_2(fastssl, arguments, words):
    outcome = fastssl(*arguments)
    assert outcome.status == 2
    assert words in outcome.err
    assert outcome.err.strip().count("\n") == 0


def test_list_of_claims_names_each_and_its_state(fastssl):
    outcome = fastssl("claim", "--list", "--json")
    assert outcome.status == 0
    rows = outcome.document["claims"]
    assert [row["number"] for row in rows] == [f"C{i}" for i in range(21)]
    assert {row["state"] for row in rows} == {"not run"}


def test_claim_on_a_gpu_that_is_not_there_is_refused(fastssl, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    outcome = fastssl("claim", "C1", "--on", "gpu")
    assert outcome.status == 1
    assert "no CUDA device" in outcome.err


def test_claim_to_judge_without_records_is_refused(fastssl):
    outcome = fastssl("claim", "C1", "--judge")
    assert outcome.status == 1
    assert "small-projector.jsonl cannot be read" in outcome.err
