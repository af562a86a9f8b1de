"""Training records to one table of evaluation points."""

import warnings
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.errors import InputError
from fastssl.report.arms import ROLES, arm_key, arm_labels, group_by_field
from fastssl.telemetry.reading import read_records

COLUMNS: dict[str, Any] = {
    "run": pl.String,
    "arm": pl.String,
    "role": pl.String,
    "name": pl.String,
    "method": pl.String,
    "dataset": pl.String,
    "subset": pl.String,
    "fingerprint": pl.String,
    "device": pl.String,
    "device_kind": pl.String,
    "world_size": pl.Int64,
    "protocol": pl.String,
    "seed": pl.Int64,
    "epoch": pl.Float64,
    "step": pl.Int64,
    "views": pl.Int64,
    "images": pl.Int64,
    "compute_h": pl.Float64,
    "train_s": pl.Float64,
    "data_s": pl.Float64,
    "eval_s": pl.Float64,
    "compile_s": pl.Float64,
    "wall_s": pl.Float64,
    "flops": pl.Float64,
    "joules": pl.Float64,
    "peak_memory_bytes": pl.Int64,
    "ridge": pl.Float64,
    "knn": pl.Float64,
    "final": pl.Boolean,
    "commit": pl.String,
    "record": pl.String,
    "pooled": pl.String,
}


def load_runs(
    paths: Iterable[Path], dataset_label: str | None = None, *, by: str | None = None, only: str | None = None
) -> pl.DataFrame:
    """One row per evaluation point of every training run found, sorted by arm, run and step.

    `compute_h` is the clock of training and of waiting for data, times the devices, in hours; evaluation, compilation
    and checkpoints are outside it. `wall_s`, `flops`, `joules` and `peak_memory_bytes` are null where they were not
    recorded. `ridge` and `knn` are accuracies from 0 to 1. `arm` names runs that differ in their seed alone. `device`
    names the processor and, of a CPU, its cores, and, of GPUs, how many.

    Args:
        paths: files of records, run directories, or folders that hold any of these.
        dataset_label: what to call the dataset, when its name says too little (a lossy copy of it, say).
        by: a field of the recipe, such as `views` or `optim.lr`: runs of one method and one value of it are one arm,
            whatever else differs, and `pooled` names what does.
        only: a pattern with * and ?, of recipe names or methods to keep.

    Errors: `InputError` when a path is missing, a record is damaged, no record is of a training run, `only` matches
    none, or no recipe has the field.
    """
    paths = list(paths)
    records = read_records(record_files(paths))
    return runs_frame(records, dataset_label, by=by, only=only, origin=", ".join(map(str, paths)))


def runs_frame(
    records: Iterable[dict[str, Any]],
    dataset_label: str | None = None,
    *,
    by: str | None = None,
    only: str | None = None,
    origin: str = "",
) -> pl.DataFrame:
    """`load_runs` of records that were read already (from `origin`); those of other suites are passed over."""
    unique = {record["id"]: record for record in records if record["suite"] == "train"}
    if not unique:
        raise InputError(f"records={origin or 'nothing'} hold no training run; give records of `train`")
    kept = _last_attempts(_matching(list(unique.values()), only))
    rows = [_row(record) for record in kept]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    groups, pooled = group_by_field(arms, by) if by is not None else ({arm: arm for arm in arms}, {})
    labels = dict(zip(dict.fromkeys(groups.values()), arm_labels(list(dict.fromkeys(groups.values())))))
    named = [{**r, "arm": labels[groups[r["arm"]]], "pooled": pooled.get(groups[r["arm"]], "")} for r in rows]
    frame = pl.DataFrame(named, schema=COLUMNS)
    if dataset_label is not None and frame["dataset"].n_unique() == 1:
        frame = frame.with_columns(dataset=pl.lit(dataset_label))
    return frame.sort("arm", "seed", "run", "step")


NO_RECORDS = frozenset({"scalars.jsonl"})
"""Files of JSON lines in a run's directory that are no records."""


def record_files(paths: Iterable[Path]) -> list[Path]:
    """Every file of records among files, run directories and folders of them, once. Errors: `InputError` if missing."""
    return list(dict.fromkeys(file for path in paths for file in _files(Path(path))))


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"records={path} does not exist; give a .jsonl file, a run directory, or a folder of them")
    return sorted(f for f in path.rglob("*.jsonl") if f.name not in NO_RECORDS) if path.is_dir() else [path]


def _matching(records: list[dict[str, Any]], only: str | None) -> list[dict[str, Any]]:
    if only is None:
        return records
    found = [r for r in records if any(fnmatch(r["case"][name], only) for name in ("name", "method"))]
    if not found:
        names = sorted({r["case"]["name"] for r in records})
        raise InputError(f"only={only} matches none of {', '.join(names)}; give a pattern of these or of their methods")
    return found


def _last_attempts(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A run trained anew under its own name starts again at an early step; only its last attempt is one run's curve."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        attempt = runs.setdefault(record["case"]["run"], [])
        if attempt and record["case"]["step"] <= attempt[-1]["case"]["step"]:
            warnings.warn(
                f"run {record['case']['run']} was trained more than once; its last attempt counts", stacklevel=3
            )
            attempt.clear()
        attempt.append(record)
    return [record for attempt in runs.values() for record in attempt]


def _row(record: dict[str, Any]) -> dict[str, Any]:
    case, clock, budget, metrics = (record[block] for block in ("case", "clock", "budget", "metrics"))
    dataset, device, protocol = record["dataset"], _device(record), case["protocol"]
    facts = {"dataset": dataset["id"], "device": device, "protocol": protocol, "fingerprint": dataset["fingerprint"]}
    data = case["recipe"].get("data", {})
    return {
        "run": case["run"],
        "arm": (case["method"], arm_key(case["recipe"], **facts)),
        "role": ROLES.get(case["method"], "method"),
        **{name: case[name] for name in ("name", "method", "protocol", "seed", "step", "final")},
        **facts,
        "subset": f"{data.get('fraction', 1.0):g} of it, subset {data.get('subset_seed', 0)}",
        "device_kind": record["device"]["kind"],
        "world_size": clock["world_size"],
        "epoch": float(case["epoch"]),
        "views": budget["views"],
        "images": budget["images"],
        "compute_h": (clock["train_s"] + clock["data_s"]) * clock["world_size"] / 3600,
        **{name: float(clock[name]) for name in ("train_s", "data_s", "eval_s", "compile_s")},
        "wall_s": clock.get("wall_s"),
        "flops": budget["flops"],
        "joules": budget["joules"],
        "peak_memory_bytes": budget.get("peak_memory_bytes"),
        "ridge": float(metrics["ridge"]),
        "knn": float(metrics["knn"]),
        "commit": record["code"]["commit"],
        "record": record["id"],
    }


def _device(record: dict[str, Any]) -> str:
    device = record["device"]
    if device["kind"] == "cpu":
        cores = record["host"]["cores"]
        return f"{device['name']}, {cores} core{'s' * (cores != 1)}"
    return device["name"] if device["count"] == 1 else f"{device['count']} x {device['name']}"
