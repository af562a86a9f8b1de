"""Tables of what losses cost: ours beside its peers, from what `loss_costs.py` reads. Targets that are missed are bold.

Whatever belongs to this library is called `ours` in them.
"""

import statistics
from collections.abc import Sequence
from typing import Any

import polars as pl

from fastssl.report.cost_tables import CostTable, why_not
from fastssl.report.cost_words import digits, machine, slower_by, spread
from fastssl.report.costs import median_and_interval, ratio_and_interval, row_of
from fastssl.report.loss_costs import CEILING, GROWING, GROWTH, OURS, SLOWER

LABELS = {
    "simclr": "NT-Xent (SimCLR)",
    "barlow_twins": "Barlow Twins",
    "vicreg": "VICReg",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "dino": "DINO",
    "swav": "SwAV, Sinkhorn included",
    "diet": "DIET",
    "spectral": "Spectral contrastive",
    "dissl": "DISSL",
    "cissl": "CISSL",
}
MEMORY_COPY = "memory copy (ceiling)"
SHORT = ("loss", "cases", "within the target", "worst against a peer", "where", "ours holds of that peer's peak memory")


def loss_tables(frame: pl.DataFrame) -> list[CostTable]:
    """Every table of a campaign: in short, growth, who is who, and two per loss: times, and what was counted."""
    losses = frame.partition_by("loss", "device", "batch", maintain_order=True)
    tables = [summary_table(losses), growth_table(frame), contestant_table(frame)]
    for loss in losses:
        tables += [time_table(loss), count_table(loss)]
    return [table for table in tables if table]


def summary_table(losses: Sequence[pl.DataFrame]) -> CostTable | None:
    """A row per loss: in how many cases it keeps to the target, and the worst of them; None without a peer."""
    rows = [row for loss in losses if (row := _summary_row(loss))]
    machines = " and ".join(dict.fromkeys(machine(loss) for loss in losses))
    note = (
        f"On {machines}. Target: no more than {SLOWER:g} times the time of the fastest peer of the case, whatever that "
        "peer computes there; missed ones are bold. Medians of ratios taken block by block."
    )
    return CostTable("In short: our losses and their fastest peers", SHORT, tuple(rows), note) if rows else None


def _summary_row(loss: pl.DataFrame) -> tuple[str, ...] | None:
    met = [(ours, fastest) for case in _cases(loss) if (ours := row_of(case, OURS)) and (fastest := _fastest(case))]
    if not met:
        return None
    ours, fastest = max(met, key=lambda pair: _times(*pair))
    kept = sum(_times(*pair) <= SLOWER for pair in met)
    share = f"{ours['peak_bytes'] / fastest['peak_bytes']:.0%}"
    name = loss_name(loss["loss"][0])
    return (name, str(len(met)), _bold(f"{kept} of {len(met)}", kept < len(met)), _against(ours, fastest),
            case_name(ours), share)  # fmt: skip


def growth_table(frame: pl.DataFrame) -> CostTable | None:
    """How many times the time of two views eight take; None where not both were measured."""
    growing = frame.filter(pl.col("loss").is_in(GROWING) & (pl.col("outcome") == "ok"))
    names = [name for name in _contestants(growing) if name != CEILING]
    rows = []
    for group in growing.partition_by("group", "device", "batch", maintain_order=True):
        few, many = (group.filter(pl.col("views") == views) for views in (2, 8))
        if row_of(few, OURS) and row_of(many, OURS):
            name = f"{loss_name(group['loss'][0])}, D = {group['dim'][0]:,}"
            rows.append((name, *(_growth(few, many, contestant) for contestant in names)))
    note = (
        f"Target for ours: {GROWTH:g} times, with the same tolerance as above: work proportional to views; what is "
        "beyond is bold. Pairs grow 28-fold. A form that is one with the default at two views is divided by that."
    )
    title = "Eight views take how many times the time of two"
    return CostTable(title, ("loss", *names), tuple(rows), note) if rows else None


def _growth(few: pl.DataFrame, many: pl.DataFrame, name: str) -> str:
    own = name.startswith(OURS)
    before, after = row_of(few, name) or (row_of(few, OURS) if own else None), row_of(many, name)
    if before is None or after is None:
        return ""
    found = ratio_and_interval(after["blocks"], before["blocks"])
    return _bold(spread(found, digits), own and found[0] > GROWTH * SLOWER)


def contestant_table(frame: pl.DataFrame) -> CostTable:
    """Who is who: the regime of each in each loss."""
    rows = []
    for loss in frame.partition_by("loss", maintain_order=True):
        for name in _contestants(loss.filter(pl.col("regime") != "")):
            regime = loss.filter((pl.col("contestant") == name) & (pl.col("regime") != ""))["regime"][0]
            if not name.startswith(OURS) and name != CEILING:
                rows.append((loss_name(loss["loss"][0]), name, regime))
    origin = {name: " and ".join(frame[name].unique(maintain_order=True)) for name in ("day", "commit", "versions")}
    note = f"Measured on {origin['day']} at commit {origin['commit']}, with {origin['versions']}."
    return CostTable("Who is who", ("loss", "peer", "what it is"), tuple(rows), note, 3)


def time_table(loss: pl.DataFrame) -> CostTable:
    """A row per case, a column per contestant; what was not measured is named below."""
    names = _contestants(loss)
    header = ("case", *(MEMORY_COPY if name == CEILING else name for name in names), "ours beside the fastest peer")
    rows = [(case_name(case.row(0, named=True)), *(_time(case, name) for name in names), _verdict(case))
            for case in _cases(loss)]  # fmt: skip
    unit = "Milliseconds of the device" if loss["kind"][0] == "cuda" else "CPU milliseconds"
    counts = " or ".join(map(str, sorted({len(blocks) for blocks in loss["blocks"].to_list() if len(blocks)})))
    sentences = (
        f"{unit} per forward and backward pass of {loss['batch'][0]} images, medians over {counts or 'no'} blocks with "
        "their 95 % intervals.",
        _differences(loss),
        "\\+ Not queued ahead of the device: the host's time is in it." if any(map(_behind, _rows(loss))) else "",
        _unmeasured(loss),
        "Quick run: for checking the harness, not for quoting." if loss["quick"].any() else "",
    )
    title, note = f"{loss_name(loss['loss'][0])}: {machine(loss)}", " ".join(filter(None, sentences))
    return CostTable(title, header, tuple(rows), note)


def _time(case: pl.DataFrame, name: str) -> str:
    row = row_of(case, name)
    if row is None:
        return ""
    found = spread(median_and_interval([1e3 * value for value in row["blocks"]]), _fine)
    return found + " \\*" * _means_else(row) + " \\+" * _behind(row)


def _fine(value: float) -> str:
    """Three digits also of what is below a hundredth."""
    return digits(value) if value >= 0.1 else f"{value:.2g}"


def _verdict(case: pl.DataFrame) -> str:
    ours, fastest = row_of(case, OURS), _fastest(case)
    return _against(ours, fastest) if ours and fastest else ""


def _against(ours: dict[str, Any], fastest: dict[str, Any]) -> str:
    """For instance "1.35 times faster than lightly"; what is slower than the target is bold."""
    words = slower_by(ours, fastest, interval=False)
    words += "" if "faster" in words else " slower"
    return _bold(f"{words} than {fastest['contestant']}", _times(ours, fastest) > SLOWER)


def count_table(loss: pl.DataFrame) -> CostTable:
    """What was counted: multiplications and additions, bytes moved, peak memory."""
    names = [name for name in _contestants(loss) if name != CEILING]
    rows = [(case_name(case.row(0, named=True)), *(_counted(case, name) for name in names)) for case in _cases(loss)]
    on_gpu = " / launches; then the host's microseconds to queue them" if loss["kind"][0] == "cuda" else ""
    note = (
        f"GFLOP of matrix products / GB that all operations read and write / MB of memory at the peak beyond the "
        f"embeddings, gradients included{on_gpu}. All but times is the same on a busy machine."
    )
    return CostTable(f"{loss_name(loss['loss'][0])}, counted: {loss['device'][0]}", ("case", *names), tuple(rows), note)


def _counted(case: pl.DataFrame, name: str) -> str:
    row = row_of(case, name)
    if row is None or row["flops"] is None:
        return ""
    text = f"{_fine(row['flops'] / 1e9)} / {_fine(row['moved_bytes'] / 1e9)} / {digits(row['peak_bytes'] / 1e6)}"
    if row["launches_per_call"] is not None:
        text += f" / {row['launches_per_call']:.0f}"
    return text if row["host_s_per_call"] is None else f"{text}; {digits(1e6 * row['host_s_per_call'])}"


def _differences(loss: pl.DataFrame) -> str:
    found = {row["contestant"]: row["same_as"] for row in _rows(loss) if row["outcome"] == "ok" and _means_else(row)}
    words = " and ".join(f"{name} gives {f'`{form}`' if form else 'none of our forms'}" for name, form in found.items())
    return f"\\* Another loss than our default: beyond two views {words}." if words else ""


def _means_else(row: dict[str, Any]) -> bool:
    return row["views"] > 2 and row["same_as"] != OURS and row["contestant"] != CEILING and not _is_own(row)


def _behind(row: dict[str, Any]) -> bool:
    return row["queued_ahead_share"] is not None and row["queued_ahead_share"] < 0.5


def _rows(loss: pl.DataFrame) -> list[dict[str, Any]]:
    return list(loss.iter_rows(named=True))


def _unmeasured(loss: pl.DataFrame) -> str:
    reasons = dict.fromkeys(why_not(row, str) for row in _rows(loss) if row["outcome"] != "ok")
    return f"Not measured: {'; '.join(reasons)}." if reasons else ""


def loss_name(loss: str) -> str:
    return LABELS.get(loss, loss)


def case_name(row: dict[str, Any]) -> str:
    """For instance "2 views, D = 512"; of DIET, "50,000 images, D = 512"."""
    what = f"{row['rows']:,} images" if row["rows"] else f"{row['views']} view{'s' * (row['views'] > 1)}"
    return f"{what}, D = {row['dim']:,}"


def _cases(loss: pl.DataFrame) -> list[pl.DataFrame]:
    return loss.partition_by("case", maintain_order=True)


def _contestants(frame: pl.DataFrame) -> list[str]:
    """Ours first, the ceiling last."""
    names = frame["contestant"].unique(maintain_order=True).to_list()
    return sorted(names, key=lambda name: (name == CEILING, not name.startswith(OURS)))


def _is_own(row: dict[str, Any]) -> bool:
    return row["contestant"].startswith(OURS)


def _fastest(case: pl.DataFrame) -> dict[str, Any] | None:
    rows = case.filter(pl.col("outcome") == "ok").iter_rows(named=True)
    peers = [row for row in rows if not _is_own(row) and row["contestant"] != CEILING]
    return min(peers, key=lambda row: statistics.median(row["blocks"]), default=None)


def _times(ours: dict[str, Any], peer: dict[str, Any]) -> float:
    return ratio_and_interval(ours["blocks"], peer["blocks"])[0]


def _bold(text: str, missed: bool) -> str:
    return f"**{text}**" if missed else text
