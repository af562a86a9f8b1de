"""A race to a fixed accuracy: the rung's recipe, several seeds in turn, and whether every one got there."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastssl.compare import train_each
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.train import TrainResult
from fastssl.train.loop import Progress, Say, quiet


@dataclass(frozen=True)
class Race:
    """How the seeds of one rung ended."""

    target: float
    """Per cent."""
    results: tuple[TrainResult, ...]
    failures: tuple[str, ...]

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        """Run, seconds of training clock and waiting for data, linear probe, whether it hit the target."""
        return [(r.run, f"{seconds(r):.1f}", f"{100 * r.metrics['ridge']:.2f}", "hit" if self.hit(r) else "miss")
                for r in self.results]  # fmt: skip

    def hit(self, result: TrainResult) -> bool:
        return 100 * result.metrics["ridge"] >= self.target

    @property
    def reached(self) -> bool:
        """A seed that misses, or fails, is a miss of the race."""
        return bool(self.results) and not self.failures and all(map(self.hit, self.results))

    def to_json(self) -> dict[str, Any]:
        runs = [{"run": r.run, "seconds": seconds(r), "ridge": r.metrics["ridge"], "hit": self.hit(r),
                 "directory": r.directory} for r in self.results]  # fmt: skip
        return {"ok": not self.failures, "target": self.target, "reached": self.reached, "runs": runs,
                "failures": list(self.failures)}  # fmt: skip


def seconds(result: TrainResult) -> float:
    return result.clock["train_s"] + result.clock["data_s"]


def race(
    recipe: Recipe,
    target: float,
    seeds: Sequence[int],
    out: Path,
    *,
    fresh: bool = False,
    say: Say = print,
    progress: Progress = quiet,
) -> Race:
    """Trains the recipe with each seed, so that each has the whole machine. Finished runs in `out` are looked up."""
    arms = [dataclasses.replace(recipe, seed=seed) for seed in seeds]
    results, failures = train_each(arms, out, fresh=fresh, say=say, progress=progress)
    return Race(target, tuple(result for _, result in results), tuple(failures))


def rung(ladders: dict[str, dict[str, dict[float, Callable[[], Recipe]]]], dataset: str, machine: str, target: float):
    """The recipe of the lowest rung that is not below the target. Errors: `InputError` when the ladder ends below."""
    if dataset not in ladders:
        raise InputError(f"dataset={dataset!r} has no ladder; known: {', '.join(ladders)}")
    ladder = ladders[dataset].get(machine, {})
    fitting = [step for step in sorted(ladder) if step >= target]
    if not fitting:
        rungs = ", ".join(f"{step:g}" for step in sorted(ladder))
        raise InputError(f"target={target:g} is above the {machine} ladder of {dataset} ({rungs}); give one of these")
    return fitting[0], ladder[fitting[0]]()
