"""Bars of what was measured beside its ceiling, and curves of the cost model; drawn from records alone."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.report import feed_costs, loader_words
from fastssl.report.cost_model import fit
from fastssl.report.cost_words import digits
from fastssl.report.costs import median_and_interval, row_of
from fastssl.report.feed_costs import MODEL_ONLY, efficiency
from fastssl.report.figures import CEILING, INK, PALETTE, QUIET, STYLE, save_figure
from fastssl.report.loader_costs import CEILINGS, DECODE_ONLY, FIRST_CEILINGS, OWN

OURS, PEER = PALETTE[0], "#B8B8B8"
STAGES = ("#D9D9D9", "#A9CCE3", "#F5CBA7")
WIDTH, BAR, ABOVE, BELOW, LEFT = 8.6, 0.27, 0.95, 0.55, 0.33
"""Inches; the last is the share of the width that names take."""
LEAST_BARS = 4


@dataclass(frozen=True)
class Bar:
    name: str
    ours: bool
    value: float
    low: float | None
    high: float | None


def loader_bars(frame: pl.DataFrame, out: Path) -> list[Path]:
    """CPU time per image in the campaign's first case of many contestants, the ceilings as lines; OUT.png, OUT.svg."""
    case = next(case for case in _cases(frame) if _is_crowded(case))
    rows = [row for row in case.iter_rows(named=True) if row["outcome"] == "ok" and row["contestant"] != DECODE_ONLY]
    in_ms = lambda row: median_and_interval([1e3 * value for value in row["blocks"]])
    bars = [
        Bar(loader_words.label(row["contestant"]), row["contestant"] in OWN, *in_ms(row))
        for row in rows
        if row["contestant"] not in CEILINGS
    ]
    lines = [
        (loader_words.label(row["contestant"]).removesuffix(" (ceiling)"), in_ms(row)[0])
        for row in rows
        if row["contestant"] in CEILINGS
    ]
    title = f"What a loader costs: {loader_words.case_name(case)}"
    return _bars(sorted(bars, key=lambda bar: bar.value), lines, title, f"CPU ms per source image, {_about(case)}", out)


def has_bars(frame: pl.DataFrame) -> bool:
    return any(map(_is_crowded, _cases(frame)))


def step_bars(frame: pl.DataFrame, out: Path) -> list[Path]:
    """Each feed's share of the step alone, in the case of the largest network; OUT.png and OUT.svg."""
    cases = [case for case in _cases(frame) if row_of(case, MODEL_ONLY)]
    case = max(cases, key=lambda case: case["step_flops"].drop_nulls().max() or 0)  # pyright: ignore
    ceiling = row_of(case, MODEL_ONLY)
    assert ceiling is not None
    bars = [
        Bar(feed_costs.label(row["contestant"]), row["contestant"] in feed_costs.OWN, *efficiency(row, ceiling))
        for row in case.iter_rows(named=True)
        if row["outcome"] == "ok" and row["contestant"] != MODEL_ONLY
    ]
    first = case.row(0, named=True)
    title = f"Training fed by each loader: {first['arch']}, {first['views']} views of {first['size']} px"
    bars.sort(key=lambda bar: -bar.value)
    return _bars(bars, [("the step alone", 1.0)], title, f"share of the step alone, {_about(case)}", out)


def model_curves(frame: pl.DataFrame, out: Path) -> list[Path]:
    """Measured points over the fitted model's parts, against views and against their size; OUT.png and OUT.svg."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    constants, points = fit(frame)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.9), dpi=200)
        axes = [figure.add_axes((left, 0.14, 0.4, 0.64)) for left in (0.08, 0.57)]
        curves = (
            ("views of 224 px", {p.views: p for p in points if p.size == 224}),
            ("2 views, px", {p.size: p for p in points if p.views == 2}),
        )
        for axis, (name, by_place) in zip(axes, curves):
            found = sorted(by_place.items())
            at = [place for place, _ in found]
            parts = [constants.parts(point.views, point.size) for _, point in found]
            stacked = [[1e3 * part[stage] for part in parts] for stage in parts[0]]
            axis.stackplot(at, stacked, colors=STAGES, labels=list(parts[0]), zorder=1)
            measured = [1e3 * point.measured_s for _, point in found]
            axis.plot(at, measured, "o", color=INK, ms=5, label="measured", zorder=3)
            axis.set_xlabel(name)
            axis.set_ylim(bottom=0)
            axis.set_xticks(at)
            axis.tick_params(length=0)
        axes[0].set_ylabel("CPU ms per source image")
        axes[0].legend(loc="upper left", frameon=False, fontsize=8.5)
        figure.text(0.012, 0.93, "What an image costs one core, in parts", fontsize=13, fontweight="bold", color=INK)
        figure.text(0.012, 0.865, f"Fitted to our loader, {_about(frame)}.", fontsize=9.5, color=QUIET)
        return save_figure(figure, out)


def _cases(frame: pl.DataFrame) -> list[pl.DataFrame]:
    return frame.partition_by("case", "device", maintain_order=True)


def _is_crowded(case: pl.DataFrame) -> bool:
    fine = case.filter(pl.col("outcome") == "ok")["contestant"].to_list()
    return len(set(fine) - set(CEILINGS)) >= LEAST_BARS and any(name in fine for name in FIRST_CEILINGS)


def _about(case: pl.DataFrame) -> str:
    return str(case["device"][0])


def _bars(bars: Sequence[Bar], lines: Sequence[tuple[str, float]], title: str, unit: str, out: Path) -> list[Path]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    height = ABOVE + BELOW + BAR * len(bars)
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(WIDTH, height), dpi=200)
        axis = figure.add_axes((LEFT, BELOW / height, 0.98 - LEFT, BAR * len(bars) / height))
        for place, bar in enumerate(bars):
            _bar(axis, place, bar)
        axis.set_ylim(len(bars) - 0.5, -0.5)
        axis.set_yticks(range(len(bars)), [bar.name for bar in bars])
        for label, bar in zip(axis.get_yticklabels(), bars):
            label.set_color(OURS if bar.ours else INK)
            label.set_fontweight("bold" if bar.ours else "normal")
        axis.set_xlim(0, 1.12 * max(bar.high or bar.value for bar in bars))
        axis.set_xlabel(unit)
        axis.tick_params(length=0)
        for number, (name, value) in enumerate(lines):
            axis.axvline(value, color=CEILING, lw=1.2, ls=(0, (5, 3)), zorder=3)
            left = value < statistics.mean(axis.get_xlim())
            axis.annotate(name, (value, 1.0), (3 if left else -3, 4 + 10 * number), ("data", "axes fraction"),
                          textcoords="offset points", fontsize=8, color=CEILING, ha="left" if left else "right",
                          annotation_clip=False)  # fmt: skip
        figure.text(0.012, 1 - 0.3 / height, title, fontsize=13, fontweight="bold", color=INK)
        return save_figure(figure, out)


def _bar(axis: Any, place: int, bar: Bar) -> None:
    axis.barh(place, bar.value, height=0.66, color=OURS if bar.ours else PEER, zorder=2)
    if bar.low is not None:
        axis.plot([bar.low, bar.high], [place, place], color=INK, lw=1.0, zorder=4)
    axis.annotate(digits(bar.value), (bar.high or bar.value, place), (4, 0), textcoords="offset points", va="center",
                  fontsize=8.5, zorder=5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})  # fmt: skip
