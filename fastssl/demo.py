"""The main job in three minutes: data, six arms with one time budget, probes, records, and the curve."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastssl.data.dataset import write_dataset
from fastssl.recipe import Recipe
from fastssl.recipes import demo as recipes
from fastssl.report.figures import budget_csv, budget_figure
from fastssl.report.load import load_runs
from fastssl.report.tables import Table, budget_table
from fastssl.train import train

MARGIN = 0.10
"""What every self-supervised arm must gain over the random encoder (ridge accuracy) for the demo to count."""


@dataclass(frozen=True)
class DemoResult:
    table: Table
    figures: tuple[Path, ...]
    shortfalls: tuple[str, ...]
    """Arms that ended less than `MARGIN` above the random encoder; empty when all is well."""

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": not self.shortfalls,
            "rows": self.table.to_json(),
            "figures": [str(path) for path in self.figures],
            "shortfalls": list(self.shortfalls),
        }


def run_demo(
    seconds: float,
    out: Path,
    *,
    seed: int = 0,
    say: Callable[[str], None] = print,
    progress: Callable[[float], None] = lambda share: None,
) -> DemoResult:
    """Trains every demo recipe for `seconds` of training clock and compares what came out.

    Writes the dataset when it is not there yet. `out` receives one run directory per arm and the figure. Arms run one
    after the other, so that each has the whole machine.
    """
    arms = [_budgeted(make(), seconds, seed) for make in recipes.ALL]
    prepare_data(say)
    results = []
    for i, recipe in enumerate(arms):
        share_of = lambda share, i=i: progress((i + share) / len(arms))
        say(f"\n{recipe.name} ({i + 1} of {len(arms)})")
        results.append(train(recipe, runs_dir=out, fresh=True, say=say, progress=share_of))
    frame = load_runs([Path(result.directory) for result in results])
    figures = (*budget_figure(frame, out / "accuracy_vs_compute"), budget_csv(frame, out / "accuracy_vs_compute"))
    floor = next(r.metrics["ridge"] for r, arm in zip(results, arms) if arm.method.kind == "random")
    shortfalls = tuple(
        f"{arm.name} ends {result.metrics['ridge'] - floor:+.1%} from the random encoder, less than {MARGIN:.0%} above"
        for result, arm in zip(results, arms)
        if arm.method.kind != "random" and result.metrics["ridge"] < floor + MARGIN
    )
    return DemoResult(budget_table(frame), figures, shortfalls)


def prepare_data(say: Callable[[str], None]) -> None:
    """Draws the embedded dataset into betons. Always: it takes two seconds, and what lies there may be a part of it."""
    for written in write_dataset("demo"):
        say(f"drew {written['samples']} images into {written['path']} in {written['seconds']:.1f} s")


def _budgeted(recipe: Recipe, seconds: float, seed: int) -> Recipe:
    if recipe.method.kind == "random":  # one pass settles its BatchNorm statistics; more changes nothing
        return dataclasses.replace(recipe, seed=seed)
    return dataclasses.replace(recipe, epochs=None, budget_s=seconds, seed=seed)
