"""Means of curves over seeds."""

import math

import polars as pl


def mean_curve(arm: pl.DataFrame, x: str, y: str) -> tuple[list[float], list[float]]:
    """Mean over runs of x and of y, probe by probe, as far as every run has been probed."""
    runs = [run.sort("step") for run in arm.partition_by("run", maintain_order=True)]
    length = min(len(run) for run in runs)
    columns = ([run[name].to_list()[:length] for run in runs] for name in (x, y))
    xs, ys = ([math.fsum(values) / len(runs) for values in zip(*column)] for column in columns)
    return xs, ys
