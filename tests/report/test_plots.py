"""Documents are redrawn from records of any suite, and a stale one is found."""

import sys

import plots
import pytest
from test_costs import CAMPAIGN, QUEUED, steady, timing

from fastssl.telemetry.records import append_record

BLOCK = "<!-- table: augment -->\nold\n<!-- end: augment -->\n"


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# no tables\n")
    (tmp_path / "docs" / "costs.md").write_text(f"before\n{BLOCK}after\n")
    return tmp_path


def run(monkeypatch, root, *flags):
    monkeypatch.setattr(sys, "argv", ["plots.py", "--root", str(root), *flags])
    return plots.main()


def test_benchmarks_become_tables_of_the_documents(checkout, monkeypatch, capsys):
    for record in CAMPAIGN:
        append_record(checkout / "results" / "augment" / "cpu-x" / "first.jsonl", record)
    assert run(monkeypatch, checkout, "--check") == 1
    assert "docs/costs.md" in capsys.readouterr().err
    assert run(monkeypatch, checkout) == 0
    text = (checkout / "docs" / "costs.md").read_text()
    assert "## cpu-x, first" in text
    assert "| Kornia | 150 (150 to 150) |" in text
    assert text.startswith("before\n")
    assert text.endswith("<!-- end: augment -->\nafter\n")
    assert run(monkeypatch, checkout, "--check") == 0


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_tables_of_a_gpu_stand_empty_until_one_was_measured(kind, checkout, monkeypatch):
    record = timing("kornia", steady(3), kind=kind, **(QUEUED if kind == "cuda" else {}))
    append_record(checkout / "results" / "augment" / "x" / "first.jsonl", record)
    run(monkeypatch, checkout)
    text = (checkout / "docs" / "costs.md").read_text()
    assert ("| ours: fused |  |  |  |  |  |" in text) == (kind == "cpu")


def test_document_without_a_campaign_says_so(checkout, monkeypatch):
    run(monkeypatch, checkout)
    assert plots.UNMEASURED in (checkout / "docs" / "costs.md").read_text()


def test_training_records_are_drawn_and_benchmarks_are_not(checkout, monkeypatch, fake):
    for record in CAMPAIGN:
        append_record(checkout / "results" / "augment" / "cpu-x" / "first.jsonl", record)
    for record in fake.run("simclr"):
        append_record(checkout / "results" / "train" / "cpu-x" / "second.jsonl", record)
    run(monkeypatch, checkout)
    drawn = {path.stem for path in (checkout / "results" / "figures").iterdir()}
    assert drawn == {"train-cpu-x-second", "manifest"}


def test_a_figure_of_other_records_is_stale(checkout, monkeypatch, fake, capsys):
    records = checkout / "results" / "train" / "cpu-x" / "second.jsonl"
    for record in fake.run("simclr"):
        append_record(records, record)
    run(monkeypatch, checkout)
    assert run(monkeypatch, checkout, "--check") == 0
    for record in fake.run("simclr", seed=1):
        append_record(records, record)
    assert run(monkeypatch, checkout, "--check") == 1
    assert "figures/train-cpu-x-second" in capsys.readouterr().err
    run(monkeypatch, checkout)
    assert run(monkeypatch, checkout, "--check") == 0
    (checkout / "results" / "figures" / "train-cpu-x-second.svg").unlink()
    assert run(monkeypatch, checkout, "--check") == 1
