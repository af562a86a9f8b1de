"""Tables of what loaders cost: ours beside its peers and its ceilings, from what `loader_costs.py` reads.

Whatever belongs to this library is called `ours: ...` in them.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from fastssl.report.cost_tables import REASON, CostTable
from fastssl.report.cost_words import count_views, digits, share_of, slower_by, spread
from fastssl.report.costs import median_and_interval, row_of
from fastssl.report.loader_costs import CEILINGS, DECODE_ONLY, FIRST_CEILINGS, OURS, OWN, curve_cases, curve_of

LABELS = {
    "crops": "ours: crops",
    "crops, plain": "ours: crops, nothing compiled",
    "images": "ours: images",
    "ffcv": "FFCV",
    "threads": "decode once, Python threads",
    "opencv workers": "OpenCV, DataLoader",
    "torchvision PIL": "torchvision PIL, DataLoader",
    "torchvision v2": "torchvision v2, DataLoader",
    "decode": "libjpeg-turbo, whole decode (ceiling)",
    "huffman": "libjpeg-turbo, Huffman decoding alone (ceiling)",
    "copy": "memory copy (ceiling)",
}
CURVE = ("crops", "images", "threads", "ffcv", "decode")
SMALL_S = 1e-4
"""Below it, per image, a table counts microseconds."""


def label(contestant: str) -> str:
    """What a contestant is called in tables."""
    return LABELS.get(contestant, contestant)


def loader_tables(frame: pl.DataFrame) -> list[CostTable]:
    """Every table of a campaign: in short, who is who, one per case, the curve over the number of views."""
    cases = [case for case in frame.partition_by("case", "device", maintain_order=True) if not _only_curve(case)]
    tables = [summary_table(cases), contestant_table(frame), *map(case_table, cases), curve_table(frame)]
    return [table for table in tables if table]


def _only_curve(case: pl.DataFrame) -> bool:
    """Whether the case was measured for the curve alone: nobody but its contestants takes part."""
    return len(curve_cases(case)) > 0 and set(case["contestant"]) <= set(CURVE) and len(case["sizes"][0]) != 2


def summary_table(cases: Sequence[pl.DataFrame]) -> CostTable | None:
    """A row per case: ours, its share of the ceiling, fastest peer, FFCV; None where nothing of ours was timed."""
    rows = [_summary_row(case, ours) for case in cases if (ours := row_of(case, OURS))]
    header = ("views", "ours, CPU ms", "ours, images/s", "fastest peer", "slower by", "FFCV slower by",
              "FFCV's private memory, times ours")  # fmt: skip
    note = f"CPU time per source image on {cases[0]['device'][0]}, medians; times slower are of CPU time." if cases else ""
    return CostTable("In short: our loader, its fastest peer and FFCV", header, tuple(rows), note) if rows else None


def _summary_row(case: pl.DataFrame, ours: dict[str, Any]) -> tuple[str, ...]:
    peers = sorted(_peers(case), key=lambda row: statistics.median(row["blocks"]))
    ffcv = row_of(case, "ffcv")
    facts = (case_name(case), digits_of(ours["blocks"], 1e3), _images_per_s(ours, interval=False))
    fastest = (label(peers[0]["contestant"]), slower_by(peers[0], ours, interval=False)) if peers else ("", "")
    if ffcv is None:
        return (*facts, *fastest, "", "")
    return (*facts, *fastest, slower_by(ffcv, ours, interval=False), digits(ffcv["private_bytes"] / ours["private_bytes"]))


def digits_of(blocks: Sequence[float], factor: float) -> str:
    """Median over blocks, times the factor; small ones with two digits that mean something."""
    value = factor * statistics.median(blocks)
    return digits(value) if value >= 0.1 else f"{value:.2g}"


def contestant_table(frame: pl.DataFrame) -> CostTable:
    """Who is who: the configuration each ran in, with the threads that were read back."""
    rows = []
    for name in sorted(frame["contestant"].unique(maintain_order=True), key=_rank):
        mine = frame.filter((pl.col("contestant") == name) & (pl.col("regime") != ""))
        if len(mine):
            threads = " or ".join(str(number) for number in sorted(mine["threads"].unique().to_list()))
            rows.append((label(name), "; or: ".join(mine["regime"].unique(maintain_order=True)), threads))
    days, commits, versions = (" and ".join(frame[name].unique(maintain_order=True)) for name in ("day", "commit", "versions"))
    note = f"Measured on {days} at commit {commits}, with {versions}."
    return CostTable("Who is who", ("contestant", "what it does", "threads read back"), tuple(rows), note, 2)


def case_name(case: pl.DataFrame) -> str:
    """For instance "2 views of 224 px from JPEGs of 47 kB"."""
    row = case.row(0, named=True)
    if row["mode"] == "jpg":
        source = f"JPEGs of {row['image_bytes'] / 1e3:.0f} kB"
    else:
        source = f"raw pixels, {row['image_bytes'] / 1e3:.0f} kB an image"
    return f"{count_views(row['sizes'])} from {source}"


def case_table(case: pl.DataFrame) -> CostTable:
    """Contestants of one case, least CPU time first; what was not measured comes last, with the reason."""
    ours, ceiling = row_of(case, OURS), _ceiling(case)
    rows = [row for row in case.iter_rows(named=True) if row["contestant"] != DECODE_ONLY]
    measured = sorted((row for row in rows if row["outcome"] == "ok"), key=lambda row: statistics.median(row["blocks"]))
    unit, factor = _unit(measured)
    header = ("contestant", f"CPU {unit} per image", "images/s", "slower than ours by", "share of ceiling",
              "first batch, s", "private MB")  # fmt: skip
    body = [_measured_cells(row, ours, ceiling, factor) for row in measured]
    body += [(_why_not(row), *[""] * (len(header) - 1)) for row in rows if row["outcome"] != "ok"]
    return CostTable(f"{case_name(case)}: {case['device'][0]}", header, tuple(body), _case_note(case, ours))


def _unit(measured: Sequence[dict[str, Any]]) -> tuple[str, float]:
    makers = [statistics.median(row["blocks"]) for row in measured if row["contestant"] not in CEILINGS]
    return ("us", 1e6) if makers and min(makers) < SMALL_S else ("ms", 1e3)


def _measured_cells(
    row: dict[str, Any], ours: dict[str, Any] | None, ceiling: dict[str, Any] | None, factor: float
) -> tuple[str, ...]:
    name, is_ceiling = label(row["contestant"]), row["contestant"] in CEILINGS
    if row["contestant"] == OURS:
        name = f"**{name}**"
    cpu = spread(median_and_interval([factor * value for value in row["blocks"]]), digits)
    slower = slower_by(row, ours) if ours and not is_ceiling else ""
    memory = "" if is_ceiling else digits(row["private_bytes"] / 1e6)
    return (name, cpu, _images_per_s(row), slower, share_of(row, ceiling), digits(row["first_batch_s"]), memory)


def _images_per_s(row: dict[str, Any], interval: bool = True) -> str:
    found = median_and_interval([1 / value for value in row["wall"]])
    return spread(found if interval else (found[0], None, None), digits)


def _why_not(row: dict[str, Any]) -> str:
    reason = " ".join(row["reason"].replace("|", "/").split())
    shown = reason if len(reason) <= REASON else f"{reason[:REASON]} ..."
    return f"{label(row['contestant'])}: {row['outcome']} ({shown})"


def _case_note(case: pl.DataFrame, ours: dict[str, Any] | None) -> str:
    row = case.row(0, named=True)
    counts = sorted({len(blocks) for blocks in case["blocks"].to_list() if len(blocks)})
    sentences = [
        f"{row['num_images']:,} images of {row['dataset']}, batches of {row['batch']}, {row['threads_requested']} threads "
        f"or processes asked of each. In brackets, 95 % intervals of the median over {' or '.join(map(str, counts))} blocks.",
        f"Peers with less CPU time than ours: {_faster(case, ours) or 'none'}." if ours else "",
        "Quick run: for checking the harness, not for quoting." if case["quick"].any() else "",
    ]
    return " ".join(filter(None, sentences))


def _faster(case: pl.DataFrame, ours: dict[str, Any]) -> str:
    faster = [row for row in _peers(case) if statistics.median(row["blocks"]) < statistics.median(ours["blocks"])]
    return ", ".join(f"{label(row['contestant'])} ({slower_by(row, ours, interval=False)})" for row in faster)


def curve_table(frame: pl.DataFrame) -> CostTable | None:
    """CPU time per image against the number of views; None where it was measured at one number alone."""
    found = {name: dict(curve_of(frame, name)) for name in CURVE}
    numbers = sorted({number for points in found.values() for number in points})
    names = [name for name in CURVE if found[name]]
    if len(numbers) < 2:
        return None
    rows = [(str(number), *(_curve_cell(found[name].get(number)) for name in names)) for number in numbers]
    note = (
        "CPU ms per source image; each row was measured in blocks of its own. `images` decodes and leaves the views to "
        "a GPU: another scope, whose cost may not grow with the number of views."
    )
    return CostTable("CPU time against the number of views of 224 px", ("views", *map(label, names)), tuple(rows), note)


def _curve_cell(blocks: list[float] | None) -> str:
    scaled: Callable[[list[float]], list[float]] = lambda values: [1e3 * value for value in values]
    return "" if blocks is None else spread(median_and_interval(scaled(blocks)), digits)


def _ceiling(case: pl.DataFrame) -> dict[str, Any] | None:
    return next((row for name in FIRST_CEILINGS if (row := row_of(case, name))), None)


def _peers(case: pl.DataFrame) -> list[dict[str, Any]]:
    rows = case.filter(pl.col("outcome") == "ok").iter_rows(named=True)
    return [row for row in rows if row["contestant"] not in (*OWN, *CEILINGS)]


def _rank(contestant: str) -> tuple[bool, int]:
    return contestant in CEILINGS, OWN.index(contestant) if contestant in OWN else len(OWN)
