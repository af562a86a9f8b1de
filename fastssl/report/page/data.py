"""What the page shows, as plain JSON: groups of comparable runs, cards of single runs, and bars of benchmarks.

Accuracies are fractions, compute is in hours, bars are in the unit they name. Nothing is chosen or rounded here.
"""

import base64
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.report.arms import flatten
from fastssl.report.costs import CEILING as COPY
from fastssl.report.costs import SUITE as AUGMENT
from fastssl.report.costs import median_and_interval
from fastssl.report.load import record_files, runs_frame
from fastssl.report.loader_costs import CEILINGS
from fastssl.report.loader_costs import SUITE as LOAD
from fastssl.report.probes import SUITE as PROBE
from fastssl.report.probes import accuracies
from fastssl.report.spectra import SUITE as SPECTRUM
from fastssl.report.student import T_975
from fastssl.telemetry.reading import read_records

PICTURE_BYTES = 400_000
"""A sheet of views larger than this stays outside."""
GROUP = ("dataset", "device", "protocol", "content")
"""Runs that differ in one of these are never on one axis."""
UNITS = {"cpu_s_per_image": ("CPU µs per image", 1e6), "s_per_view": ("µs per view", 1e6)}
"""Of the benchmarks that are shown; a smaller number is better."""


def page_data(paths: Iterable[Path]) -> dict[str, Any]:
    """Errors: `InputError` when a path is missing, a record is damaged, or there is no record of a run."""
    paths = [Path(path) for path in paths]
    records = read_records(record_files(paths))
    frame = _with_content(runs_frame(records, origin=", ".join(map(str, paths))))
    by_id = {record["id"]: record for record in records}
    found = {
        suite: [r for r in records if r["suite"] == suite and r["outcome"] == "ok"]
        for suite in (PROBE, SPECTRUM, LOAD, AUGMENT)
    }
    groups, sheets = [], _sheets(paths)
    for part in frame.partition_by(GROUP, maintain_order=True):
        of_group = runs_frame(by_id[name] for name in part["record"])  # arms are named within their group
        groups.append(_group(of_group, by_id, found, sheets))
    days = sorted({record["started_utc"][:10] for record in records})
    return {
        "records": len(records),
        "runs": frame["run"].n_unique(),
        "days": [days[0], days[-1]],
        "commits": sorted({str(c)[:10] for c in frame["commit"].unique().to_list() if c}),
        "groups": groups,
        "t_975": T_975,
        "benches": [*_benches(found[LOAD], set(CEILINGS)), *_benches(found[AUGMENT], {COPY})],
    }


def _with_content(frame: pl.DataFrame) -> pl.DataFrame:
    """`content` is the fingerprint where one dataset, and one share of it, has several: these are other images."""
    several = pl.col("fingerprint").n_unique().over("dataset", "subset") > 1
    return frame.with_columns(content=pl.when(several).then("fingerprint").otherwise(pl.lit("")))


def _group(frame: pl.DataFrame, by_id: dict[str, Any], found: dict[str, Any], sheets: dict[str, str]) -> dict[str, Any]:
    first = frame.row(0, named=True)
    arms = []
    for arm in frame.partition_by("arm", maintain_order=True):
        runs = [_run(run, by_id, found, sheets) for run in arm.partition_by("run", maintain_order=True)]
        common = dict(flatten(runs[0].pop("recipe")))
        for run in runs[1:]:
            common = dict(common.items() & dict(flatten(run.pop("recipe"))).items())
        arms.append({"name": arm["arm"][0], "role": arm["role"][0], "method": arm["method"][0], "runs": runs,
                     "recipe": common})  # fmt: skip
    shared = dict(set.intersection(*(set(arm["recipe"].items()) for arm in arms)))
    for arm in arms:  # a card shows what tells its arm from the others of its group
        arm["differs"] = dict(sorted((k, v) for k, v in arm.pop("recipe").items() if k not in shared and k != "name"))
    return {
        **{name: first[name] for name in ("dataset", "device", "protocol")},
        "kind": first["device_kind"],
        "arms": arms,
        "shared": shared,
    }


def _run(run: pl.DataFrame, by_id: dict[str, Any], found: dict[str, Any], sheets: dict[str, str]) -> dict[str, Any]:
    last = by_id[run["record"][-1]]
    case = last["case"]
    mine = lambda suite: _last_looks(r for r in found[suite] if r["case"]["run"] == case["run"])
    return {
        "run": case["run"],
        "seed": case["seed"],
        "points": run.select("compute_h", "views", "epoch", "ridge", "knn").rows(),
        "final": bool(run["final"][-1]),
        "recipe": case["recipe"],
        "clock": {name: value for name, value in last["clock"].items() if name.endswith("_s") and _is_number(value)},
        "budget": last["budget"],
        "metrics": last["metrics"],
        "environment": {
            "device": last["device"]["name"],
            "cpu": last["host"]["cpu"],
            "cores": last["host"]["cores"],
            **{name: last["software"].get(name) for name in ("fastssl", "torch", "python", "ffcv", "kornia")},
            "commit": (last["code"]["commit"] or "unknown")[:10] + (" (changed)" if last["code"]["dirty"] else ""),
            "started": last["started_utc"],
        },
        "probes": [_probe(r) for r in mine(PROBE)],
        "spectra": [_spectrum(r) for r in mine(SPECTRUM)],
        "sheet": sheets.get(case["run"]),
    }


def _last_looks(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of what was looked at twice, the last: it is of the latest weights."""
    same = ("weights", "layer", "views", "kind", "protocol")
    return list({tuple(r["case"].get(name) for name in same): r for r in records}.values())


def _probe(record: dict[str, Any]) -> dict[str, Any]:
    case, metrics = record["case"], record["metrics"]
    rows = [
        (name, metrics[name], metrics.get(f"{name}_ci95", metrics.get(f"{name}_se"))) for name in accuracies(metrics)
    ]
    return {name: case[name] for name in ("weights", "layer", "views", "dataset", "protocol")} | {"rows": rows}


def _spectrum(record: dict[str, Any]) -> dict[str, Any]:
    total = math.fsum(record["samples"]) or 1.0
    values = [value / total for value in record["samples"]]
    keep = sorted({round(len(values) ** (i / 60)) for i in range(61)})  # evenly over the logarithm of the rank
    points = [(rank, values[rank - 1]) for rank in keep if 1 <= rank <= len(values) and values[rank - 1] > 0]
    return {"weights": record["case"]["weights"], "layer": record["case"]["layer"], "points": points,
            "metrics": record["metrics"]}  # fmt: skip


def _sheets(paths: Iterable[Path]) -> dict[str, str]:
    """Sheets of views that lie beside records as `views.png`, by run, as data."""
    found = {}
    for path in paths:
        for sheet in sorted(path.rglob("views.png")) if path.is_dir() else ():
            if sheet.stat().st_size <= PICTURE_BYTES:
                found[sheet.parent.name] = "data:image/png;base64," + base64.b64encode(sheet.read_bytes()).decode()
    return found


def _benches(records: list[dict[str, Any]], ceilings: set[str]) -> list[dict[str, Any]]:
    """One chart per case and device: the median over blocks of each contestant, ceilings marked. Last record counts."""
    charts: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in records:
        case, unit = record["case"], record["unit"]
        if unit not in UNITS or not record["samples"]:
            continue
        label, factor = UNITS[unit]
        device = record["device"]["name"]
        chart = charts.setdefault((record["suite"], case["name"], device, str(case.get("threads"))), {
            "suite": record["suite"], "case": case["name"], "device": device, "threads": case.get("threads"),
            "unit": label, "bars": {}, "quick": case.get("quick", False),
        })  # fmt: skip
        median, low, high = median_and_interval([factor * value for value in _blocks(record)])
        chart["bars"][case["contestant"]] = {
            "median": median, "low": low, "high": high, "ceiling": case["contestant"] in ceilings
        }  # fmt: skip
    return [chart for chart in charts.values() if len(chart["bars"]) > 1]


def _blocks(record: dict[str, Any]) -> list[float]:
    """One number per block: the median of its rounds, where a block has several."""
    counts = record["case"].get("rounds_per_block")
    if not counts:
        return record["samples"]
    blocks, at = [], 0
    for count in counts:
        part = sorted(record["samples"][at : at + count])
        at += count
        blocks.append((part[(len(part) - 1) // 2] + part[len(part) // 2]) / 2)
    return blocks


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
