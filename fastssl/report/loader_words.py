"""How the tables and the figure of loaders write things: contestants, cases, cells."""

import statistics
from collections.abc import Sequence
from typing import Any

import polars as pl

from fastssl.report.cost_words import count_views, digits, spread
from fastssl.report.costs import median_and_interval
from fastssl.report.loader_costs import CEILINGS

LABELS = {
    "crops": "ours: crops",
    "crops, plain": "ours: crops, C not compiled",
    "images": "ours: images",
    "ffcv": "FFCV",
    "ffcv, shared decode": "FFCV, one decode for all views",
    "turbojpeg": "PyTurboJPEG, Python threads",
    "webdataset": "WebDataset",
    "litdata": "LitData",
    "mosaicml": "MosaicML Streaming",
    "spdl": "SPDL",
    "dali": "DALI, on the CPU",
    "grain": "Grain",
    "hf datasets": "Hugging Face datasets",
    "stable-pretraining": "stable-pretraining's own",
    "lightly": "lightly's own",
    "solo-learn style": "as solo-learn does it",
    "threads": "decode once, Python threads",
    "opencv workers": "OpenCV, DataLoader",
    "torchvision PIL": "torchvision PIL, DataLoader",
    "torchvision v2": "torchvision v2, DataLoader",
    "decode": "libjpeg-turbo, whole decode (ceiling)",
    "huffman": "libjpeg-turbo, Huffman decoding alone (ceiling)",
    "copy": "memory copy (ceiling)",
}
USUAL_THREADS = 2
SMALL_S = 1e-4
"""Below it, per image, a table counts microseconds."""


def label(contestant: str) -> str:
    """What a contestant is called in tables."""
    return LABELS.get(contestant, contestant)


def case_name(case: pl.DataFrame) -> str:
    """For instance "2 views of 224 px from JPEGs of 47 kB"."""
    row = case.row(0, named=True)
    size = f"{row['image_bytes'] / 1e3:.0f} kB"
    source = f"JPEGs of {size}" if row["mode"] == "jpg" else f"raw pixels, {size} an image"
    cold = ", out of the page cache" if row["page_cache"] == "cold" else ""
    threads = "" if row["threads_requested"] == USUAL_THREADS else f", {row['threads_requested']} thread"
    more = "s" * (row["threads_requested"] > 1) if threads else ""
    return f"{count_views(row['sizes'])} from {source}{cold}{threads}{more}"


def unit(rows: Sequence[dict[str, Any]]) -> tuple[str, float]:
    """ "ms" or "us", and how many of it are a second: as suits the fastest that makes views."""
    makers = [statistics.median(row["blocks"]) for row in rows if row["contestant"] not in CEILINGS]
    return ("us", 1e6) if makers and min(makers) < SMALL_S else ("ms", 1e3)


def cpu_time(blocks: Sequence[float], factor: float, interval: bool = True) -> str:
    """Median over blocks, times the factor, with its interval."""
    median, low, high = median_and_interval([factor * value for value in blocks])
    return spread((median, low, high) if interval else (median, None, None), digits)


def images_per_s(row: dict[str, Any], interval: bool = True) -> str:
    """The same of wall time, turned round."""
    median, low, high = median_and_interval([1 / value for value in row["wall"]])
    return spread((median, low, high) if interval else (median, None, None), digits)
