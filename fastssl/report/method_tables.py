"""What one method reached in every recorded campaign, beside the floor and the cost of that campaign."""

from collections.abc import Iterable

import polars as pl

from fastssl.report.student import mean_and_halfwidth
from fastssl.report.units import short_count, short_number

NOT_YET = "No run has been recorded yet."
HEADER = ("recipe", "machine", "runs", "training s", "views", "cost", "ridge %", "kNN %", "above random", "record")
NOTE = (
    "Final weights, test split. Cost: training clock per image, as a multiple of the supervised run's in the same "
    "campaign. Above random: ridge accuracy minus that of the untrained network, in points. Record: the last run's id."
)


def method_results(campaigns: Iterable[pl.DataFrame], method: str) -> str:
    """Markdown: a row per arm of the method in each campaign (a frame of `load_runs`), or a line that there is none."""
    rows = [_row(arm, campaign) for campaign in campaigns for arm in _arms(campaign, method)]
    if not rows:
        return NOT_YET
    align = ["---", "---", *["---:"] * (len(HEADER) - 3), "---"]
    return "\n".join([*(f"| {' | '.join(cells)} |" for cells in (HEADER, align, *rows)), "", NOTE])


def _arms(campaign: pl.DataFrame, method: str) -> list[pl.DataFrame]:
    ends = campaign.filter(pl.col("final") & (pl.col("method") == method))
    return ends.partition_by("arm", maintain_order=True) if len(ends) else []


def _row(arm: pl.DataFrame, campaign: pl.DataFrame) -> tuple[str, ...]:
    first = arm.row(0, named=True)
    spent_s = _mean(3600 * arm["compute_h"])
    return (
        f"`{first['name']}`",
        first["device"],
        str(len(arm)),
        short_number(spent_s),
        short_count(_mean(arm["views"])),
        _multiple(_s_per_image(arm), _of_role(campaign, "ceiling", _s_per_image)),
        _percent(arm["ridge"]),
        _percent(arm["knn"]),
        _points(_mean(arm["ridge"]), _of_role(campaign, "floor", lambda floor: _mean(floor["ridge"]))),
        f"`{arm.row(-1, named=True)['record'][:12]}`",
    )


def _of_role(campaign: pl.DataFrame, role: str, value):
    ends = campaign.filter(pl.col("final") & (pl.col("role") == role))
    return value(ends) if len(ends) else None


def _s_per_image(arm: pl.DataFrame) -> float:
    return 3600 * _mean(arm["compute_h"]) / _mean(arm["images"])


def _mean(values: pl.Series) -> float:
    return mean_and_halfwidth(values.to_list())[0]


def _percent(values: pl.Series) -> str:
    mean, halfwidth = mean_and_halfwidth(values.to_list())
    return f"{100 * mean:.1f}" + ("" if halfwidth is None else f" ± {100 * halfwidth:.1f}")


def _multiple(value: float, unit: float | None) -> str:
    return "" if unit is None else f"{value / unit:.1f}"


def _points(value: float, floor: float | None) -> str:
    return "" if floor is None else f"{100 * (value - floor):+.1f}"
