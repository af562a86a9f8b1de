"""Augmentation benchmarks: from records to medians, intervals and ratios (`cost_tables.py` makes tables of them).

A campaign is measured in blocks; the block is the unit of statistics. A contestant's number is the median over blocks
of each block's median; its ratio to another is taken block by block, where both met the same machine, and the median
of those ratios is given. An interval is the one that order statistics allow for a median, whatever the distribution.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.errors import InputError
from fastssl.telemetry.reading import read_records

SUITE = "augment"
OWN = ("fused", "cpu", "kornia", "reference")
"""This library's backends; the first that was measured in a case is the one others are divided by."""
CEILING = "copy"
PACKAGES = ("torch", "torchvision", "kornia", "triton", "numba", "pillow")
"""Whose versions decide what a contestant is."""

COLUMNS: dict[str, Any] = {
    "group": pl.String,
    "case": pl.String,
    "contestant": pl.String,
    "outcome": pl.String,
    "reason": pl.String,
    "regime": pl.String,
    "kind": pl.String,
    "device": pl.String,
    "threads": pl.Int64,
    "batch": pl.Int64,
    "sizes": pl.List(pl.Int64),
    "interpolation": pl.String,
    "source": pl.String,
    "dtype": pl.String,
    "blocks": pl.List(pl.Float64),
    "cpu_s_per_view": pl.Float64,
    "host_s_per_view": pl.Float64,
    "queued_ahead_share": pl.Float64,
    "bytes_per_view": pl.Float64,
    "launches_per_batch": pl.Float64,
    "quick": pl.Boolean,
    "day": pl.String,
    "commit": pl.String,
    "versions": pl.String,
    "record": pl.String,
}
_METRICS = ("cpu_s_per_view", "host_s_per_view", "queued_ahead_share", "bytes_per_view", "launches_per_batch")


def load_timings(paths: Iterable[Path], skip: int = 0) -> pl.DataFrame:
    """One row per contestant and case, in the order they were recorded; `blocks` are seconds per view, one per block.

    Args:
        skip: records at the beginning to leave out (those of earlier campaigns in the same file).

    Of a case measured twice in one device and thread count, the last counts. Errors: `InputError` when a file is
    missing or damaged, or no record is of this suite.
    """
    rows = latest_rows(
        paths, skip, SUITE, _row, ("case", "contestant", "device", "threads"), "benchmark; give records of `make bench`"
    )
    return pl.DataFrame(rows, schema=COLUMNS)


def latest_rows(
    paths: Iterable[Path],
    skip: int,
    suite: str,
    row_of: Callable[[dict[str, Any]], dict[str, Any]],
    same: Sequence[str],
    missing: str,
) -> list[dict[str, Any]]:
    """A row per record of the suite, in order; of those that agree in the columns `same`, the last.

    Errors: `InputError` when a file is missing or damaged, or no record is of this suite; `missing` says of what and
    where to get some.
    """
    paths = list(paths)
    records = [record for record in read_records(paths)[skip:] if record["suite"] == suite]
    if not records:
        raise InputError(f"records={', '.join(map(str, paths))} hold no {missing}")
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in map(row_of, records):
        key = tuple(row[name] for name in same)
        rows.pop(key, None)
        rows[key] = row
    return list(rows.values())


def _row(record: dict[str, Any]) -> dict[str, Any]:
    case, specs = record["case"], record["case"]["specs"]
    return {
        "group": case["group"],
        "case": case["name"],
        **{key: case[key] for key in ("contestant", "reason", "regime", "threads", "batch", "dtype", "quick")},
        **{key: record["metrics"].get(key) for key in _METRICS},
        "outcome": record["outcome"],
        "kind": record["device"]["kind"],
        "sizes": [spec["size"] for spec in specs],
        "interpolation": " and ".join(dict.fromkeys(spec["interpolation"] for spec in specs)),
        "source": f"{case['height']}x{case['width']}",
        "blocks": block_medians(record["samples"], case["rounds_per_block"]),
        **origin(record, PACKAGES),
    }


def origin(record: dict[str, Any], packages: Sequence[str]) -> dict[str, str]:
    """Columns that say where and with what a record was measured."""
    device, software = record["device"], record["software"]
    cores = record["host"]["cores"]
    name = device["name"] if device["kind"] == "cuda" else f"{device['name']}, {cores} core{'s' * (cores != 1)}"
    return {
        "device": name,
        "day": record["started_utc"][:10],
        "commit": (record["code"].get("commit") or "unknown")[:7],
        "versions": ", ".join(f"{package} {software[package]}" for package in packages if software.get(package)),
        "record": record["id"],
    }


def block_medians(samples: Sequence[float], rounds: Sequence[int]) -> list[float]:
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


def row_of(case: pl.DataFrame, contestant: str) -> dict[str, Any] | None:
    """The contestant's row among those of one case, or None where it was not timed."""
    found = case.filter((pl.col("contestant") == contestant) & (pl.col("outcome") == "ok"))
    return found.row(0, named=True) if len(found) else None
