"""What differs between two runs: recipe, data, environment, results with the probes' errors. Nothing that is equal."""

import json
import math
from typing import Any

from fastssl.errors import InputError
from fastssl.report.arms import flatten
from fastssl.report.student import Z_975
from fastssl.runs.read import Run

METRICS = {"ridge": "ridge", "knn": "kNN"}


def diff_runs(one: Run, two: Run) -> dict[str, Any]:
    """Blocks `recipe`, `data`, `environment` (field to both values) and `results`.

    Errors: `InputError` for a run without a readable recipe.
    """
    for run in (one, two):
        if not run.recipe:
            raise InputError(f"run={run.run_id} has no recipe to compare ({run.damage}); give another run")
    return {
        "runs": [one.run_id, two.run_id],
        "recipe": _changed(one.recipe, two.recipe),
        "data": _changed(_data(one), _data(two)),
        "environment": _changed(_environment(one), _environment(two)),
        "results": _results(one, two),
    }


def _changed(one: dict[str, Any], two: dict[str, Any]) -> dict[str, list[Any]]:
    mine, theirs = dict(flatten(one)), dict(flatten(two))
    return {
        name: [json.loads(side.get(name, "null")) for side in (mine, theirs)]
        for name in {**mine, **theirs}
        if mine.get(name) != theirs.get(name)
    }


def _data(run: Run) -> dict[str, Any]:
    return {"fingerprint": run.facts.get("fingerprint")}


def _environment(run: Run) -> dict[str, Any]:
    """As resolved when the run began, and as its last record tells."""
    resolved = {name: run.facts.get(name) for name in ("loader", "backend")}
    if run.last is None:
        return {**resolved, "device": {"kind": run.facts.get("device")}}
    blocks = {name: run.last[name] for name in ("software", "device")}
    host = {name: run.last["host"].get(name) for name in ("cpu", "cores")}
    code = {name: run.last["code"].get(name) for name in ("commit", "dirty")}
    return {**resolved, **blocks, "host": host, "code": code}


def _results(one: Run, two: Run) -> dict[str, Any]:
    """Of the last probes. The error of a difference takes both probes as independent: on one test set it is less."""
    if one.last is None or two.last is None:
        return {}
    found: dict[str, Any] = {}
    for name in METRICS:
        values = [run.metric(name) for run in (one, two)]
        errors = [run.metric(f"{name}_se") for run in (one, two)]
        if None in values:
            continue
        row: dict[str, Any] = {"values": values, "se": errors, "difference": values[1] - values[0]}  # pyright: ignore
        if None not in errors:
            row["difference_se"] = math.hypot(*errors)  # pyright: ignore
            row["within_error"] = abs(row["difference"]) <= Z_975 * row["difference_se"]
        found[name] = row
    asked = [run.last["case"]["protocol"] for run in (one, two) if run.last]
    if asked[0] != asked[1]:
        found["protocols"] = asked
    found["same_data"] = one.facts.get("fingerprint") == two.facts.get("fingerprint")
    return found


def result_lines(results: dict[str, Any]) -> list[str]:
    """One line per result, in words."""
    lines = []
    for name, label in METRICS.items():
        if name not in results:
            continue
        row = results[name]
        before, after = (f"{value:.2%}" for value in row["values"])
        line = f"{label}: {before} -> {after}, {100 * row['difference']:+.2f} points"
        if "difference_se" in row:
            verdict = "within the probe's error" if row["within_error"] else "more than the probe's error"
            line += f" (standard error {100 * row['difference_se']:.2f}): {verdict}"
        lines.append(line)
    if "protocols" in results:
        lines.append(f"the probes differ, so the results do not compare: {' | '.join(results['protocols'])}")
    if not results.get("same_data", True):
        lines.append("the data differ, so the results do not compare")
    return lines
