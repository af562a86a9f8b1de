"""Loader benchmarks: from records of suite "load" to one row per case and contestant (`loader_tables.py` goes on).

As in `costs.py`, the block is the unit of statistics, and ratios are taken block by block.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.errors import InputError
from fastssl.report.costs import latest_rows, origin

SUITE = "load"
OURS = "crops"
OWN = (OURS, "crops, plain", "images")
"""This library's loaders; the first is the one that others are divided by."""
DECODE_ONLY = "images"
"""Leaves the views to a GPU: no peer of those that make them."""
CEILINGS = ("decode", "huffman", "copy")
FIRST_CEILINGS = ("decode", "copy")
"""Of those that a case has, the one that shares are taken of."""
CURVE = ("crops", "images", "threads", "ffcv", "decode")
"""Who is drawn against the number of views."""
PACKAGES = ("torch", "torchvision", "ffcv", "numba", "numpy", "opencv", "pillow", "simplejpeg")

COLUMNS: dict[str, Any] = {
    "case": pl.String,
    "contestant": pl.String,
    "outcome": pl.String,
    "reason": pl.String,
    "regime": pl.String,
    "threads_requested": pl.Int64,
    "threads": pl.Int64,
    "batch": pl.Int64,
    "num_images": pl.Int64,
    "image_bytes": pl.Float64,
    "mode": pl.String,
    "max_side": pl.Int64,
    "dataset": pl.String,
    "sizes": pl.List(pl.Int64),
    "blocks": pl.List(pl.Float64),
    "wall": pl.List(pl.Float64),
    "first_batch_s": pl.Float64,
    "epoch_start_s": pl.Float64,
    "private_bytes": pl.Float64,
    "page_cache": pl.String,
    "quick": pl.Boolean,
    "device": pl.String,
    "day": pl.String,
    "commit": pl.String,
    "versions": pl.String,
    "record": pl.String,
}


def load_loaders(paths: Iterable[Path], skip: int = 0) -> pl.DataFrame:
    """One row per contestant and case, as recorded; `blocks` are CPU and `wall` wall seconds per source image.

    Args:
        skip: records at the beginning to leave out (those of earlier campaigns in the same file).

    Of what was measured twice, the last counts. Errors: `InputError` when a file is missing or damaged, or no record
    is of this suite.
    """
    rows = latest_rows(
        paths, skip, SUITE, _row, ("case", "contestant", "device"), "loader; give records of `make bench-load`"
    )
    return pl.DataFrame(rows, schema=COLUMNS)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    case, wall = record["case"], record["clock"]["wall_s_per_image"]
    if len(wall) != len(record["samples"]):
        raise InputError(
            f"wall_s_per_image={len(wall)} blocks, and {len(record['samples'])} samples; they belong together"
        )
    return {
        "case": case["name"],
        **{key: case[key] for key in ("contestant", "reason", "regime", "threads", "threads_requested", "batch")},
        **{key: case[key] for key in ("num_images", "image_bytes", "quick")},
        **{key: record["metrics"].get(key) for key in ("first_batch_s", "epoch_start_s", "private_bytes")},
        "outcome": record["outcome"],
        "page_cache": record["host"]["page_cache"],
        "mode": case["stored"]["mode"],
        "max_side": case["stored"]["max_side"],
        "dataset": record["dataset"]["id"],
        "sizes": [spec["size"] for spec in case["specs"]],
        "blocks": record["samples"],
        "wall": wall,
        **origin(record, PACKAGES),
    }


def curve_of(frame: pl.DataFrame, contestant: str) -> list[tuple[int, list[float]]]:
    """(number of views, CPU seconds per image by block) of the cases that differ in the number of views alone."""
    rows = curve_cases(frame).filter((pl.col("contestant") == contestant) & (pl.col("outcome") == "ok"))
    return sorted((len(row["sizes"]), row["blocks"]) for row in rows.iter_rows(named=True))


def curve_cases(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of the cases `jpeg-<views>x224`."""
    return frame.filter(pl.col("case").str.contains(r"^jpeg-\d+x224$"))


def only_for_curve(case: pl.DataFrame) -> bool:
    """Whether a case, of other than two views, was measured for the curve alone and needs no table of its own."""
    return len(curve_cases(case)) > 0 and len(case["sizes"][0]) != 2
