"""Tables of the augmentation's costs: ours beside its peers and beside a memory copy, from what `costs.py` reads.

Whatever belongs to this library is called `ours: ...` in them.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from fastssl.report.cost_words import (
    digits,
    label,
    machine,
    median_us,
    microseconds,
    percent,
    pipeline_name,
    pipeline_of,
    share_of,
    slower_by,
    spread,
)
from fastssl.report.costs import CEILING, OWN, ratio_and_interval, row_of

STAGES = (": sample", ": apply")
OPERATIONS = "ops-"
"""Groups whose cases are one operation each: they make a table of operations by contestants."""
ORACLE = "reference"
"""Written to be read and compared with; that a peer is faster than it is no news."""
WHAT_IT_IS = {
    "fused": "all operations of all views in one Triton launch",
    "cpu": "one compiled pass per image",
    "kornia": "our draws, applied to the whole batch by Kornia's functions where they mean the same",
    "reference": "our draws, applied by plain torch operations on the whole batch; the oracle of the tests",
    CEILING: "reads and writes, together, as many bytes as the views need at least: the crop's, then the view's",
}
"""Of a peer, its record says it."""
FEW = 4
"""Operations at most that a note names with the peers that are faster; the table has all."""
REASON = 160
"""Characters of a reason that a table shows; the record has all of it."""
ON_CPU = ("us per view", "CPU us per view")
ON_GPU = ("us per view", "host us per view")
GPU_CASES = (("simclr-32", (32, 32), "32x32", 512), ("simclr-224-no-blur", (224, 224), "375x500", 256))
"""Group, sizes of the views, source and batch of the tables that a GPU is to fill."""
GPU_CONTESTANTS = (CEILING, "fused", "kornia", "reference", "torch.compile", "kornia own")


@dataclass(frozen=True)
class CostTable:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    words: int = 1
    """Columns at the left that hold words."""

    def markdown(self) -> str:
        """Words flush left, numbers flush right; the note below."""
        align = ["---" if i < self.words else "---:" for i in range(len(self.header))]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.header, align, *self.rows)]
        return "\n".join([*lines, "", self.note])


def augment_tables(frame: pl.DataFrame) -> list[CostTable]:
    """Every table of a campaign: the pipelines in short, who is who, one per group of cases, the draws' share."""
    parts = frame.partition_by("group", "device", "threads", maintain_order=True)
    pipelines = [part for part in parts if not part["group"][0].startswith(OPERATIONS)]
    operations = [part for part in parts if part["group"][0].startswith(OPERATIONS)]
    tables = [summary_table(pipelines), contestant_table(frame), *map(pipeline_table, pipelines),
              *map(operation_table, operations), draw_table(frame)]  # fmt: skip
    return [table for table in tables if table]


def unmeasured_gpu_tables() -> list[CostTable]:
    """What a GPU is to fill, empty; for documents while no record of a GPU exists."""
    header = ("contestant", *ON_GPU, "slower than fused by", "share of copy bound", "launches per batch")
    rows = tuple((label(name), *[""] * (len(header) - 1)) for name in GPU_CONTESTANTS)
    note = "No GPU has been measured yet: the cells are empty because nothing is known."
    return [
        CostTable(f"{pipeline_name(group, sizes, source, 'bicubic')}: a GPU", header, rows,
                  f"{batch} images x {len(sizes)} views, bfloat16 out. {note}")
        for group, sizes, source, batch in GPU_CASES
    ]  # fmt: skip


def baseline(case: pl.DataFrame) -> dict[str, Any] | None:
    """The fastest kind of backend of ours that was measured in the case, or None."""
    return next((row for row in (row_of(case, name) for name in OWN) if row), None)


def summary_table(pipelines: Sequence[pl.DataFrame]) -> CostTable | None:
    """A row per pipeline: ours, its share of the copy bound, the fastest peer; None where nothing of ours was timed."""
    rows = [_summary_row(case, ours) for case in pipelines if (ours := baseline(case))]
    header = ("views", "machine", "ours", "us per view", "share of copy bound", "fastest peer", "its us per view",
              "slower than ours by")  # fmt: skip
    note = "Medians; the tables below hold intervals, every peer, and what was not measured."
    title = "In short: our fastest backend and its fastest peer"
    return CostTable(title, header, tuple(rows), note, 3) if rows else None


def _summary_row(case: pl.DataFrame, ours: dict[str, Any]) -> tuple[str, ...]:
    peers = sorted(_peers(case), key=lambda row: statistics.median(row["blocks"]))
    share = share_of(ours, row_of(case, CEILING))
    facts = (pipeline_of(case), machine(case), ours["contestant"], median_us(ours), share)
    if not peers:
        return (*facts, "", "", "")
    return (*facts, label(peers[0]["contestant"]), median_us(peers[0]), slower_by(peers[0], ours, interval=False))


def contestant_table(frame: pl.DataFrame) -> CostTable:
    """Who is who: what each of ours is, and the configuration each peer ran in."""
    rows = []
    for name in sorted(frame["contestant"].unique(maintain_order=True), key=_rank):
        regimes = [text for text in _values(frame.filter(pl.col("contestant") == name), "regime") if text]
        if regimes and not name.endswith(STAGES):
            rows.append((label(name), WHAT_IT_IS.get(name) or "; or: ".join(regimes)))
    days, commits, versions = (" and ".join(_values(frame, name)) for name in ("day", "commit", "versions"))
    note = f"Measured on {days} at commit {commits}, with {versions}."
    return CostTable("Who is who", ("contestant", "what it is"), tuple(rows), note, 2)


def _values(frame: pl.DataFrame, column: str) -> list[str]:
    return frame[column].unique(maintain_order=True).to_list()


def pipeline_table(case: pl.DataFrame) -> CostTable:
    """Contestants of one pipeline, fastest first; what was not measured comes last, with the reason."""
    ours, ceiling, on_gpu = baseline(case), row_of(case, CEILING), _on_gpu(case)
    rows = [row for row in case.iter_rows(named=True) if not row["contestant"].endswith(STAGES)]
    measured = sorted((row for row in rows if row["outcome"] == "ok"), key=lambda row: statistics.median(row["blocks"]))
    header = ("contestant", *(ON_GPU if on_gpu else ON_CPU), f"slower than {ours['contestant'] if ours else 'ours'} by",
              "share of copy bound", *(("launches per batch",) if on_gpu else ()))  # fmt: skip
    body = [_measured_cells(row, ours, ceiling) for row in measured]
    body += [(why_not(row, label), *[""] * (len(header) - 1)) for row in rows if row["outcome"] != "ok"]
    title = f"{pipeline_of(case)}: {machine(case)}"
    return CostTable(title, header, tuple(body), _pipeline_note(case))


def _measured_cells(
    row: dict[str, Any], ours: dict[str, Any] | None, ceiling: dict[str, Any] | None
) -> tuple[str, ...]:
    on_gpu, name = row["kind"] == "cuda", label(row["contestant"])
    if ours and row["contestant"] == ours["contestant"]:
        name = f"**{name}**"
    slower = slower_by(row, ours) if ours and row["contestant"] != CEILING else ""
    host_s, launches = row["host_s_per_view" if on_gpu else "cpu_s_per_view"], row["launches_per_batch"]
    cells = (name + "\\*" * _waits(row), microseconds(row["blocks"]), "" if host_s is None else digits(1e6 * host_s))
    return (*cells, slower, share_of(row, ceiling), *(("" if launches is None else f"{launches:,.0f}",) * on_gpu))


def why_not(row: dict[str, Any], label: Callable[[str], str]) -> str:
    """The cell of a contestant that was not timed: its name, the outcome and the reason."""
    reason = " ".join(row["reason"].replace("|", "/").split())
    shown = reason if len(reason) <= REASON else f"{reason[:REASON]} ..."
    return f"{label(row['contestant'])}: {row['outcome']} ({shown})"


def _pipeline_note(case: pl.DataFrame) -> str:
    sentences = (_work(case), _bound(case), _intervals(case), *_losses(case), _queueing(case), _quick(case))
    return " ".join(filter(None, sentences))


def _losses(case: pl.DataFrame) -> list[str]:
    """Which peers are faster than each of ours (the oracle apart), by how much."""
    found = [ours for name in OWN if name != ORACLE and (ours := row_of(case, name))]
    return [f"Peers faster than our {ours['contestant']}: {_faster_peers(case, ours) or 'none'}." for ours in found]


def _faster_peers(case: pl.DataFrame, ours: dict[str, Any]) -> str:
    ratios = {peer["contestant"]: ratio_and_interval(ours["blocks"], peer["blocks"])[0] for peer in _peers(case)}
    return ", ".join(f"{label(name)} by {digits(ratio)} times" for name, ratio in ratios.items() if ratio > 1)


def operation_table(group: pl.DataFrame) -> CostTable:
    """Operations by contestants, microseconds per view; a cell that was not measured is empty, the best is bold."""
    names = sorted(group["contestant"].unique(maintain_order=True), key=_rank)
    cases = group.partition_by("case", maintain_order=True)
    rows = tuple((_operation(case), *_best_in_bold(case, names)) for case in cases)
    note = (
        f"Microseconds per view, median over {_num_blocks(group)} blocks; each operation happens to every image, on "
        "top of the plain view of the first row, which every row contains. Bold: the fastest. Empty: no such "
        "operation, or it failed."
    )
    sentences = (note, *_lost_operations(cases), _work(group), _queueing(group), _quick(group))
    title = f"Operations one by one, {_views(group)} from {group['source'][0]}: {machine(group)}"
    return CostTable(title, ("operation", *map(label, names)), rows, " ".join(filter(None, sentences)))


def _best_in_bold(case: pl.DataFrame, names: Sequence[str]) -> list[str]:
    found = {row["contestant"]: row for row in case.iter_rows(named=True) if row["outcome"] == "ok"}
    best = min((statistics.median(row["blocks"]) for name, row in found.items() if name != CEILING), default=None)
    texts = {name: median_us(row) for name, row in found.items()}
    bold = {name for name, row in found.items() if name != CEILING and statistics.median(row["blocks"]) == best}
    return [f"**{texts[name]}**" if name in bold else texts.get(name, "") for name in names]


def _lost_operations(cases: Sequence[pl.DataFrame]) -> list[str]:
    """In which operations peers are faster than each of ours (the oracle apart)."""
    sentences = []
    for name in OWN:
        met = [(case, ours) for case in cases if (ours := row_of(case, name))]
        lost = [f"{_operation(case)} ({faster})" for case, ours in met if (faster := _faster_peers(case, ours))]
        if met and name != ORACLE:
            which = f": {', '.join(lost)}" if 0 < len(lost) <= FEW else ""
            sentences.append(f"A peer is faster than our {name} in {len(lost)} of {len(met)} operations{which}.")
    return sentences


def draw_table(frame: pl.DataFrame) -> CostTable | None:
    """What drawing the parameters costs beside applying them, in one run; None when no stage was measured."""
    rows = []
    for case in frame.partition_by("case", "device", "threads", maintain_order=True):
        for name in OWN:
            draw, apply = (row_of(case, f"{name}{stage}") for stage in STAGES)
            if draw and apply:
                share = spread(ratio_and_interval(draw["blocks"], apply["blocks"]), percent)
                times = (microseconds(stage["blocks"]) for stage in (draw, apply))
                rows.append((pipeline_of(case), name, *times, share))
    header = ("views", "ours", "draw, us per view", "apply, us per view", "draw / apply")
    stages = frame.filter(pl.any_horizontal(pl.col("contestant").str.ends_with(stage) for stage in STAGES))
    note = f"Each stage alone, in the same blocks. {_intervals(stages)}"
    return CostTable("Drawing parameters beside applying them", header, tuple(rows), note, 2) if rows else None


def _views(group: pl.DataFrame) -> str:
    return " and ".join(f"{size} px" for size in dict.fromkeys(group["sizes"][0]))


def _operation(case: pl.DataFrame) -> str:
    return case["case"][0].split("/", 1)[1]


def _on_gpu(case: pl.DataFrame) -> bool:
    return case["kind"][0] == "cuda"


def _rank(contestant: str) -> tuple[bool, int]:
    return contestant == CEILING, OWN.index(contestant) if contestant in OWN else len(OWN)


def _peers(case: pl.DataFrame) -> list[dict[str, Any]]:
    rows = case.filter(pl.col("outcome") == "ok").iter_rows(named=True)
    return [row for row in rows if row["contestant"] not in (*OWN, CEILING) and not row["contestant"].endswith(STAGES)]


def _num_blocks(frame: pl.DataFrame) -> str:
    counts = sorted({len(blocks) for blocks in frame["blocks"].to_list() if blocks is not None and len(blocks)})
    return " or ".join(map(str, counts)) or "no"


def _work(case: pl.DataFrame) -> str:
    row = case.row(0, named=True)
    return f"{row['batch']} images x {len(row['sizes'])} view{'s' * (len(row['sizes']) > 1)}, {row['dtype']} out."


def _bound(case: pl.DataFrame) -> str:
    return f"Copy bound: {digits(case['bytes_per_view'][0] / 1e3)} kB read and written per view."


def _intervals(frame: pl.DataFrame) -> str:
    return f"In brackets, 95 % intervals of the median over {_num_blocks(frame)} blocks."


def _waits(row: dict[str, Any]) -> bool:
    """Whether the device waited for the host in most of a contestant's rounds."""
    return row["queued_ahead_share"] is not None and row["queued_ahead_share"] < 0.5


def _queueing(case: pl.DataFrame) -> str:
    """On a GPU: what its two times mean, and whose device waited for the host."""
    if not _on_gpu(case):
        return ""
    waiting = [label(row["contestant"]) for row in case.unique("contestant", maintain_order=True).iter_rows(named=True)
               if _waits(row)]  # fmt: skip
    return (
        "Us per view is the device's time for work that was queued before it began; host us per view is what the host "
        "needs to queue it: a loop that does nothing else goes at the pace of the slower. Where the host was late, "
        f"the device's time has gaps in it (\\*): {', '.join(waiting) or 'none'}. The copy goes from "
        "memory to memory: it moves more at once than any cache holds."
    )


def _quick(case: pl.DataFrame) -> str:
    return "Quick run: for checking the harness, not for quoting." if case["quick"].any() else ""
