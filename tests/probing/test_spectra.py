"""Spectra of a run: both encoders, records that can be kept, pictures, and what is refused."""

import numpy as np
import pytest
import torch

from fastssl.cli import main
from fastssl.errors import InputError
from fastssl.evals.health import health
from fastssl.probing.passes import Look, settle, show
from fastssl.probing.plane import in_the_plane
from fastssl.probing.spectra import spectra_of
from fastssl.probing.subject import open_run
from fastssl.report.load import load_runs
from fastssl.report.spectra import load_spectra
from fastssl.telemetry.records import read_records
from fastssl.train import train
from tests.tiny_runs import tiny


def test_trained_and_untrained_are_measured_and_recorded(runs):
    trained, untrained = (one.record for one in spectra_of(runs["simclr"], views=3))
    assert (trained["case"]["weights"], untrained["case"]["weights"]) == ("trained", "random")
    assert trained["case"]["weights_hash"] != untrained["case"]["weights_hash"]
    values = trained["samples"]
    assert values == sorted(values, reverse=True)
    x = show(open_run(runs["simclr"]), Look(dataset="tiny", split="test")).features["encoder"][:, 0].double()
    assert sum(values) == pytest.approx(float(x.var(0, correction=0).sum()))
    assert set(trained["metrics"]) == {
        "alpha", "alpha_r2", "rankme", "effective_rank", "collapsed", "lidar", "alignment", "uniformity"
    }  # fmt: skip


def test_a_training_probe_says_the_same_as_the_look_afterwards(runs):
    last = read_records([runs["simclr"] / "records.jsonl"])[-1]
    after = next(iter(spectra_of(runs["simclr"], views=2))).record
    for name in ("alpha", "rankme", "effective_rank"):
        assert after["metrics"][name] == pytest.approx(last["metrics"][name], rel=1e-6)


def test_command_draws_and_appends_but_adds_no_training_run(runs, tmp_path, capsys):
    before = load_runs([runs["simclr"]])
    out = tmp_path / "pictures" / "s"
    assert main(["spectrum", str(runs["simclr"]), str(runs["diet"]), "--out", str(out), "--views", "2"]) == 0
    assert out.with_name("s.png").stat().st_size > 10_000
    assert "untrained" in capsys.readouterr().out
    assert len(load_spectra([runs["simclr"], runs["diet"]])) == 4
    assert load_runs([runs["simclr"]]).equals(before)


def test_projector_and_inner_layers_are_looked_at(runs):
    subject = open_run(runs["simclr"], projector=True)
    inner = next(name for name, _ in subject.encoder.named_children())
    shown = show(subject, Look(dataset="tiny", split="test"), ("encoder", "projector", inner)).features
    with torch.inference_mode():
        torch.testing.assert_close(subject.projector(shown["encoder"][:, 0]), shown["projector"][:, 0])
    assert shown[inner].ndim == 3
    record = next(iter(spectra_of(runs["simclr"], layer="projector", views=2))).record
    assert len(record["samples"]) == shown["projector"].shape[2]


def test_untrained_projector_is_settled_too(runs):
    subject = settle(open_run(runs["simclr"], weights="untrained", projector=True))
    norms = [m for m in subject.projector.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert norms
    assert all(bool((m.running_var != 1).any()) for m in norms)
    assert not subject.projector.training


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["--layer", "projector"], "diet has none"),
        (["--layer", "nowhere"], "layer='nowhere'"),
        (["--views", "1"], "views=1"),
        (["--images", "0"], "limit=0"),
        (["--split", "nosplit"], "nosplit"),
        (["--out", "."], "is a folder"),
    ],
)
def test_bad_input_is_one_line(runs, capsys, monkeypatch, tmp_path, arguments, needle):
    monkeypatch.chdir(tmp_path)
    assert main(["spectrum", str(runs["diet"]), *arguments]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert needle in lines[-1]
    assert not (runs["diet"] / "spectra.jsonl").exists()


def test_a_map_keeps_groups_together():
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(3).repeat_interleave(40, 0) @ torch.randn(3, 16, generator=generator)
    x = centres + 0.05 * torch.randn(120, 16, generator=generator)
    points = in_the_plane(x, "tsne")
    means = np.stack([points[i : i + 40].mean(0) for i in (0, 40, 80)])
    apart = np.linalg.norm(means[0] - means[1])
    assert apart > 3 * np.linalg.norm(points[:40] - means[0], axis=1).mean()
    with pytest.raises(InputError, match="images=10 are too few"):
        in_the_plane(x[:10], "tsne")


def test_collapse_is_said_aloud(tiny_dataset, tmp_path, monkeypatch):

    said = []
    train(tiny(epochs=1), runs_dir=tmp_path, say=said.append)
    assert not any(line.startswith("collapse") for line in said)
    monkeypatch.setattr("fastssl.train.probe.health", lambda x: health(torch.ones_like(x)))
    train(tiny(epochs=1, seed=5), runs_dir=tmp_path, say=said.append)
    assert any(line.startswith("collapse  at step") for line in said)
