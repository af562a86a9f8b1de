"""Writers: from records of suite "write" to a table of seconds and bytes per 10,000 images."""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.report.cost_tables import CostTable, why_not
from fastssl.report.cost_words import digits, spread
from fastssl.report.costs import latest_rows, median_and_interval, origin, ratio_and_interval, row_of

SUITE = "write"
OWN, CEILING = "beton", "copy"
LABELS = {
    OWN: "ours: beton, bytes kept",
    "beton, re-encoded": "ours: beton, encoded again",
    "ffcv": "FFCV's writer, encodes again",
    "webdataset": "WebDataset",
    "litdata": "LitData",
    "mosaicml": "MosaicML Streaming",
    "hf datasets": "Hugging Face datasets",
    "tfrecord": "TFRecord",
    CEILING: "files appended to one file (ceiling)",
}
PACKAGES = ("torch", "torchvision", "ffcv", "numpy", "opencv")
COLUMNS: dict[str, Any] = {
    **dict.fromkeys(("case", "contestant", "outcome", "reason", "regime"), pl.String),
    **dict.fromkeys(("num_images", "threads_requested"), pl.Int64),
    **dict.fromkeys(("image_bytes", "bytes_per_image"), pl.Float64),
    **dict.fromkeys(("blocks", "wall"), pl.List(pl.Float64)),
    **dict.fromkeys(("keeps_bytes", "quick"), pl.Boolean),
    **dict.fromkeys(("device", "day", "commit", "versions", "record"), pl.String),
}
PER = 10_000


def load_writes(paths: Iterable[Path], skip: int = 0) -> pl.DataFrame:
    """One row per writer; `blocks` are CPU seconds per image and `wall` seconds by the clock, one per block.

    Errors: `InputError` when a file is missing or damaged, or no record is of this suite.
    """
    missing = "writers; give records of `fastssl bench write`"
    rows = latest_rows(paths, skip, SUITE, _row, ("case", "contestant", "device"), missing)
    return pl.DataFrame(rows, schema=COLUMNS)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    case = record["case"]
    names = ("contestant", "reason", "regime", "num_images", "threads_requested", "image_bytes", "keeps_bytes", "quick")
    return {
        "case": case["name"],
        **{key: case[key] for key in names},
        "bytes_per_image": record["metrics"].get("bytes_per_image"),
        "outcome": record["outcome"],
        "blocks": record["samples"],
        "wall": record["clock"]["wall_s_per_image"],
        **origin(record, PACKAGES),
    }


def label(contestant: str) -> str:
    return LABELS.get(contestant, contestant)


def write_tables(frame: pl.DataFrame) -> list[CostTable]:
    """One per machine, the fastest first; what was not measured comes last, with the reason."""
    return [_table(part) for part in frame.partition_by("case", "device", maintain_order=True)]


def _table(case: pl.DataFrame) -> CostTable:
    ours, rows = row_of(case, OWN), list(case.iter_rows(named=True))
    measured = sorted((row for row in rows if row["outcome"] == "ok"), key=lambda row: statistics.median(row["wall"]))
    header = ("writer", "seconds", "CPU seconds", "CPU time over ours", "MB")
    body = [_cells(row, ours) for row in measured]
    body += [(why_not(row, label), "", "", "", "") for row in rows if row["outcome"] != "ok"]
    first = case.row(0, named=True)
    counts = " or ".join(map(str, sorted({len(blocks) for blocks in case["blocks"].to_list() if len(blocks)})))
    note = " ".join([
        f"Scaled from {first['num_images']:,} JPEGs of {first['image_bytes'] / 1e3:.0f} kB in class folders, in the",
        f"page cache; {first['threads_requested']} threads or processes asked of each, synced to the disk within the",
        f"clock. In brackets, 95 % intervals of the median over {counts or 'no'} blocks. Read back and compared before",
        "(bytes where they are kept, else pixels). Ours decodes every image once, to find damage and for the",
        "fingerprint of the pixels; the others that keep bytes do not look at them.",
        *["Quick run: for checking the harness, not for quoting."] * bool(case["quick"].any()),
        f"Measured on {first['day']} at commit {first['commit']}, with {first['versions']}.",
    ])  # fmt: skip
    return CostTable(f"10,000 images written: {first['device']}", header, tuple(body), note)


def _cells(row: dict[str, Any], ours: dict[str, Any] | None) -> tuple[str, ...]:
    scaled = lambda values: spread(median_and_interval([PER * value for value in values]), digits)
    ratio = "" if ours is None else spread(ratio_and_interval(row["blocks"], ours["blocks"]), digits, " times")
    over = "" if row["contestant"] == OWN else ratio
    return (
        label(row["contestant"]),
        scaled(row["wall"]),
        scaled(row["blocks"]),
        over,
        digits(PER * row["bytes_per_image"] / 1e6),
    )
