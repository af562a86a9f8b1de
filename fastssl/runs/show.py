"""All there is to know of one run, as blocks."""

from typing import Any

from fastssl.recipe import Recipe
from fastssl.report.arms import flatten
from fastssl.runs.command import base_of, changes, command_of
from fastssl.runs.listing import row_of
from fastssl.runs.read import Run

OTHERS = {"probes.jsonl": "probes", "spectra.jsonl": "spectra", "scalars.jsonl": "scalars"}
"""Files of JSON lines beside the records of training."""


def show_run(run: Run) -> dict[str, Any]:
    """The run's row, with `recipe` (whole), `base`, `changes`, `command` (None: no flags make it), `probes`,
    `environment`, `clock`, `budget`, `checkpoint` and `others` (lines by file)."""
    shown: dict[str, Any] = {"row": row_of(run), "identity": run.identity, "facts": run.facts}
    if run.recipe:
        recipe = Recipe.from_json(run.recipe)
        base, made = base_of(recipe)
        shown |= {"recipe": run.recipe, "base": base, "command": command_of(recipe)}
        shown["changes"] = {name: list(values) for name, values in changes(recipe, made).items()}
    last = run.last or {}
    shown |= {name: last.get(name) for name in ("clock", "budget", "software", "device", "host", "code", "dataset")}
    shown["probes"] = [
        {name: point["case"][name] for name in ("epoch", "step", "final")} | point["metrics"] for point in run.points
    ]
    checkpoint = run.path / "checkpoint.pt"
    shown["checkpoint"] = str(checkpoint) if checkpoint.is_file() else None
    paths = {name: run.path / name for name in OTHERS}
    shown["others"] = {name: path.read_bytes().count(b"\n") for name, path in paths.items() if path.is_file()}
    return shown


def lines_of(shown: dict[str, Any], state: str, whole: bool) -> list[str]:
    """For people; `whole` tells every field of the recipe, not those alone that differ from the named one's."""
    lines = [f"run       {shown['row']['run']}", f"state     {state}"]
    if "recipe" in shown:
        if whole:
            lines += [f"recipe    {name} = {value}" for name, value in flatten(shown["recipe"])]
        else:
            lines += [f"recipe    {shown['base']}" + ("" if shown["changes"] else ", unchanged")]
            lines += [f"          {name} = {a} (there {b})" for name, (a, b) in shown["changes"].items()]
        lines.append(f"again     {shown['command'] or 'no flags make this recipe (its views differ); use Python'}")
    lines += [f"as found  {name} {value}" for name, value in shown["facts"].items()]
    if shown["clock"]:
        lines += _measured(shown)
    for point in shown["probes"]:
        ridge, knn = (_accuracy(point, name) for name in ("ridge", "knn"))
        lines.append(f"probe     epoch {point['epoch']:.2f}, step {point['step']:,}: ridge {ridge}, kNN {knn}")
    lines.append(f"weights   {shown['checkpoint'] or 'no checkpoint yet'}")
    return [*lines, *(f"also      {name}: {count:,} lines" for name, count in shown["others"].items())]


def _measured(shown: dict[str, Any]) -> list[str]:
    clock, budget, code, device = (shown[name] for name in ("clock", "budget", "code", "device"))
    seconds = ", ".join(f"{name[:-2]} {clock[name]:,.1f} s" for name in clock if name.endswith("_s") and clock[name])
    spent = [f"{budget['images']:,} images", f"{budget['views']:,} views", f"{budget['steps']:,} steps"]
    spent += [
        f"{budget[n]:.4g} {n.replace('_', ' ')}" for n in ("flops", "joules", "peak_memory_bytes") if budget.get(n)
    ]
    versions = ", ".join(f"{name} {version}" for name, version in shown["software"].items() if version)
    return [
        f"clock     {seconds}",
        f"budget    {', '.join(spent)}",
        f"device    {device['count']} x {device['name']} ({device['kind']})",
        f"code      {code['commit'] or 'unknown'}{', with changes' if code['dirty'] else ''}",
        f"software  {versions}",
    ]


def _accuracy(point: dict[str, Any], name: str) -> str:
    error = point.get(f"{name}_se")
    return f"{point[name]:.2%}" + ("" if error is None else f" ± {100 * error:.2f}")
