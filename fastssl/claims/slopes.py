"""How the best value of a setting moves with another one: the slope of a line through the optima, in logarithms."""

import math
from collections.abc import Callable, Mapping, Sequence

from fastssl.claims.claim import Arm, Form, Panel, Work
from fastssl.report.verdict import Band, Effect, Seen


def best_log(points: Sequence[tuple[float, float]]) -> float:
    """Log10 of the setting where the metric is greatest: the apex of the parabola through the best point and its two
    neighbours, in log10 of the setting; at an end of the grid that end."""
    points = sorted((math.log10(setting), value) for setting, value in points)
    i = max(range(len(points)), key=lambda k: points[k][1])
    if not 0 < i < len(points) - 1:
        return points[i][0]
    (x0, y0), (x1, y1), (x2, y2) = points[i - 1 : i + 2]
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    bend = (right - left) / (x2 - x0)
    return x1 if bend == 0 else min(max((x0 + x1) / 2 - left / (2 * bend), x0), x2)


def grid_form(
    dims: Sequence[int],
    weights: Sequence[float],
    work: Callable[[int, float], Work],
    *,
    panel: Panel,
    band: Band,
    setting: str,
    seeds: int,
) -> Form:
    """Every d with every weight; the effect is the slope of the best weight by the panel's metric."""
    name = lambda dim, weight: f"d={dim} weight={weight:g}"
    slope = slope_of_best({d: {w: name(d, w) for w in weights} for d in dims}, panel.y)
    arms = tuple(
        Arm(name=name(dim, weight), work=work(dim, weight), x=weight, series=f"d = {dim}")
        for dim in dims
        for weight in weights
    )
    effect = Effect(says="slope of log best weight over log d", of=slope, band=band, unit="number")
    return Form(arms=arms, effects=(effect,), setting=setting, panels=(panel,), seeds=seeds)


def slope_of_best(grid: Mapping[float, Mapping[float, str]], metric: str) -> Callable[[Seen], float]:
    """d log(best setting) / d log(other setting). `grid`: other setting -> setting -> arm."""

    def of(seen: Seen) -> float:
        xs = [math.log10(other) for other in grid]
        ys = [best_log([(setting, seen[arm][metric]) for setting, arm in row.items()]) for row in grid.values()]
        centre = sum(xs) / len(xs)
        return sum((x - centre) * y for x, y in zip(xs, ys)) / sum((x - centre) ** 2 for x in xs)

    return of
