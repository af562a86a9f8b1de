"""What curves of accuracy against a budget say: at a budget, to a target, over a range, and whether two arms differ.

A run is a few probes; between two of them its curve is a straight line, before the first and after the last there is
none. Nothing here extrapolates, and a run that misses a target is a miss, not a large number.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from fastssl.report.student import mean_and_halfwidth

OVERSHOOT = 0.02
"""A run of a time budget ends with the step that reaches it; so far beyond a run's end its last probe still counts."""


def at_budget(run: pl.DataFrame, x: str, y: str, budget: float) -> float | None:
    """Accuracy of one run at a budget, by the line between two probes; None outside of what was probed."""
    points = _points(run, x, y)
    if not points[0][0] <= budget <= points[-1][0] * (1 + OVERSHOOT):
        return None
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 <= budget <= x1:
            return y0 + (y1 - y0) * ((budget - x0) / (x1 - x0) if x1 > x0 else 1.0)
    return points[-1][1]


def to_target(run: pl.DataFrame, x: str, y: str, target: float) -> float | None:
    """Budget at which one run first reaches an accuracy, by the line between two probes; None when it never does.

    A run that is there at its first probe has reached it by then: that budget is an upper bound.
    """
    points = _points(run, x, y)
    if points[0][1] >= target:
        return points[0][0]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if y0 < target <= y1:
            return x0 + (x1 - x0) * (target - y0) / (y1 - y0)
    return None


def common_range(frame: pl.DataFrame, x: str) -> tuple[float, float] | None:
    """From the latest first probe to the earliest last one, of runs with more than one; None when that is empty."""
    runs = [run[x] for run in frame.partition_by("run") if len(run) > 1]
    if not runs:
        return None
    low, high = max(float(run.min()) for run in runs), min(float(run.max()) for run in runs)  # type: ignore
    return (low, high) if high > low else None


def area(run: pl.DataFrame, x: str, y: str, low: float, high: float) -> float | None:
    """Mean accuracy of one run over a range of the budget: the area under its curve over the range's length."""
    ends = at_budget(run, x, y, low), at_budget(run, x, y, high)
    if ends[0] is None or ends[1] is None:
        return None
    inner = [(a, b) for a, b in _points(run, x, y) if low < a < high]
    points = [(low, ends[0]), *inner, (high, ends[1])]
    return math.fsum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in itertools.pairwise(points)) / (high - low)


@dataclass(frozen=True)
class Reached:
    """How the runs of an arm came to a target."""

    runs: int
    reached: int
    mean: float | None
    """Of the runs that reached it; of a budget, in its unit."""
    halfwidth: float | None
    """Half of the 95 % interval; only when all runs reached the target, for else it would be of the quick ones."""
    beyond: float | None
    """The budget that was not enough for the runs that missed."""


def reached(arm: pl.DataFrame, x: str, y: str, target: float) -> Reached:
    runs = arm.partition_by("run", maintain_order=True)
    found = [to_target(run, x, y, target) for run in runs]
    hits = [budget for budget in found if budget is not None]
    missed = [float(run[x].max()) for run, budget in zip(runs, found) if budget is None]  # type: ignore
    mean, half = mean_and_halfwidth(hits) if hits else (None, None)
    return Reached(len(runs), len(hits), mean, None if missed else half, min(missed) if missed else None)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For (cost, accuracy) each, whether nobody is better at that cost.

    Costs within 2 % of one another are one, because runs of one time budget end a few milliseconds apart.
    """
    return [
        not any((c <= cost * (1 + OVERSHOOT) and a > accuracy) or (c * (1 + OVERSHOOT) < cost and a >= accuracy)
                for c, a in points)
        for cost, accuracy in points
    ]  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """Of the means of two arms: Welch's t test, p by Holm over all pairs of arms."""

    first: str
    second: str
    mean: float
    """First minus second; accuracies from 0 to 1."""
    low: float
    high: float
    """95 % interval of this pair alone."""
    p: float

    @property
    def shown(self) -> bool:
        return self.p < 0.05

    def __str__(self) -> str:
        numbers = f"{100 * self.mean:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}], p {self.p:.2g}"
        return f"{self.first} − {self.second}: {'' if self.shown else 'no difference shown; '}{numbers}"


def differences(values: Mapping[str, Sequence[float]]) -> list[Difference]:
    """All pairs of arms with two runs or more that differ among themselves, the better one first.

    p is Holm's over all of these pairs, because the best arm was found by looking at them.
    """
    from scipy import stats

    arms = {name: list(v) for name, v in values.items() if len(v) > 1}
    order = sorted(arms, key=lambda name: -math.fsum(arms[name]) / len(arms[name]))
    tested = []
    for first, second in itertools.combinations(order, 2):
        a, b = arms[first], arms[second]
        mean = math.fsum(a) / len(a) - math.fsum(b) / len(b)
        if len({*a}) == 1 and len({*b}) == 1:  # ties on a small test set: no spread to hold a difference against
            continue
        test = stats.ttest_ind(a, b, equal_var=False)
        interval = test.confidence_interval(0.95)
        tested.append((first, second, mean, float(interval.low), float(interval.high), float(test.pvalue)))  # pyright: ignore
    adjusted, worst = {}, 0.0
    for place, one in enumerate(sorted(tested, key=lambda one: one[-1])):
        worst = max(worst, min(1.0, one[-1] * (len(tested) - place)))
        adjusted[one[:2]] = worst
    return [Difference(a, b, mean, low, high, adjusted[a, b]) for a, b, mean, low, high, _ in tested]


def _points(run: pl.DataFrame, x: str, y: str) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in run.sort("step").select(x, y).iter_rows()]
