"""One flat row per contestant and case, whatever the suite: for `fastssl bench --json`, and for comparing two runs."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from fastssl.report.costs import block_medians, median_and_interval, ratio_and_interval

CEILINGS = {
    "load": ("decode", "copy"),
    "augment": ("copy",),
    "step": ("model only",),
    "write": ("copy",),
    "losses": ("copy",),
    "train": (),
}
"""By suite, the contestants that are limits; the first that a case has is what ratios are taken of."""
ITEMS = {"load": "image", "augment": "view", "step": "image", "write": "image", "losses": "call", "train": "image"}


def bench_rows(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in the order of the records; of a case and contestant that come twice on one device, the last counts.

    `items_per_s` is by wall time and `cpu_ms_per_item` by CPU time (null where only one of them was taken), medians
    over blocks with `_low` and `_high`, the 95 % interval of order statistics (null below six blocks).
    `ceiling_ratio` is the ceiling's time over this one's, 1 at the limit; null where the case has none.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in records:
        key = (record["suite"], _case(record), _contestant(record), record["device"]["name"])
        found.pop(key, None)
        found[key] = record
    return [_row(record, _ceiling(record, list(found.values()))) for record in found.values()]


def _row(record: dict[str, Any], ceiling: dict[str, Any] | None) -> dict[str, Any]:
    cpu, wall = times_of(record)
    ok = record["outcome"] == "ok" and bool(cpu or wall)
    ratio = None
    if ok and ceiling is not None:
        mine, limit = (cpu, times_of(ceiling)[0]) if cpu and times_of(ceiling)[0] else (wall, times_of(ceiling)[1])
        if len(mine) == len(limit) and mine:
            ratio = ratio_and_interval(limit, mine)[0]
    return {
        "suite": record["suite"],
        "case": _case(record),
        "contestant": _contestant(record),
        "item": ITEMS.get(record["suite"], "item"),
        "ok": ok,
        "outcome": record["outcome"],
        "reason": record["case"].get("reason", ""),
        "blocks": len(cpu or wall),
        **_number("items_per_s", [1 / value for value in wall]),
        **_number("cpu_ms_per_item", [1e3 * value for value in cpu]),
        "ceiling_ratio": ratio,
        "device": record["device"]["name"],
        "commit": (record["code"].get("commit") or "")[:7],
        "quick": bool(record["case"].get("quick", False)),
    }


def _number(name: str, values: Sequence[float]) -> dict[str, float | None]:
    median, low, high = median_and_interval(values) if values else (None, None, None)
    return {name: median, f"{name}_low": low, f"{name}_high": high}


def times_of(record: dict[str, Any]) -> tuple[list[float], list[float]]:
    """CPU and wall seconds per item, by block; either may be empty."""
    samples, suite, clock = record["samples"], record["suite"], record["clock"]
    if suite in ("load", "write"):
        return samples, clock.get("wall_s_per_image", [])
    if suite == "augment":
        blocks = block_medians(samples, record["case"]["rounds_per_block"])
        cpu = record["metrics"].get("cpu_s_per_view")
        return ([cpu] if cpu else []), blocks
    if suite == "train":
        seconds, images = clock["train_s"] + clock["data_s"], record["budget"]["images"]
        return [], [seconds / images] if images else []
    on_cpu = suite == "losses" and record["device"]["kind"] == "cpu"
    return (samples, samples) if on_cpu else ([], samples)


def _ceiling(record: dict[str, Any], records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    for name in CEILINGS.get(record["suite"], ()):
        for other in records:
            same = other["suite"] == record["suite"] and _case(other) == _case(record)
            if same and _contestant(other) == name and other["outcome"] == "ok":
                return other
    return None


def _case(record: dict[str, Any]) -> str:
    return str(record["case"].get("name") or record["dataset"].get("id", ""))


def _contestant(record: dict[str, Any]) -> str:
    recipe = record["case"].get("recipe")
    return str(record["case"].get("contestant") or (recipe or {}).get("name", ""))


def ratios(base: Iterable[dict[str, Any]], new: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """New over base, of the time per item, for each contestant and case that both files hold; ceilings last.

    The two were not measured in turn, so the interval is the widest that theirs allow: it is honest about each run's
    own spread, and blind to a machine that changed in between, which the ceilings' ratio shows. `beside_ceiling` is
    the ratio over that of the case's ceiling, which such a change leaves alone; null where the case has none.
    """
    pairs: list[dict[str, Any]] = []
    olds = {(row["suite"], row["case"], row["contestant"], row["device"]): row for row in bench_rows(base)}
    for row in bench_rows(new):
        old = olds.get((row["suite"], row["case"], row["contestant"], row["device"]))
        if old is None or not (old["ok"] and row["ok"]):
            continue
        pairs.append(_ratio(old, row))
    limits = {pair["case"]: pair["ratio"] for pair in reversed(pairs) if pair["ceiling"]}
    for pair in pairs:
        limit = limits.get(pair["case"])
        pair["beside_ceiling"] = None if limit is None or pair["ceiling"] else pair["ratio"] / limit
    return sorted(pairs, key=lambda pair: pair["ceiling"])


def _ratio(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    by_cpu = old["cpu_ms_per_item"] is not None and new["cpu_ms_per_item"] is not None
    name, power = ("cpu_ms_per_item", 1) if by_cpu else ("items_per_s", -1)
    edges = [row[f"{name}{end}"] for row in (old, new) for end in ("_low", "_high")]
    low = high = None
    if None not in edges:
        old_low, old_high, new_low, new_high = edges
        low, high = sorted(((new_low / old_high) ** power, (new_high / old_low) ** power))
    return {
        "path": f"{new['suite']} {new['case']}: {new['contestant']}",
        "case": f"{new['suite']} {new['case']}",
        "ceiling": new["contestant"] in CEILINGS.get(new["suite"], ()),
        "by": "CPU time" if by_cpu else "wall time",
        "ratio": (new[name] / old[name]) ** power,
        "low": low,
        "high": high,
    }


def paired_ratio(path: str, base: Sequence[float], new: Sequence[float]) -> dict[str, Any]:
    """The same of two codes measured in turn: ratios are taken block by block."""
    middle, low, high = ratio_and_interval(new, base)
    return {"path": path, "case": path, "ceiling": False, "beside_ceiling": None, "by": "CPU time", "ratio": middle,
            "low": low, "high": high, "base_s": statistics.median(base), "new_s": statistics.median(new)}  # fmt: skip
