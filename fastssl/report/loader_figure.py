"""CPU time per source image against the number of views, drawn from records alone."""

from pathlib import Path
from typing import Any

import polars as pl

from fastssl.report.costs import median_and_interval
from fastssl.report.figures import CEILING, INK, LABEL_PT, MARKERS, PALETTE, QUIET, STYLE, save_figure
from fastssl.report.labels import spread
from fastssl.report.loader_costs import CEILINGS, CURVE, curve_of
from fastssl.report.loader_words import label

WIDTH, HEIGHT = 8.6, 4.2
"""Inches."""
TITLE = "CPU time per image against the number of views"
ROOM = 0.6
"""Share of the width that the axis takes; on its right stand the names."""


def has_curve(frame: pl.DataFrame) -> bool:
    """Whether anyone was measured at two numbers of views."""
    return any(len(curve_of(frame, name)) > 1 for name in CURVE)


def views_figure(frame: pl.DataFrame, out: Path) -> list[Path]:
    """Writes OUT.png and OUT.svg and returns their paths: a line per contestant, medians with their 95 % intervals.

    Args:
        frame: what `load_loaders` gives, with `has_curve`.
        out: path without ending; its folders are made.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), dpi=200)
        axis = figure.add_axes((0.08, 0.13, ROOM, 0.7))
        lines = {name: points for name in CURVE if len(points := curve_of(frame, name)) > 1}
        ends = [_draw_line(axis, name, points) for name, points in lines.items()]
        _finish(axis, sorted({number for points in lines.values() for number, _ in points}))
        _name_lines(axis, ends)
        figure.text(0.012, 0.94, TITLE, fontsize=13, fontweight="bold", color=INK)
        machine = " and ".join(frame["device"].unique(maintain_order=True))
        reading = f"Views of 224 px from JPEGs, {machine}. Medians over blocks, with 95 % intervals."
        figure.text(0.012, 0.875, reading, fontsize=9.5, color=QUIET)
        return save_figure(figure, out)


def _draw_line(axis: Any, name: str, points: list[tuple[int, list[float]]]) -> tuple[str, str, float]:
    """Label, colour and height of the line's right end."""
    bound = name in CEILINGS
    colour = CEILING if bound else PALETTE[CURVE.index(name) % len(PALETTE)]
    numbers = [number for number, _ in points]
    found = [median_and_interval([1e3 * value for value in blocks]) for _, blocks in points]
    middles = [median for median, _, _ in found]
    axis.plot(numbers, middles, color=colour, lw=1.2 if bound else 2.0, ls=(0, (5, 3)) if bound else "-",
              marker=None if bound else MARKERS[CURVE.index(name)], ms=5, mec="white", mew=0.7, zorder=3)  # fmt: skip
    for number, (_, low, high) in zip(numbers, found):
        if low is not None:
            axis.plot([number, number], [low, high], color=colour, lw=1.0, zorder=2)
    return label(name).removesuffix(" (ceiling)"), colour, middles[-1]


def _finish(axis: Any, numbers: list[int]) -> None:
    axis.set_xscale("log", base=2)
    axis.set_xticks(numbers, [str(number) for number in numbers])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("views per image")
    axis.set_ylabel("CPU ms per source image")
    axis.set_ylim(bottom=0)
    axis.tick_params(length=0)


def _name_lines(axis: Any, ends: list[tuple[str, str, float]]) -> None:
    low, high = axis.get_ylim()
    gap = LABEL_PT * 1.35 / (axis.get_window_extent().height / axis.figure.dpi * 72) * (high - low)
    heights = spread([height for *_, height in ends], gap, low + gap / 2, high - gap / 2)
    for (name, colour, _), height in zip(ends, heights):
        axis.text(1.02, (height - low) / (high - low), name, transform=axis.transAxes, color=colour, va="center",
                  fontsize=LABEL_PT, fontweight="bold")  # fmt: skip
