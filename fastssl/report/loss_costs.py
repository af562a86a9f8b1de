"""Loss benchmarks: from records of suite "losses" to one row per case and contestant (`loss_tables.py` goes on).

As in `costs.py`, the block is the unit of statistics, and ratios are taken block by block.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.report.costs import block_medians, latest_rows, origin

SUITE = "losses"
OURS = "ours"
"""The default form of each loss, and the one that others are divided by; further forms are called "ours, ..."."""
CEILING = "copy"
PACKAGES = ("torch", "lightly", "solo-learn")
SLOWER = 1.1
"""The target: of two losses that are one, ours takes no more than this times as long as the fastest peer."""
GROWTH = 4.0
"""The target: eight views take no more than so many times as long as two, times `SLOWER`."""
GROWING = ("barlow_twins", "vicreg", "byol", "simsiam", "dino", "swav", "dissl")
"""Losses whose cost is to be proportional to the number of views, however many pairs there are."""

COLUMNS: dict[str, Any] = {
    "loss": pl.String,
    "group": pl.String,
    "case": pl.String,
    "contestant": pl.String,
    "outcome": pl.String,
    "reason": pl.String,
    "regime": pl.String,
    "same_as": pl.String,
    "kind": pl.String,
    "device": pl.String,
    "threads": pl.Int64,
    "batch": pl.Int64,
    "dim": pl.Int64,
    "views": pl.Int64,
    "rows": pl.Int64,
    "blocks": pl.List(pl.Float64),
    "wall_s_per_call": pl.Float64,
    "host_s_per_call": pl.Float64,
    "queued_ahead_share": pl.Float64,
    "launches_per_call": pl.Float64,
    "peak_bytes": pl.Float64,
    "flops": pl.Float64,
    "moved_bytes": pl.Float64,
    "quick": pl.Boolean,
    "day": pl.String,
    "commit": pl.String,
    "versions": pl.String,
    "record": pl.String,
}
_FACTS = ("loss", "group", "contestant", "reason", "regime", "same_as", "threads", "batch", "dim", "views", "rows",
          "quick")  # fmt: skip
_METRICS = ("wall_s_per_call", "host_s_per_call", "queued_ahead_share", "launches_per_call", "peak_bytes", "flops",
            "moved_bytes")  # fmt: skip


def load_losses(paths: Iterable[Path], skip: int = 0) -> pl.DataFrame:
    """One row per contestant and case, as recorded; `blocks` are seconds per forward and backward pass.

    Args:
        skip: records at the beginning to leave out (those of earlier campaigns in the same file).

    Of what was measured twice, the last counts. Errors: `InputError` when a file is missing or damaged, or no record
    is of this suite.
    """
    same, missing = ("case", "batch", "contestant", "device"), "loss; give records of `make bench-losses`"
    rows = latest_rows(paths, skip, SUITE, _row, same, missing)
    return pl.DataFrame(rows, schema=COLUMNS)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    case = record["case"]
    return {
        "case": case["name"],
        **{key: case[key] for key in _FACTS},
        **{key: record["metrics"].get(key) for key in _METRICS},
        "outcome": record["outcome"],
        "kind": record["device"]["kind"],
        "blocks": block_medians(record["samples"], case["rounds_per_block"]),
        **origin(record, PACKAGES),
    }
