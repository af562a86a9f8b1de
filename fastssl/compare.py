"""Several recipes with one time budget each, one after the other: records, the table, and the curve."""

import dataclasses
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.train import TrainResult, train
from fastssl.train.loop import Progress, Say, quiet

if TYPE_CHECKING:
    from fastssl.report.tables import Table


@dataclass(frozen=True)
class Comparison:
    table: "Table"
    figures: tuple[Path, ...]
    shortfalls: tuple[str, ...]
    """Runs that failed, and arms that ended too little above their random encoder; empty when all is well."""

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": not self.shortfalls,
            "rows": self.table.to_json(),
            "figures": [str(path) for path in self.figures],
            "shortfalls": list(self.shortfalls),
        }


def budgeted(recipe: Recipe, seconds: float, seed: int = 0) -> Recipe:
    """The recipe with so many seconds of training clock, but for the random encoder: one pass settles its BatchNorm
    statistics, and more change nothing."""
    if recipe.method.kind == "random":
        return dataclasses.replace(recipe, seed=seed)
    return dataclasses.replace(recipe, epochs=None, budget_s=seconds, seed=seed)


def compare(
    arms: Sequence[Recipe],
    out: Path,
    *,
    margin: float,
    fresh: bool = False,
    say: Say = print,
    progress: Progress = quiet,
) -> Comparison:
    """Trains every recipe and compares what came out. `out` receives a directory per run, and the figure.

    Args:
        margin: what every self-supervised arm must gain over the random encoder of its own network, in ridge accuracy
            as a fraction of one.

    Errors: `InputError`, that of the first run, when all of them failed.
    """
    results, failures = train_each(arms, out, fresh=fresh, say=say, progress=progress)
    if not results:
        raise InputError(failures[0] if failures else "recipes=() leaves nothing to compare; give one or more")
    from fastssl.report.figures import budget_csv, budget_figure  # not above: a machine that only trains goes without
    from fastssl.report.load import load_runs
    from fastssl.report.tables import budget_table

    frame = load_runs([Path(result.directory) for _, result in results])
    figures = (*budget_figure(frame, out / "accuracy_vs_compute"), budget_csv(frame, out / "accuracy_vs_compute"))
    return Comparison(budget_table(frame), figures, (*failures, *_below_floor(results, margin)))


def train_each(
    arms: Sequence[Recipe], out: Path, *, fresh: bool = False, say: Say = print, progress: Progress = quiet
) -> tuple[list[tuple[Recipe, TrainResult]], list[str]]:
    """Trains the recipes one after the other, so that each has the whole machine; the results, and a line per failure.

    Finished runs in `out` are not repeated unless `fresh`. One that fails costs the others nothing.
    """
    results, failures = [], []
    for i, arm in enumerate(arms):
        say(f"\n{arm.name}, seed {arm.seed} ({i + 1} of {len(arms)})")
        share_of = lambda share, i=i: progress((i + share) / len(arms))
        try:
            results.append((arm, train(arm, runs_dir=out, fresh=fresh, say=say, progress=share_of)))
        except Exception as error:  # of any kind: hours of the other arms are not lost for it
            if not isinstance(error, InputError):  # whose one line says it all
                say(traceback.format_exc())
            failures.append(f"{arm.name}, seed {arm.seed}, failed: {' '.join(str(error).split())}")
    return results, failures


def _below_floor(results: Sequence[tuple[Recipe, TrainResult]], margin: float) -> list[str]:
    """A line per arm that ended less than `margin` above the random encoder of its network and seed (of any seed, where
    that one was not run)."""
    floors: dict[Any, dict[int, float]] = {}
    for arm, result in results:
        if arm.method.kind == "random":
            floors.setdefault((arm.model, arm.data.dataset), {})[arm.seed] = result.metrics["ridge"]
    lines = []
    for arm, result in results:
        of_network = floors.get((arm.model, arm.data.dataset))
        if arm.method.kind == "random" or of_network is None:
            continue
        gain = result.metrics["ridge"] - of_network.get(arm.seed, next(iter(of_network.values())))
        if gain < margin:
            lines.append(f"{arm.name} ends {gain:+.1%} from the random encoder, less than {margin:.0%} above")
    return lines
