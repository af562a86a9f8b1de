"""Pictures of a claim: a dot for every run, a bar or band for what the runs say together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastssl.report.figures import INK, PALETTE, QUIET, STYLE, save_figure
from fastssl.report.student import mean_and_halfwidth
from fastssl.report.verdict import Run

WIDTH, HEIGHT, PER_ARM = 5.4, 3.4, 0.34
"""Inches of a panel, and of the height that another arm takes."""


def claim_figure(panels: Sequence[Any], arms: Sequence[Any], runs: Sequence[Run], title: str, out: Path) -> list[Path]:
    """OUT.png and OUT.svg. `panels` and `arms` are those of a claim's form; runs are matched to arms by name."""
    import matplotlib.pyplot as plt

    height = max(HEIGHT, 1.3 + PER_ARM * len(arms)) if any(panel.kind == "arms" for panel in panels) else HEIGHT
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH * len(panels) + 1.6, height), squeeze=False)
        for axis, panel in zip(axes[0], panels):
            {"arms": _arms, "lines": _lines, "curves": _curves}[panel.kind](axis, panel, arms, runs)
            for scale, name in ((panel.log_x, "x"), (panel.log_y, "y")):
                if scale:
                    getattr(axis, f"set_{name}scale")("log")
        if panels[0].kind == "lines" and panels[0].log_x:
            for axis in axes[0]:
                _ticks_at_arms(axis, arms)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
        figure.tight_layout()
        return save_figure(figure, out)


def _values(panel: Any, arm: Any, runs: Sequence[Run]) -> list[float]:
    scale = 100 if panel.percent else 1
    return [scale * run[panel.y] for run in runs if run.arm == arm.name]


def _arms(axis: Any, panel: Any, arms: Sequence[Any], runs: Sequence[Run]) -> None:
    for row, arm in enumerate(arms):
        values = _values(panel, arm, runs)
        mean, half = mean_and_halfwidth(values)
        axis.errorbar(mean, row, xerr=half, fmt="o", color=PALETTE[0], capsize=3, markersize=6, zorder=2)
        axis.plot(values, [row + 0.22] * len(values), ".", color=QUIET, markersize=5)
        axis.annotate(f"{mean:.1f}", (mean, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
    axis.set_yticks(range(len(arms)), [arm.name for arm in arms])
    axis.set_ylim(len(arms) - 0.4, -0.7)
    axis.set_xlabel(f"{panel.y_label}; mean, 95 % interval, runs below")


def _lines(axis: Any, panel: Any, arms: Sequence[Any], runs: Sequence[Run]) -> None:
    for colour, series in zip(PALETTE, dict.fromkeys(arm.series for arm in arms)):
        members = sorted((arm for arm in arms if arm.series == series), key=lambda arm: arm.x)
        found = [mean_and_halfwidth(_values(panel, arm, runs)) for arm in members]
        axis.errorbar([arm.x for arm in members], [mean for mean, _ in found], yerr=[half or 0 for _, half in found],
                      fmt="o-", color=colour, capsize=3, markersize=4, label=series or None)  # fmt: skip
        for arm in members:
            values = _values(panel, arm, runs)
            axis.plot([arm.x] * len(values), values, ".", color=colour, alpha=0.4, markersize=4)
    if any(arm.series for arm in arms):
        axis.legend(frameon=False, fontsize=8)
    axis.set_xlabel(panel.x_label)
    axis.set_ylabel(panel.y_label)


def _curves(axis: Any, panel: Any, arms: Sequence[Any], runs: Sequence[Run]) -> None:
    scale = 100 if panel.percent else 1
    for colour, arm in zip(PALETTE, arms):
        own = [run for run in runs if run.arm == arm.name]
        for run in own:
            axis.plot(run.curve(panel.x), [scale * y for y in run.curve(panel.y)], color=colour, alpha=0.3, linewidth=1)
        xs, ys = _mean(own, panel.x), [scale * y for y in _mean(own, panel.y)]
        axis.plot(xs, ys, "o-", color=colour, markersize=4, label=arm.name)
    axis.legend(frameon=False, fontsize=8)
    axis.set_xlabel(panel.x_label)
    axis.set_ylabel(panel.y_label)


def _mean(runs: Sequence[Run], name: str) -> list[float]:
    """Over runs, point by point, as far as every run goes."""
    return [sum(values) / len(runs) for values in zip(*(run.curve(name) for run in runs))]


def _ticks_at_arms(axis: Any, arms: Sequence[Any]) -> None:
    from matplotlib.ticker import NullFormatter

    axis.set_xticks(sorted({arm.x for arm in arms}), [f"{x:g}" for x in sorted({arm.x for arm in arms})])
    axis.xaxis.set_minor_formatter(NullFormatter())
