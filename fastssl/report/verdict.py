"""From repeated runs to PASS, FAIL or UNCLEAR: the one rule that every claim is judged by.

An effect is a number per seed, a function of that seed's runs. Over seeds it has a mean and a 95 % interval (Student's
t). A claim says in which band the effect lies, before anything is run:

    PASS     the whole interval lies in the band
    FAIL     the whole interval lies outside of it
    UNCLEAR  the interval crosses an edge: more seeds could tell

A claim of several effects passes when all do, and fails when one does.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fastssl.report.student import mean_and_halfwidth

Verdict = Literal["PASS", "FAIL", "UNCLEAR"]


@dataclass(frozen=True)
class Point:
    """One evaluation of a run."""

    step: int
    views: int
    train_s: float
    metrics: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        if name in ("step", "views", "train_s"):
            return float(getattr(self, name))
        return self.metrics[name]


@dataclass(frozen=True)
class Run:
    """One arm with one seed; its points in order of steps."""

    arm: str
    seed: int
    points: tuple[Point, ...]

    def __getitem__(self, name: str) -> float:
        """A metric at the end of the run, or what it cost: `step`, `views`, `train_s`."""
        return self.points[-1][name]

    def at(self, step: int, name: str) -> float:
        return next(point[name] for point in self.points if point.step == step)

    def curve(self, name: str) -> list[float]:
        return [point[name] for point in self.points]


Seen = Mapping[str, Run]
"""The runs of one seed, by arm."""


@dataclass(frozen=True)
class Band:
    """Where a claim says that an effect lies, edges included."""

    low: float = -math.inf
    high: float = math.inf

    def judge(self, low: float, high: float) -> Verdict:
        if self.low <= low and high <= self.high:
            return "PASS"
        return "FAIL" if high < self.low or low > self.high else "UNCLEAR"

    def words(self, write: Callable[[float], str]) -> str:
        if math.isinf(self.high):
            return f"at least {write(self.low)}"
        return f"at most {write(self.high)}" if math.isinf(self.low) else f"{write(self.low)} to {write(self.high)}"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A number that the claim speaks of."""

    says: str
    of: Callable[[Seen], float]
    """From the runs of one seed."""
    band: Band
    unit: Literal["points", "ratio", "number"] = "points"
    """`points`: a difference of accuracies as fractions of one, shown times 100."""

    def write(self, value: float) -> str:
        return f"{100 * value:+.1f}" if self.unit == "points" else f"{value:.2f}"


@dataclass(frozen=True)
class Found:
    """An effect as it came out."""

    effect: Effect
    values: tuple[float, ...]
    """One per seed, in order of seeds."""

    @property
    def interval(self) -> tuple[float, float, float]:
        """Mean, low, high; a single seed leaves everything open."""
        mean, half = mean_and_halfwidth(self.values)
        half = math.inf if half is None else half
        return mean, mean - half, mean + half

    @property
    def verdict(self) -> Verdict:
        _, low, high = self.interval
        return self.effect.band.judge(low, high)

    @property
    def words(self) -> str:
        mean, low, high = map(self.effect.write, self.interval)
        return f"{mean} ({low} to {high})"


def runs_of(records: Iterable[Mapping[str, Any]]) -> list[Run]:
    """Records of suite `claim` to runs."""
    points: dict[tuple[str, int], list[Point]] = {}
    for record in records:
        case, clock = record["case"], record["clock"]
        point = Point(case["step"], record["budget"]["views"], clock["train_s"] + clock["data_s"], record["metrics"])
        points.setdefault((case["arm"], case["seed"]), []).append(point)
    return [Run(arm, seed, tuple(sorted(p, key=lambda one: one.step))) for (arm, seed), p in points.items()]


def judge(effects: Sequence[Effect], runs: Sequence[Run]) -> list[Found]:
    """Every effect over the seeds of which all arms were run."""
    arms = {run.arm for run in runs}
    by_seed = {seed: {run.arm: run for run in runs if run.seed == seed} for seed in sorted({r.seed for r in runs})}
    complete = [seen for seen in by_seed.values() if set(seen) == arms]
    return [Found(effect, tuple(effect.of(seen) for seen in complete)) for effect in effects]


def overall(found: Sequence[Found]) -> Verdict:
    verdicts = {one.verdict for one in found}
    return "FAIL" if "FAIL" in verdicts else "UNCLEAR" if "UNCLEAR" in verdicts else "PASS"
