"""How the tables of costs write things: names of contestants and pipelines, times, ratios. Three digits at most."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from fastssl.report.costs import CEILING, OWN, median_and_interval, ratio_and_interval
from fastssl.report.units import short_number

LABELS = {
    "kornia own": "Kornia",
    "kornia own, sliced": "Kornia sliced",
    "torch.compile": "torch.compile of reference",
    CEILING: "memory copy (ceiling)",
    **{name: f"ours: {name}" for name in OWN},
}
PIPELINES = {
    "simclr-32": "SimCLR (CIFAR preset)",
    "simclr-224": "SimCLR",
    "simclr-224-no-blur": "SimCLR without blur",
    "byol-224": "BYOL",
    "swav-224": "SwAV",
}
"""What a group's views are called; its other words (`bilinear`, `two-cores`) are said by other parts of a title."""


def label(contestant: str) -> str:
    """What a contestant is called in tables."""
    return LABELS.get(contestant, contestant)


def pipeline_of(case: pl.DataFrame) -> str:
    """`pipeline_name` of rows of one case."""
    row = case.row(0, named=True)
    return pipeline_name(row["group"], row["sizes"], row["source"], row["interpolation"])


def pipeline_name(group: str, sizes: Sequence[int], source: str, interpolation: str) -> str:
    """For instance "BYOL, 2 views of 224 px from 375x500, bicubic"; `sizes` are the views' sides in pixels."""
    name = group.removesuffix("-two-cores").removesuffix("-bilinear")
    return f"{PIPELINES.get(name, group)}, {count_views(sizes)} from {source}, {interpolation}"


def count_views(sizes: Sequence[int]) -> str:
    """[224, 224, 96] -> "2 views of 224 px and 1 view of 96 px"."""
    counts = [f"{sizes.count(size)} view{'s' * (sizes.count(size) > 1)} of {size} px" for size in dict.fromkeys(sizes)]
    return " and ".join(counts)


def machine(case: pl.DataFrame) -> str:
    """The device, and on a CPU the threads."""
    row = case.row(0, named=True)
    threads = "" if row["kind"] == "cuda" else f", {row['threads']} thread{'s' * (row['threads'] > 1)}"
    return f"{row['device']}{threads}"


def digits(value: float) -> str:
    """At most three of them, thousands set apart."""
    if 0 < value < 0.1:  # a view takes a GPU less than a tenth of a microsecond
        return f"{value:.3g}"
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else short_number(value)


def percent(share: float) -> str:
    """.0319 -> "3.19%"."""
    return f"{digits(100 * share)}%"


def median_us(row: dict[str, Any]) -> str:
    """Microseconds per view, median over blocks."""
    return digits(1e6 * statistics.median(row["blocks"]))


def microseconds(blocks: Sequence[float]) -> str:
    """The same with its interval, of seconds."""
    return spread(median_and_interval([1e6 * value for value in blocks]), digits)


def slower_by(row: dict[str, Any], ours: dict[str, Any], interval: bool = True) -> str:
    """How many times slower, with the interval; what is faster says so."""
    if row["contestant"] == ours["contestant"]:
        return "1"
    faster = ratio_and_interval(row["blocks"], ours["blocks"])[0] < 1
    slow, fast = (ours, row) if faster else (row, ours)
    found = ratio_and_interval(slow["blocks"], fast["blocks"])
    words = " times faster" if faster else " times"
    return spread(found if interval else (found[0], None, None), digits, words)


def share_of(row: dict[str, Any], ceiling: dict[str, Any] | None) -> str:
    """The ceiling's time over the row's; empty where no ceiling was measured."""
    if ceiling is None:
        return ""
    share = ratio_and_interval(ceiling["blocks"], row["blocks"])[0]
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def spread(found: tuple[float, float | None, float | None], text: Callable[[float], str], words: str = "") -> str:
    """Median, words, and the interval in brackets where there is one."""
    median, low, high = found
    return text(median) + words + ("" if low is None or high is None else f" ({text(low)} to {text(high)})")
