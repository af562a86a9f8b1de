"""Training steps fed by loaders: from records of suite "step" to tables. Efficiency is the model-only step's time over
a loader's, block by block: 1 means that the network never waits."""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.report.cost_tables import CostTable, why_not
from fastssl.report.cost_words import digits, percent, spread
from fastssl.report.costs import latest_rows, median_and_interval, origin, ratio_and_interval, row_of

SUITE = "step"
MODEL_ONLY, CACHED = "model only", "cached"
CEILINGS = (MODEL_ONLY, CACHED)
OWN = ("resident", "crops", "images", "nvjpeg")
PACKAGES = ("torch", "torchvision", "triton", "ffcv", "numba")
LABELS = {
    MODEL_ONLY: "the step alone, views kept (ceiling)",
    CACHED: "one batch kept, views made anew (ceiling)",
    **{name: f"ours: {name}" for name in OWN},
    "ffcv": "FFCV's loader, our augmentation",
    "torchvision": "torchvision PIL, DataLoader",
}
STAGES = ("augment_s", "forward_s", "loss_s", "backward_s", "optimiser_s")
RATES = ("matrix_flops_per_s", "copy_bytes_per_s", "h2d_bytes_per_s")
TARGET = 0.97
"""Share of the model-only step's pace that our loaders are to reach."""
COLUMNS: dict[str, Any] = {
    **dict.fromkeys(("case", "contestant", "outcome", "reason", "regime", "arch", "precision", "backend"), pl.String),
    **dict.fromkeys(("size", "batch", "views", "threads", "threads_requested"), pl.Int64),
    **dict.fromkeys(("blocks",), pl.List(pl.Float64)),
    **dict.fromkeys(("waited_share", "step_flops", "peak_bytes", *STAGES, *RATES), pl.Float64),
    "quick": pl.Boolean,
    **dict.fromkeys(("kind", "device", "day", "commit", "versions", "record"), pl.String),
}


def load_steps(paths: Iterable[Path], skip: int = 0) -> pl.DataFrame:
    """One row per contestant and case; `blocks` are wall seconds per source image, one per block.

    Errors: `InputError` when a file is missing or damaged, or no record is of this suite.
    """
    rows = latest_rows(
        paths, skip, SUITE, _row, ("case", "contestant", "device"), "step; give records of `fastssl bench step`"
    )
    return pl.DataFrame(rows, schema=COLUMNS)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    case, metrics = record["case"], record["metrics"]
    names = ("contestant", "reason", "regime", "arch", "precision", "backend", "size", "batch", "views", "threads",
             "threads_requested", "quick")  # fmt: skip
    return {
        "case": case["name"],
        **{key: case[key] for key in names},
        **{key: metrics.get(key) for key in ("waited_share", "step_flops", "peak_bytes", *STAGES, *RATES)},
        "outcome": record["outcome"],
        "blocks": record["samples"],
        "kind": record["device"]["kind"],
        **origin(record, PACKAGES),
    }


def step_tables(frame: pl.DataFrame) -> list[CostTable]:
    """Per case: every feed beside the ceilings; then where the step's time goes, and what the device can do."""
    cases = frame.partition_by("case", "device", maintain_order=True)
    tables = [*map(case_table, cases), stage_table(cases)]
    return [table for table in tables if table]


def case_table(case: pl.DataFrame) -> CostTable:
    """Feeds of one case, the fastest first; what was not measured comes last, with the reason."""
    ceiling, rows = row_of(case, MODEL_ONLY), list(case.iter_rows(named=True))
    measured = sorted((row for row in rows if row["outcome"] == "ok"), key=lambda row: statistics.median(row["blocks"]))
    header = ("fed by", "images/s", "views/s", "share of the step alone", "waited for batches")
    body = [_cells(row, ceiling) for row in measured]
    body += [(why_not(row, label), *[""] * (len(header) - 1)) for row in rows if row["outcome"] != "ok"]
    first = case.row(0, named=True)
    title = f"{first['arch']}, {first['views']} views of {first['size']} px: {first['device']}"
    return CostTable(title, header, tuple(body), _note(case, ceiling))


def label(contestant: str) -> str:
    return LABELS.get(contestant, contestant)


def efficiency(row: dict[str, Any], ceiling: dict[str, Any]) -> tuple[float, float | None, float | None]:
    """The step alone over this one, by blocks: median and interval."""
    return ratio_and_interval(ceiling["blocks"], row["blocks"])


def _cells(row: dict[str, Any], ceiling: dict[str, Any] | None) -> tuple[str, ...]:
    pace = median_and_interval([1 / value for value in row["blocks"]])
    share = "" if ceiling is None else spread(efficiency(row, ceiling), lambda value: f"{value:.3f}")
    missed = ceiling is not None and row["contestant"] in OWN and efficiency(row, ceiling)[0] < TARGET
    waited = "" if row["contestant"] in CEILINGS else percent(row["waited_share"])
    views = digits(row["views"] * pace[0])
    return label(row["contestant"]), spread(pace, digits), views, f"**{share}**" if missed else share, waited


def _note(case: pl.DataFrame, ceiling: dict[str, Any] | None) -> str:
    row = case.row(0, named=True)
    counts = " or ".join(map(str, sorted({len(blocks) for blocks in case["blocks"].to_list() if len(blocks)})))
    sentences = [
        f"Batches of {row['batch']} images, {row['precision']}, augmentation by `{row['backend']}`,",
        f"{row['threads_requested']} threads or processes asked of each loader.",
        f"In brackets, 95 % intervals of the median over {counts or 'no'} blocks. Below {TARGET} in bold.",
    ]
    if ceiling is not None and ceiling["step_flops"] and ceiling["matrix_flops_per_s"]:
        rate = ceiling["step_flops"] / (row["batch"] * statistics.median(ceiling["blocks"]))
        share = rate / ceiling["matrix_flops_per_s"]
        sentences.append(
            f"The step alone does {rate / 1e12:.3g} TFLOP/s, {percent(share)} of the device's matrix rate."
        )
    if case["quick"].any():
        sentences.append("Quick run: for checking the harness, not for quoting.")
    sentences.append(f"Measured on {row['day']} at commit {row['commit']}, with {row['versions']}.")
    return " ".join(sentences)


def stage_table(cases: list[pl.DataFrame]) -> CostTable | None:
    """Where the time of a step goes, by case; None where no ceiling was measured."""
    rows = [row for case in cases if (row := row_of(case, MODEL_ONLY)) and row["augment_s"] is not None]
    if not rows:
        return None
    header = ("step", "augment", "encoder forward", "heads and loss", "backward", "optimiser", "matrix product TFLOP/s",
              "copy GB/s", "from host GB/s")  # fmt: skip
    cells = []
    for row in rows:
        times = (f"{digits(1e3 * row[name])} ms" for name in STAGES)
        h2d = digits(row["h2d_bytes_per_s"] / 1e9) if row["h2d_bytes_per_s"] else ""
        rates = digits(row["matrix_flops_per_s"] / 1e12), digits(row["copy_bytes_per_s"] / 1e9), h2d
        cells.append((f"{row['arch']}, {row['size']} px, {row['device']}", *times, *rates))
    note = (
        "Each stage alone, the device waited for in between, so their sum is an upper bound of the step. Rates are "
        "those of the device in the same run: a large square product in the step's precision, a copy (read and written "
        "together), a copy from pinned memory."
    )
    return CostTable("Where the time of a step goes", header, tuple(cells), note)
