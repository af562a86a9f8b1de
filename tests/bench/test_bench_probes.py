"""The benchmark of the probes: records that can be kept, a table with ceilings and peers."""

import sys

import pytest

from benchmarks import bench_probes
from fastssl.errors import InputError
from fastssl.report.probe_costs import probe_costs
from fastssl.telemetry.records import read_records


def test_a_small_campaign_gives_a_table(tmp_path, monkeypatch):
    path = tmp_path / "probes.jsonl"
    monkeypatch.setattr(bench_probes, "mlp", lambda f: [])  # its own test trains it
    monkeypatch.setattr(sys, "argv", ["bench_probes", "--quick", "--rows", "1000", "--records", str(path)])
    assert bench_probes.main() == 0
    records = read_records([path])
    assert {r["case"]["name"] for r in records} == {"features", "knn", "logistic", "ridge", "few-labels", "mlp"}
    assert all(len(r["samples"]) == 2 and min(r["samples"]) > 0 for r in records)
    text = probe_costs([path])
    assert "| kNN, 1,000 x 200 x 512 |" in text
    assert text.count("| — |") >= 2  # few labels and MLP have no ceiling here
    assert "scikit-learn: LogisticRegression" in text


def test_records_of_something_else_are_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match="no probe that was timed"):
        probe_costs([tmp_path / "empty.jsonl"])
