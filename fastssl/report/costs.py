"""Augmentation benchmarks: records to tables of time per view, ratios within one run, and shares of the ceilings.

A campaign is measured in blocks; the block is the unit of statistics. A contestant's number is the median over blocks
of each block's median; its ratio to another is taken block by block, where both met the same machine, and the median
of those ratios is given. An interval is the one that order statistics allow for a median, whatever the distribution.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.errors import InputError
from fastssl.report.units import short_number
from fastssl.telemetry.reading import read_records

SUITE = "augment"
OWN = ("fused", "cpu", "kornia", "reference")
"""This library's backends; the first that was measured in a case is the one others are divided by."""
CEILING = "copy"
STAGES = (": sample", ": apply")
OPERATIONS = "ops-"
"""Groups whose cases are one operation each: they make a table of operations by contestants."""

REASON = 160
"""Characters of a reason that a table shows; the record has all of it."""

COLUMNS: dict[str, Any] = {
    "group": pl.String,
    "case": pl.String,
    "contestant": pl.String,
    "outcome": pl.String,
    "reason": pl.String,
    "device": pl.String,
    "threads": pl.Int64,
    "batch": pl.Int64,
    "views": pl.Int64,
    "source": pl.String,
    "dtype": pl.String,
    "blocks": pl.List(pl.Float64),
    "cpu_s_per_view": pl.Float64,
    "bytes_per_view": pl.Float64,
    "launches_per_batch": pl.Float64,
    "quick": pl.Boolean,
    "record": pl.String,
}


@dataclass(frozen=True)
class CostTable:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str

    def markdown(self) -> str:
        """Names flush left, numbers flush right; the note below."""
        align = ["---" if i == 0 else "---:" for i in range(len(self.header))]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.header, align, *self.rows)]
        return "\n".join([*lines, "", self.note])


def load_timings(paths: Iterable[Path], skip: int = 0) -> pl.DataFrame:
    """One row per contestant and case, in the order they were recorded; `blocks` are seconds per view, one per block.

    Args:
        skip: records at the beginning to leave out (those of earlier campaigns in the same file).

    Of a case measured twice in one device and thread count, the last counts. Errors: `InputError` when a file is
    missing or damaged, or no record is of this suite.
    """
    records = [record for record in read_records(paths)[skip:] if record["suite"] == SUITE]
    if not records:
        raise InputError(f"records={', '.join(map(str, paths))} hold no benchmark; give records of `make bench`")
    rows = {}
    for record in records:
        row = _row(record)
        key = (row["case"], row["contestant"], row["device"], row["threads"])
        rows.pop(key, None)
        rows[key] = row
    return pl.DataFrame(list(rows.values()), schema=COLUMNS)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    case, metrics, device = record["case"], record["metrics"], record["device"]
    name = device["name"] if device["kind"] == "cuda" else f"{device['name']}, {record['host']['cores']} cores"
    return {
        "group": case["group"],
        "case": case["name"],
        **{key: case[key] for key in ("contestant", "reason", "threads", "batch", "dtype", "quick")},
        "outcome": record["outcome"],
        "device": name,
        "views": len(case["specs"]),
        "source": f"{case['height']}x{case['width']}",
        "blocks": _block_medians(record["samples"], case["rounds_per_block"]),
        "cpu_s_per_view": metrics.get("cpu_s_per_view"),
        "bytes_per_view": metrics.get("bytes_per_view"),
        "launches_per_batch": metrics.get("launches_per_batch"),
        "record": record["id"],
    }


def _block_medians(samples: Sequence[float], rounds: Sequence[int]) -> list[float]:
    if sum(rounds) != len(samples):
        raise InputError(f"rounds_per_block={list(rounds)} do not add up to the {len(samples)} samples of the record")
    edges = [sum(rounds[:block]) for block in range(len(rounds) + 1)]
    return [statistics.median(samples[begin:end]) for begin, end in pairwise(edges)]


def median_and_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Median and the narrowest interval of order statistics that holds it with 95 % or more; none below six values.

    The chance that the true median lies outside the r-th smallest and r-th largest of n values is twice the binomial
    probability of fewer than r of n below it (Conover, Practical Nonparametric Statistics, 3.2).
    """
    ordered, n = sorted(values), len(values)
    rank = 0
    while 2 * sum(math.comb(n, k) for k in range(rank + 1)) <= 0.05 * 2**n:
        rank += 1
    if rank == 0:
        return statistics.median(ordered), None, None
    return statistics.median(ordered), ordered[rank - 1], ordered[n - rank]


def ratio_and_interval(values: Sequence[float], base: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The same of value / base, block by block. Errors: `InputError` when their blocks are not as many."""
    if len(values) != len(base):
        raise InputError(f"blocks={len(values)} and {len(base)} were not measured together; compare within one run")
    return median_and_interval([value / divisor for value, divisor in zip(values, base)])


def augment_tables(frame: pl.DataFrame) -> list[CostTable]:
    """Every table of a campaign: one per pipeline, one of the draws' share, one per table of operations."""
    tables = []
    for part in frame.partition_by("group", "device", "threads", maintain_order=True):
        table = operation_table if part["group"][0].startswith(OPERATIONS) else pipeline_table
        tables.append(table(part))
    if draws := draw_table(frame):
        tables.append(draws)
    return tables


def baseline(case: pl.DataFrame) -> dict[str, Any] | None:
    """The fastest kind of backend of ours that was measured in the case, or None."""
    measured = {row["contestant"]: row for row in case.iter_rows(named=True) if row["outcome"] == "ok"}
    return next((measured[name] for name in OWN if name in measured), None)


def pipeline_table(case: pl.DataFrame) -> CostTable:
    """Contestants of one pipeline, fastest first; what was not measured comes last, with the reason."""
    ours, ceiling = baseline(case), _row_of(case, CEILING)
    rows = [row for row in case.iter_rows(named=True) if not row["contestant"].endswith(STAGES)]
    measured = sorted((row for row in rows if row["outcome"] == "ok"), key=lambda row: statistics.median(row["blocks"]))
    others = [row for row in rows if row["outcome"] != "ok"]
    on_gpu = any(row["launches_per_batch"] is not None for row in rows)
    header = ("contestant", "us per view", "CPU us per view", f"times {ours['contestant'] if ours else 'ours'}",
              "share of copy bound", *(("launches per batch",) if on_gpu else ()))  # fmt: skip
    body = [_measured_cells(row, ours, ceiling, on_gpu) for row in measured]
    body += [(_why_not(row), *[""] * (len(header) - 1)) for row in others]
    return CostTable(_title(case), header, tuple(body), _note(case))


def _why_not(row: dict[str, Any]) -> str:
    reason = " ".join(row["reason"].replace("|", "/").split())
    shown = reason if len(reason) <= REASON else f"{reason[:REASON]} ..."
    return f"{row['contestant']}: {row['outcome']} ({shown})"


def _measured_cells(
    row: dict[str, Any], ours: dict[str, Any] | None, ceiling: dict[str, Any] | None, on_gpu: bool
) -> tuple[str, ...]:
    name = "memory copy (ceiling)" if row["contestant"] == CEILING else row["contestant"]
    ratio = _spread(ratio_and_interval(row["blocks"], ours["blocks"]), short_number) if ours else ""
    share = f"{ratio_and_interval(ceiling['blocks'], row['blocks'])[0]:.0%}" if ceiling else ""
    launches = row["launches_per_batch"]
    cells = (name, _microseconds(row["blocks"]), short_number(1e6 * row["cpu_s_per_view"]), ratio, share)
    return (*cells, "" if launches is None else f"{launches:.0f}") if on_gpu else cells


def operation_table(group: pl.DataFrame) -> CostTable:
    """Operations by contestants, microseconds per view; a cell that was not measured is empty, the best is bold."""
    names = list(dict.fromkeys(group["contestant"].to_list()))
    names.sort(key=lambda name: (name == CEILING, OWN.index(name) if name in OWN else len(OWN)))
    rows = []
    for case in group.partition_by("case", maintain_order=True):
        found = {row["contestant"]: row["blocks"] for row in case.iter_rows(named=True) if row["outcome"] == "ok"}
        times = {name: statistics.median(blocks) for name, blocks in found.items()}
        best = min((time for name, time in times.items() if name != CEILING), default=None)
        cells = ["" if name not in times else _bold(times[name], times[name] == best) for name in names]
        rows.append((case["case"][0].split("/", 1)[1], *cells))
    header = ("operation", *("memory copy" if name == CEILING else name for name in names))
    note = (
        f"Microseconds per view, median over {_num_blocks(group)} blocks; each operation happens to every image, on "
        "top of the plain view of the first row, which every row contains. Bold: the fastest. Empty: no such "
        f"operation, or it failed. {_work(group)}{_quick(group)}"
    )
    return CostTable(_title(group), header, tuple(rows), note)


def draw_table(frame: pl.DataFrame) -> CostTable | None:
    """What drawing the parameters costs beside applying them, in one run; None when no stage was measured."""
    rows = []
    for case in frame.partition_by("case", "device", "threads", maintain_order=True):
        for name in OWN:
            draw, apply = (_row_of(case, f"{name}{stage}") for stage in STAGES)
            if draw and apply:
                share = _spread(ratio_and_interval(draw["blocks"], apply["blocks"]), lambda value: f"{value:.2%}")
                rows.append((f"{case['case'][0]}, {name}", _microseconds(draw["blocks"]),
                             _microseconds(apply["blocks"]), share))  # fmt: skip
    header = ("pipeline, backend", "draw, us per view", "apply, us per view", "draw / apply")
    note = f"Each stage alone, in the same blocks. {_intervals(frame)}"
    return CostTable("Drawing parameters beside applying them", header, tuple(rows), note) if rows else None


def _row_of(case: pl.DataFrame, contestant: str) -> dict[str, Any] | None:
    found = case.filter((pl.col("contestant") == contestant) & (pl.col("outcome") == "ok"))
    return found.row(0, named=True) if len(found) else None


def _microseconds(blocks: Sequence[float]) -> str:
    return _spread(median_and_interval([1e6 * value for value in blocks]), short_number)


def _spread(found: tuple[float, float | None, float | None], text: Callable[[float], str]) -> str:
    median, low, high = found
    return text(median) if low is None or high is None else f"{text(median)} ({text(low)} to {text(high)})"


def _bold(seconds: float, best: bool) -> str:
    text = short_number(1e6 * seconds)
    return f"**{text}**" if best else text


def _num_blocks(frame: pl.DataFrame) -> str:
    counts = sorted({len(blocks) for blocks in frame["blocks"].to_list() if blocks is not None and len(blocks)})
    return " or ".join(map(str, counts)) or "no"


def _title(case: pl.DataFrame) -> str:
    row = case.row(0, named=True)
    threads = f", {row['threads']} thread{'s' * (row['threads'] > 1)}" if row["launches_per_batch"] is None else ""
    return f"{row['group']} from {row['source']}: {row['device']}{threads}"


def _note(case: pl.DataFrame) -> str:
    return f"{_work(case)} {_intervals(case)}{_quick(case)}"


def _work(case: pl.DataFrame) -> str:
    row = case.row(0, named=True)
    views = f"{row['batch']} images x {row['views']} view{'s' * (row['views'] > 1)}, {row['dtype']} out"
    return f"{views}; copy bound: {row['bytes_per_view'] / 1e3:.1f} kB read and written per view."


def _quick(case: pl.DataFrame) -> str:
    return " Quick run: for checking the harness, not for quoting." if case["quick"].any() else ""


def _intervals(frame: pl.DataFrame) -> str:
    return f"In brackets, 95 % intervals of the median over {_num_blocks(frame)} blocks."
