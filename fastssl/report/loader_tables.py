"""Tables of what loaders cost: ours beside its peers and its ceilings, from what `loader_costs.py` reads.

Whatever belongs to this library is called `ours: ...` in them.
"""

import statistics
from collections.abc import Sequence
from typing import Any

import polars as pl

from fastssl.report.cost_tables import CostTable, why_not
from fastssl.report.cost_words import digits, share_of, slower_by
from fastssl.report.costs import row_of
from fastssl.report.loader_costs import (
    CEILINGS,
    CURVE,
    DECODE_ONLY,
    FIRST_CEILINGS,
    OURS,
    OWN,
    curve_of,
    only_for_curve,
)
from fastssl.report.loader_words import case_name, cpu_time, images_per_s, label, unit

SHORT = ("views", "ours, CPU per image", "images/s", "fastest peer", "it is slower by", "FFCV is slower by",
         "FFCV's private memory over ours")  # fmt: skip


def loader_tables(frame: pl.DataFrame) -> list[CostTable]:
    """Every table of a campaign: in short, who is who, one per case, the curve over the number of views."""
    cases = [case for case in frame.partition_by("case", "device", maintain_order=True) if not only_for_curve(case)]
    tables = [summary_table(cases), contestant_table(frame), *map(case_table, cases), curve_table(frame)]
    return [table for table in tables if table]


def summary_table(cases: Sequence[pl.DataFrame]) -> CostTable | None:
    """A row per case: ours, its fastest peer, FFCV; None where nothing of ours was timed."""
    rows = [_summary_row(case, ours) for case in cases if (ours := row_of(case, OURS))]
    if not rows:
        return None
    machines = " and ".join(dict.fromkeys(case["device"][0] for case in cases))
    note = f"On {machines}. Medians; slower means more CPU time. The tables below hold intervals and every peer."
    return CostTable("In short: our loader, its fastest peer and FFCV", SHORT, tuple(rows), note)


def _summary_row(case: pl.DataFrame, ours: dict[str, Any]) -> tuple[str, ...]:
    peers = sorted(_peers(case), key=lambda row: statistics.median(row["blocks"]))
    name, factor = unit([ours])
    facts = (case_name(case), f"{cpu_time(ours['blocks'], factor, False)} {name}", images_per_s(ours, False))
    fastest = (label(peers[0]["contestant"]), slower_by(peers[0], ours, interval=False)) if peers else ("", "")
    ffcv = row_of(case, "ffcv")
    if ffcv is None:
        return (*facts, *fastest, "", "")
    memory = _times(ffcv["private_bytes"], ours["private_bytes"])
    return (*facts, *fastest, slower_by(ffcv, ours, interval=False), memory)


def _times(value: float, base: float) -> str:
    return f"{digits(value / base)} times" if base else ""


def contestant_table(frame: pl.DataFrame) -> CostTable:
    """Who is who: the configuration each ran in, with the threads that were read back."""
    rows = []
    for name in sorted(frame["contestant"].unique(maintain_order=True), key=_rank):
        mine = frame.filter((pl.col("contestant") == name) & (pl.col("regime") != ""))
        if len(mine):
            threads = " or ".join(map(str, sorted(mine["threads"].unique().to_list())))
            rows.append((label(name), "; or: ".join(mine["regime"].unique(maintain_order=True)), threads))
    origin = {name: " and ".join(frame[name].unique(maintain_order=True)) for name in ("day", "commit", "versions")}
    note = f"Measured on {origin['day']} at commit {origin['commit']}, with {origin['versions']}."
    return CostTable("Who is who", ("contestant", "what it does", "threads read back"), tuple(rows), note, 2)


def case_table(case: pl.DataFrame) -> CostTable:
    """Contestants of one case, least CPU time first; what was not measured comes last, with the reason."""
    ours, ceiling = row_of(case, OURS), _ceiling(case)
    rows = [row for row in case.iter_rows(named=True) if row["contestant"] != DECODE_ONLY]
    measured = sorted((row for row in rows if row["outcome"] == "ok"), key=lambda row: statistics.median(row["blocks"]))
    name, factor = unit(measured)
    starts = case["epoch_start_s"].is_not_null().any()
    header = ("contestant", f"CPU {name} per image", "images/s", "slower than ours by", "share of ceiling",
              "first batch, s", *["of a later epoch, ms"] * starts, "private MB")  # fmt: skip
    body = [_measured_cells(row, ours, ceiling, factor, starts) for row in measured]
    body += [(why_not(row, label), *[""] * (len(header) - 1)) for row in rows if row["outcome"] != "ok"]
    return CostTable(f"{case_name(case)}: {case['device'][0]}", header, tuple(body), _case_note(case, ours))


def _measured_cells(
    row: dict[str, Any], ours: dict[str, Any] | None, ceiling: dict[str, Any] | None, factor: float, starts: bool
) -> tuple[str, ...]:
    name, is_ceiling = label(row["contestant"]), row["contestant"] in CEILINGS
    if row["contestant"] == OURS:
        name = f"**{name}**"
    slower = slower_by(row, ours) if ours and not is_ceiling else ""
    memory = "" if is_ceiling else digits(row["private_bytes"] / 1e6)
    times = cpu_time(row["blocks"], factor), images_per_s(row)
    later = "" if is_ceiling or row["epoch_start_s"] is None else digits(1e3 * row["epoch_start_s"])
    first = digits(row["first_batch_s"])
    return (name, *times, slower, share_of(row, ceiling), first, *[later] * starts, memory)


def _case_note(case: pl.DataFrame, ours: dict[str, Any] | None) -> str:
    row = case.row(0, named=True)
    counts = " or ".join(map(str, sorted({len(blocks) for blocks in case["blocks"].to_list() if len(blocks)})))
    sentences = (
        f"{row['num_images']:,} images of {row['dataset']}, batches of {row['batch']},",
        f"{row['threads_requested']} threads or processes asked of each.",
        f"In brackets, 95 % intervals of the median over {counts or 'no'} blocks.",
        f"Peers with less CPU time than ours: {_faster(case, ours) or 'none'}." if ours else "",
        "Quick run: for checking the harness, not for quoting." if case["quick"].any() else "",
    )
    return " ".join(filter(None, sentences))


def _faster(case: pl.DataFrame, ours: dict[str, Any]) -> str:
    """Peers that beat ours, by how much: losses are published with wins."""
    faster = [row for row in _peers(case) if statistics.median(row["blocks"]) < statistics.median(ours["blocks"])]
    return ", ".join(f"{label(row['contestant'])} ({slower_by(row, ours, interval=False)})" for row in faster)


def curve_table(frame: pl.DataFrame) -> CostTable | None:
    """CPU time per image against the number of views; None where it was measured at one number alone."""
    found = {name: dict(points) for name in CURVE if (points := curve_of(frame, name))}
    numbers = sorted({number for points in found.values() for number in points})
    if len(numbers) < 2:
        return None
    rows = [
        (str(number), *(cpu_time(points[number], 1e3) if number in points else "" for points in found.values()))
        for number in numbers
    ]
    note = (
        "CPU ms per source image; each row was measured in blocks of its own. `images` decodes, and leaves the views "
        "to a GPU: another scope, whose cost has no reason to grow with their number."
    )
    header = ("views", *map(label, found))
    return CostTable("CPU time against the number of views of 224 px", header, tuple(rows), note)


def _ceiling(case: pl.DataFrame) -> dict[str, Any] | None:
    return next((row for name in FIRST_CEILINGS if (row := row_of(case, name))), None)


def _peers(case: pl.DataFrame) -> list[dict[str, Any]]:
    rows = case.filter(pl.col("outcome") == "ok").iter_rows(named=True)
    return [row for row in rows if row["contestant"] not in (*OWN, *CEILINGS)]


def _rank(contestant: str) -> tuple[bool, int]:
    return contestant in CEILINGS, OWN.index(contestant) if contestant in OWN else len(OWN)
