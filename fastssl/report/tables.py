"""Where each arm ended, and what it cost to get there."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from fastssl.report.student import mean_and_halfwidth
from fastssl.report.units import compute_name, compute_unit, short_count, short_number

MISSING = "—"


@dataclass(frozen=True)
class Table:
    """`rows` are texts for people; `values` hold the numbers behind them."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    values: tuple[dict[str, Any], ...]
    note: str
    """How to read it: the probe, the clock and the intervals."""

    def to_json(self) -> list[dict[str, Any]]:
        return [dict(value) for value in self.values]

    def markdown(self) -> str:
        """Text columns flush left, numbers flush right; the note below."""
        align = ["---" if i == 0 else "---:" for i in range(len(self.header))]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.header, align, *self.rows)]
        return "\n".join([*lines, "", self.note, ""])


def budget_table(frame: pl.DataFrame) -> Table:
    """One row per arm: runs, views, compute time and the probes of the final weights.

    The floor (random encoder) and the ceiling (supervised) are always there and marked; "not run" when they were not.
    Arms in between stand by ridge accuracy. Numbers are means over finished runs, with a 95 % interval (Student's t
    over runs) from two runs on; a run that has no final probe counts as unfinished and is left out of the means.
    """
    values = [_summary(arm) for arm in frame.partition_by("arm", maintain_order=True)]
    present = {value["role"] for value in values}
    absent = [name for role, name in (("ceiling", "supervised"), ("floor", "random encoder")) if role not in present]
    values += [_not_run(name) for name in absent]
    rank = {"ceiling": 0, "method": 1, "floor": 2}
    values.sort(key=lambda value: (rank[value["role"]], -(value["ridge"] or -1.0), value["arm"]))
    unit, per_hour = compute_unit([value["compute_h"] or 0.0 for value in values])
    kind = compute_name(frame["device_kind"].to_list())
    header = ("method", "runs", "views", f"{kind}-{unit}", "ridge %", "kNN %")
    rows = tuple(_cells(value, per_hour) for value in values)
    return Table(header, rows, tuple(values), _note(frame, kind, unit))


def _summary(arm: pl.DataFrame) -> dict[str, Any]:
    ends = arm.filter(pl.col("final"))
    first = arm.row(0, named=True)
    summary = {
        "arm": first["arm"],
        "method": first["method"],
        "role": first["role"],
        "dataset": first["dataset"],
        "device": first["device"],
        "runs": len(ends),
        "unfinished": arm["run"].n_unique() - len(ends),
    }
    for name in ("views", "compute_h", "ridge", "knn"):
        mean, halfwidth = mean_and_halfwidth(ends[name].to_list()) if len(ends) else (None, None)
        summary |= {name: mean, f"{name}_ci95": halfwidth}
    return summary


def _not_run(name: str) -> dict[str, Any]:
    numbers = dict.fromkeys(
        f"{column}{end}" for column in ("views", "compute_h", "ridge", "knn") for end in ("", "_ci95")
    )
    method, role = ("supervised", "ceiling") if name == "supervised" else ("random", "floor")
    facts = {"arm": name, "method": method, "role": role, "dataset": None, "device": None}
    return {**facts, "runs": 0, "unfinished": 0, **numbers}


def _cells(value: dict[str, Any], per_hour: float) -> tuple[str, ...]:
    name = value["arm"] if value["role"] == "method" else f"{value['arm']} ({value['role']})"
    unfinished = f" (+{value['unfinished']} unfinished)" if value["unfinished"] else ""
    runs = f"{value['runs']}{unfinished}" if value["runs"] or unfinished else "not run"
    if not value["runs"]:
        return (name, runs, *[MISSING] * 4)
    spent = short_number(value["compute_h"] * per_hour)
    return (name, runs, short_count(value["views"]), spent, _percent(value, "ridge"), _percent(value, "knn"))


def _percent(value: dict[str, Any], name: str) -> str:
    halfwidth = value[f"{name}_ci95"]
    return f"{value[name]:.1%}".rstrip("%") + ("" if halfwidth is None else f" ± {100 * halfwidth:.1f}")


def _note(frame: pl.DataFrame, kind: str, unit: str) -> str:
    datasets, devices, protocols = (
        "; ".join(frame[name].unique(maintain_order=True)) for name in ("dataset", "device", "protocol")
    )
    return (
        f"{datasets} on {devices}. {kind}-{unit} are the clock of training and of waiting for data; evaluation, "
        f"compilation and checkpoints are outside it. Probes of the final weights: {protocols}. "
        "± is a 95 % interval over runs (Student's t)."
    )
