"""Eigenspectra of representations in a log-log plot, each with its fitted line, beside the untrained encoders'."""

import math
from pathlib import Path
from typing import Any

from fastssl.report.figures import FLOOR, INK, LABEL_PT, PALETTE, QUIET, STYLE, save_figure
from fastssl.report.labels import spread
from fastssl.report.spectra import name_of

WIDTH, HEIGHT = 8.6, 4.6
"""Inches."""
ROOM = (0.085, 0.125, 0.55, 0.70)
SMALLEST = 1e-8
"""Eigenvalues below this share of the first are rounding, and not drawn."""


def spectrum_figure(records: list[dict[str, Any]], out: Path) -> list[Path]:
    """Writes OUT.png and OUT.svg and returns their paths.

    Eigenvalues are shown as shares of their sum, so that encoders of different scale lie in one picture; trained ones
    in colour, untrained ones grey. The band is where alpha was fitted.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), dpi=200)
        axis = figure.add_axes(ROOM)
        layers = len({r["case"]["layer"] for r in records}) > 1
        trained = [r for r in records if r["case"]["weights"] == "trained"]
        ends = []
        for record in records:
            random = record["case"]["weights"] == "random"
            colour = FLOOR if random else PALETTE[trained.index(record) % len(PALETTE)]
            ends.append((_name(record, layers), colour, _draw(axis, record, colour, random)))
        axis.set(xscale="log", yscale="log", xlabel="rank of the direction", ylabel="share of the variance")
        axis.axvspan(3, 50, color="#F1F1F1", zorder=0)
        axis.tick_params(length=0, which="both")
        _name_lines(axis, ends)
        datasets = ", ".join(dict.fromkeys(r["dataset"]["id"] for r in records))
        figure.text(0.012, 0.945, f"Eigenspectra of features: {datasets}", fontsize=13, fontweight="bold", color=INK)
        reading = "Thin: the power law n^-alpha, fitted in the shaded ranks. Grey: the same encoders untrained."
        figure.text(0.012, 0.885, reading, fontsize=9.5, color=QUIET)
        return save_figure(figure, out)


def _name(record: dict[str, Any], layers: bool) -> str:
    alpha = record["metrics"].get("alpha")
    return name_of(record, layers) + (f"  α {alpha:.2f}" if alpha is not None else "")


def _draw(axis: Any, record: dict[str, Any], colour: str, random: bool) -> float:
    """Height of the line's right end."""
    values = record["samples"]
    total = sum(values) or 1.0
    shares = [value / total for value in values if value > SMALLEST * values[0]]
    ranks = range(1, len(shares) + 1)
    axis.plot(ranks, shares, color=colour, lw=1.1 if random else 2.0, ls=(0, (4, 2)) if random else "-", zorder=3)
    alpha = record["metrics"].get("alpha")
    if alpha is not None and not random:
        fitted = [(n, share) for n, share in zip(ranks, shares) if 3 <= n <= 50]
        weight = sum(1 / n for n, _ in fitted)  # as alpha was fitted; the line passes through the weighted means
        height = sum((math.log(share) + alpha * math.log(n)) / n for n, share in fitted) / weight
        axis.plot((2, 80), [math.exp(height) * n**-alpha for n in (2, 80)], color=colour, lw=0.8, alpha=0.7, zorder=2)
    return shares[-1] if shares else SMALLEST


def _name_lines(axis: Any, ends: list[tuple[str, str, float]]) -> None:
    low, high = (math.log(value) for value in axis.get_ylim())
    gap = LABEL_PT * 1.35 / (axis.get_window_extent().height / axis.figure.dpi * 72) * (high - low)
    heights = spread([math.log(end) for *_, end in ends], gap, low + gap / 2, high - gap / 2)
    for (name, colour, _), height in zip(ends, heights):
        axis.text(1.02, (height - low) / (high - low), name, transform=axis.transAxes, color=colour, va="center",
                  fontsize=LABEL_PT, fontweight="bold")  # fmt: skip
