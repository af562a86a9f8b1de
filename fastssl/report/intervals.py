"""Means of curves over seeds."""

import math
from collections.abc import Sequence

import polars as pl

from fastssl.report.statistics import pareto_front
from fastssl.report.student import mean_and_halfwidth


def mean_curve(arm: pl.DataFrame, x: str, y: str) -> tuple[list[float], list[float]]:
    """Mean over runs of x and of y, probe by probe, as far as every run has been probed."""
    runs = [run.sort("step") for run in arm.partition_by("run", maintain_order=True)]
    length = min(len(run) for run in runs)
    columns = ([run[name].to_list()[:length] for run in runs] for name in (x, y))
    xs, ys = ([math.fsum(values) / len(runs) for values in zip(*column)] for column in columns)
    return xs, ys


def band(arm: pl.DataFrame, y: str) -> tuple[list[float], list[float]]:
    """95 % interval of the mean over runs, probe by probe, as far as `mean_curve` goes; from two runs on."""
    runs = [run.sort("step")[y].to_list() for run in arm.partition_by("run", maintain_order=True)]
    found = [mean_and_halfwidth(values) for values in zip(*runs)]
    return [m - (h or 0.0) for m, h in found], [m + (h or 0.0) for m, h in found]


def mean_front(arms: Sequence[pl.DataFrame], y: str) -> dict[str, list[tuple[float, float]]]:
    """Points (compute-hours, accuracy) of the arms' mean curves that nobody beats at their cost, by arm."""
    points = [(arm["arm"][0], point) for arm in arms for point in zip(*mean_curve(arm, "compute_h", y))]
    found: dict[str, list[tuple[float, float]]] = {}
    for (name, point), on in zip(points, pareto_front([point for _, point in points])):
        if on:
            found.setdefault(name, []).append(point)
    return found
