"""What the probes cost: tables from records of suite "probes"."""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastssl.errors import InputError
from fastssl.report.tables import MISSING
from fastssl.report.units import short_number
from fastssl.telemetry.reading import read_records

SUITE = "probes"
TITLES = {
    "features": "features of {images:,} images of 32 px",
    "knn": "kNN, {rows:,} x {tested:,} x {dim}",
    "logistic": "logistic, 12 penalties, {rows:,} x {dim}",
    "ridge": "ridge, {rows:,} x {dim}",
    "few-labels": "few labels, 2 amounts, 5 draws each",
    "mlp": "MLP, 6 candidates, {rows:,} x {dim}",
}


def probe_costs(paths: Iterable[Path]) -> str:
    """A Markdown table and a note; ratios are medians over blocks. Errors: `InputError` when there is no record."""
    records = [r for r in read_records(list(paths)) if r["suite"] == SUITE]
    if not records:
        raise InputError("records hold no probe that was timed; give records of `make bench-probes`")
    cases: dict[str, dict[str, Any]] = {}
    for record in records:
        cases.setdefault(record["case"]["name"], {})[record["case"]["contestant"]] = record
    lines = ["| work | s | ceiling s | ceiling / ours | scikit-learn s |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, found in cases.items():
        ours, ceiling, peer = (found.get(who) for who in ("ours", "ceiling", "scikit-learn"))
        assert ours is not None, "every case has ours"
        share = MISSING
        if ceiling is not None:
            share = f"{statistics.median(c / o for c, o in zip(ceiling['samples'], ours['samples'])):.2f}"
        cells = [_seconds(one) for one in (ours, ceiling)]
        title = TITLES.get(name, name).format(**ours["case"])
        lines.append(f"| {title} | {cells[0]} | {cells[1]} | {share} | {_seconds(peer)} |")
    first = records[0]
    regimes = [f"- {n}, {who}: {r['case']['regime']}" for n, found in cases.items() for who, r in found.items()]
    note = (
        f"{first['host']['cpu']}, {first['host']['cores']} cores, torch {first['software']['torch']}, "
        f"{first['started_utc'][:10]}, code {str(first['code']['commit'])[:10]}. Wall seconds, medians of "
        f"{len(first['samples'])} blocks; ratios block by block."
    )
    return "\n".join([*lines, "", note, "", *regimes])


def _seconds(record: dict[str, Any] | None) -> str:
    return MISSING if record is None else short_number(statistics.median(record["samples"]))
