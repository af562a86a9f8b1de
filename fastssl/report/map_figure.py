"""Features in the plane, a colour per class: a run's encoder beside itself untrained."""

from pathlib import Path
from typing import Any

from fastssl.report.figures import INK, QUIET, STYLE, save_figure

CLASSES = 20
"""Shown in colours; with more, the rest is grey."""
Panel = tuple[str, Any, Any]
"""A title, points (n, 2), labels (n,)."""


def map_figure(panels: list[Panel], class_names: list[str], method: str, out: Path) -> list[Path]:
    """Writes OUT.png and OUT.svg and returns their paths."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(4.4 * len(panels) + 1.6, 4.9), dpi=150)
        wide = figure.get_figwidth()
        for i, (title, points, labels) in enumerate(panels):
            axis = figure.add_axes(((0.15 + 4.4 * i) / wide, 0.03, 4.2 / wide, 0.80))
            for c in range(len(class_names)):
                rows = labels == c
                colour = mpl.colormaps["tab20"](c) if c < CLASSES else "#CCCCCC"
                axis.scatter(points[rows, 0], points[rows, 1], s=5, color=colour, lw=0, alpha=0.75, rasterized=True)
            axis.set(xticks=[], yticks=[])
            axis.set_title(title, fontsize=10.5, loc="left", color=INK, fontweight="bold")
        for c, name in enumerate(class_names[:CLASSES]):
            y = 0.8 - 0.77 * (c + 0.5) / max(min(len(class_names), CLASSES), 8)
            x = (4.4 * len(panels) + 0.2) / wide
            figure.text(x, y, "●", color=mpl.colormaps["tab20"](c), fontsize=11, va="center")
            figure.text(x + 0.18 / wide, y, name, color=QUIET, fontsize=9.5, va="center")
        names = {"tsne": "t-SNE", "umap": "UMAP"}
        reading = f"{names[method]} of features: neighbourhoods mean something, distances and sizes do not"
        figure.text(0.15 / wide, 0.945, reading, fontsize=10.5, color=QUIET)
        return save_figure(figure, out)
