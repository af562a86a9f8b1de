"""The leaderboard of `fastssl speedrun`: a row per recipe, machine and commit, from records of training runs."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastssl.report.student import mean_and_halfwidth

_MARK = "-speedrun-"
HEADER = ("target %", "machine", "seconds", "linear probe %", "hits", "recipe", "length", "commit", "command")


def is_speedrun(path: Path) -> bool:
    return path.stem.endswith("speedrun")


def leaderboard(records: Iterable[Mapping[str, Any]]) -> str:
    """A Markdown table of the runs' ends, hardest target first, then the fastest; empty without records."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        if record["case"]["final"] and _MARK in record["case"]["name"]:
            key = (record["case"]["name"], _machine(record), record["code"]["commit"])
            groups.setdefault(key, []).append(record)
    rows = sorted((_row(*key, runs) for key, runs in groups.items()), key=lambda row: (-float(row[0]), float(row[2])))
    if not rows:
        return ""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (HEADER, ["---"] * len(HEADER), *rows))


def _row(name: str, machine: str, commit: str, runs: list[Mapping[str, Any]]) -> tuple[str, ...]:
    target = float(name.rpartition("-")[2])
    seconds = [run["clock"]["train_s"] + run["clock"]["data_s"] for run in runs]
    accuracies = [100 * run["metrics"]["ridge"] for run in runs]
    mean, half = mean_and_halfwidth(accuracies)
    recipe, on = runs[0]["case"]["recipe"], name.split("-")[-2]
    views = recipe["views"]
    return (
        f"{target:g}",
        machine,
        f"{math.fsum(seconds) / len(seconds):.1f}",
        f"{mean:.2f}" + ("" if half is None else f" ± {half:.2f}") + f" ({', '.join(f'{a:.2f}' for a in accuracies)})",
        f"{sum(a >= target for a in accuracies)} of {len(runs)}",
        f"{recipe['method']['kind']}, {recipe['model']['arch']}, {views} x {recipe['spec']['size']} px, "
        f"batch {recipe['batch_size']}",
        f"{recipe['epochs']} epochs",
        commit[:7],
        f"`fastssl speedrun {name.split('-')[0]} --target {target:g} --on {on}`",
    )


def _machine(record: Mapping[str, Any]) -> str:
    name, cores = record["device"]["name"], record["host"]["cores"]
    return f"{name}, {cores} cores" if record["device"]["kind"] == "cpu" else name
