"""The curve this library is for: accuracy against compute, views processed and epochs. Drawn from records alone."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fastssl.errors import InputError
from fastssl.report.intervals import band, mean_curve, mean_front
from fastssl.report.labels import spread
from fastssl.report.units import compute_name, compute_unit, count_unit
from fastssl.telemetry.files import write_atomically

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours for all kinds of colour vision (jfly.uni-koeln.de/color), yellow left out on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
METHOD_ORDER = ("simclr", "barlow_twins", "vicreg", "diet", "cissl", "dissl")
"""A method keeps its colour from figure to figure."""
FLOOR, CEILING, INK, QUIET = "#8A8A8A", "#333333", "#222222", "#6A6A6A"
WIDTH, HEIGHT, BOTTOM, TOP = 11.0, 4.3, 0.56, 0.8
"""Inches: the figure (taller when many labels need it), and what lies below and above the panels."""
LABEL_PT = 9.5
LOG_FROM = 10.0
"""Longest over shortest run, from which a linear axis would squeeze the short ones into its first tenth."""
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "fastssl",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9A9A9A",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
}


@dataclass(frozen=True)
class Panel:
    """One axis of cost."""

    column: str
    label: str
    factor: float


@dataclass(frozen=True)
class Look:
    colour: str
    marker: str


def budget_figure(
    frame: pl.DataFrame, out: Path, *, allow_mixed: bool = False, target: float | None = None
) -> list[Path]:
    """Writes OUT.png and OUT.svg and returns their paths: accuracy against compute, views processed and epochs.

    Per arm one colour: ridge thick, kNN thin and dashed; several seeds faint, with their mean and its 95 % interval as
    a band. Means that nobody beats at their cost (the Pareto front) wear a ring. The random encoder is a pair of grey
    dashed levels, the supervised run a dark dashed curve. The same records give the same bytes with one version of
    matplotlib.

    Args:
        frame: what `load_runs` gives.
        out: path without ending; its folders are made.
        allow_mixed: draw different datasets, devices or probe protocols on one axis, and say so in the title.
        target: an accuracy, 0 to 1, drawn as a line.

    Errors: `InputError` for such a mixture without `allow_mixed`.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mixed = mixtures(frame)
    if mixed and not allow_mixed:
        name, values = next(iter(mixed.items()))
        shown = "; ".join(values)
        raise InputError(f"{name} differs between runs ({shown}); draw them apart, or allow it with --allow-mixed")
    with mpl.rc_context(STYLE):
        figure = Figure(dpi=200)
        FigureCanvasAgg(figure)  # text is measured to place labels
        _draw(figure, frame, mixed, target)
        return save_figure(figure, out)


def save_figure(figure: Any, out: Path) -> list[Path]:
    """Writes OUT.png and OUT.svg, in which nothing tells when they were made, and returns their paths."""
    paths = [out.with_name(f"{out.name}.{ending}") for ending in ("png", "svg")]
    for path, metadata in zip(paths, ({"Software": None}, {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=path.suffix[1:], metadata=metadata)
        write_atomically(path, buffer.getvalue())
    return paths


def budget_csv(frame: pl.DataFrame, out: Path) -> Path:
    """Writes OUT.csv, the numbers behind the figure: one line per evaluation point, all columns of `load_runs`."""
    path = out.with_name(f"{out.name}.csv")
    write_atomically(path, frame.write_csv().encode())
    return path


def mixtures(frame: pl.DataFrame) -> dict[str, list[str]]:
    """What differs between runs and should not on one axis: dataset (also its content), device, probe protocol."""
    mixed = {}
    for name in ("dataset", "device", "protocol"):
        values = frame[name].unique(maintain_order=True).to_list()
        if len(values) > 1:
            mixed[name] = values
    contents = frame.select("dataset", "subset", "fingerprint").unique(maintain_order=True)
    for part in contents.partition_by("dataset", "subset", maintain_order=True):
        if len(part) > 1 and "dataset" not in mixed:
            mixed["dataset"] = [
                f"{name} {mark[:12]}" for name, mark in part.select("dataset", "fingerprint").iter_rows()
            ]
    return mixed


def _draw(figure: Any, frame: pl.DataFrame, mixed: dict[str, list[str]], target: float | None) -> None:
    arms = [arm for role in ("method", "ceiling") for arm in _arms(frame, role)]
    floors = _arms(frame, "floor")
    names = [arm["arm"][0] for arm in (*arms, *floors)]
    figure.set_size_inches(WIDTH, max(HEIGHT, BOTTOM + TOP + len(names) * _label_gap_pt(names) / 72))
    axes = _axes(figure, names)
    looks = _looks(arms)
    front = {} if mixed else _front(arms)
    _limit_accuracy(axes[0], frame)
    for axis, panel in zip(axes, _panels(frame)):
        for arm, look in zip(arms, looks):
            _draw_arm(axis, arm, look, panel)
            if panel.column == "compute_h":
                for cost, accuracy in front.get(arm["arm"][0], ()):
                    axis.plot(cost * panel.factor, 100 * accuracy, "o", ms=10, mfc="none", mec=look.colour, zorder=4)
        if target is not None:
            axis.axhline(100 * target, color=INK, lw=0.8, ls=(0, (1, 2)), zorder=1.4)
        for floor in floors:
            axis.axhline(100 * _end_accuracy(floor, "ridge"), color=FLOOR, lw=1.6, ls=(0, (5, 3)), zorder=1.5)
            axis.axhline(100 * _end_accuracy(floor, "knn"), color=FLOOR, lw=0.9, ls=(0, (3, 2)), zorder=1.5)
        _finish_axis(axis, arms, panel)
    _label_lines(axes[0], arms, looks, floors, _panels(frame)[0])
    axes[0].set_ylabel("accuracy (%)")
    _title(figure, frame, mixed)


def _axes(figure: Any, names: Sequence[str]) -> list[Any]:
    """Three panels with one scale of accuracy; right of the first, room for the longest label. In inches."""
    label_pt = max(_bold_width_pt(line, LABEL_PT) for name in names for line in _wrap(name))
    gaps = (label_pt / 72 + 0.34, 0.24)
    width, height = figure.get_size_inches()
    left = 0.62
    unit = (width - left - 0.2 - sum(gaps)) / 3.15
    axes: list[Any] = []
    for panel, gap in zip((1.15 * unit, unit, unit), (*gaps, 0.0)):
        box = (left / width, BOTTOM / height, panel / width, (height - BOTTOM - TOP) / height)
        axes.append(figure.add_axes(box, sharey=axes[0] if axes else None))
        axes[-1].tick_params(labelleft=len(axes) == 1)
        left += panel + gap
    return axes


def _bold_width_pt(text: str, size_pt: float) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family=STYLE["font.family"], weight="bold")
    return TextPath((0, 0), text, size_pt, prop=font).get_extents().width


def _label_gap_pt(names: Sequence[str]) -> float:
    return LABEL_PT * 1.2 * max(len(_wrap(name)) for name in names) + 1.5


def _wrap(name: str) -> list[str]:
    return textwrap.wrap(name, 26, break_on_hyphens=False) or [name]


def _arms(frame: pl.DataFrame, role: str) -> list[pl.DataFrame]:
    return frame.filter(pl.col("role") == role).partition_by("arm", maintain_order=True)


def _panels(frame: pl.DataFrame) -> tuple[Panel, ...]:
    trained = frame.filter(pl.col("role") != "floor")
    unit, per_hour = compute_unit(trained["compute_h"].to_list())
    number, factor = count_unit(trained["views"].to_list())
    kind = compute_name(frame["device_kind"].to_list())
    return (
        Panel("compute_h", f"{kind}-{unit} (training clock)", per_hour),
        Panel("views", f"views processed{f' ({number})' if number else ''}", factor),
        Panel("epoch", "epochs", 1.0),
    )


def _looks(arms: Sequence[pl.DataFrame]) -> list[Look]:
    """A method's own colour where it is still free, else the first free one; markers tell colours apart as well."""
    looks: list[Look] = []
    for i, arm in enumerate(arms):
        method, role = arm.row(0, named=True)["method"], arm["role"][0]
        home = METHOD_ORDER.index(method) if method in METHOD_ORDER else i
        taken = {look.colour for look in looks}
        free = [colour for colour in (PALETTE[home % len(PALETTE)], *PALETTE) if colour not in taken]
        colour = CEILING if role == "ceiling" else free[0] if free else PALETTE[i % len(PALETTE)]
        looks.append(Look(colour, MARKERS[i % len(MARKERS)]))
    return looks


def _front(arms: Sequence[pl.DataFrame]) -> dict[str, list[tuple[float, float]]]:
    """Points (compute-hours, ridge) on the Pareto front of the methods' mean curves, by arm; {} for a single method."""
    methods = [arm for arm in arms if arm["role"][0] == "method"]
    return mean_front(methods, "ridge") if len(methods) > 1 else {}


def _draw_arm(axis: Any, arm: pl.DataFrame, look: Look, panel: Panel) -> None:
    ceiling = arm["role"][0] == "ceiling"
    runs = arm.partition_by("run", maintain_order=True)
    if len(runs) > 1:
        for run in runs:
            x, y = mean_curve(run, panel.column, "ridge")
            axis.plot(_scaled(x, panel.factor), _scaled(y, 100), color=look.colour, lw=0.8, alpha=0.3, zorder=2)
        low, high = band(arm, "ridge")
        x, _ = mean_curve(arm, panel.column, "ridge")
        edges = _scaled(low, 100), _scaled(high, 100)
        axis.fill_between(_scaled(x, panel.factor), *edges, color=look.colour, alpha=0.12, lw=0, zorder=1.8)
    x, y = mean_curve(arm, panel.column, "ridge")
    dashes = (0, (6, 2.2)) if ceiling else "-"
    axis.plot(_scaled(x, panel.factor), _scaled(y, 100), color=look.colour, lw=2.0, ls=dashes, marker=look.marker,
              ms=5, mec="white", mew=0.7, zorder=3, solid_capstyle="round")  # fmt: skip
    x, y = mean_curve(arm, panel.column, "knn")
    axis.plot(_scaled(x, panel.factor), _scaled(y, 100), color=look.colour, lw=1.0, ls=(0, (3, 2)), zorder=2.5)


def _scaled(values: Sequence[float], factor: float) -> list[float]:
    return [value * factor for value in values]


def _end_accuracy(floor: pl.DataFrame, probe: str) -> float:
    return mean_curve(floor, "step", probe)[1][-1]


def _limit_accuracy(axis: Any, frame: pl.DataFrame) -> None:
    """Room for every number drawn, on one scale for all panels."""
    values = [100 * value for value in [*frame["ridge"], *frame["knn"]]]
    margin = max(0.06 * (max(values) - min(values)), 1.0)
    axis.set_ylim(max(min(values) - margin, 0.0), min(max(values) + margin, 100.0))


def _finish_axis(axis: Any, arms: Sequence[pl.DataFrame], panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axis.set_xlabel(panel.label)
    axis.tick_params(length=0)
    ends = [float(arm[panel.column].max()) * panel.factor for arm in arms]  # type: ignore
    if ends and min(ends) > 0 and max(ends) >= LOG_FROM * min(ends):
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
    else:
        axis.set_xlim(0, max(ends, default=1.0) * 1.04)
        axis.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 2.5, 5, 10)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _label_lines(
    axis: Any, arms: Sequence[pl.DataFrame], looks: Sequence[Look], floors: Sequence[pl.DataFrame], panel: Panel
) -> None:
    """Names at the ends of the lines of the first panel, in room made for them on its right."""
    ends = []
    for arm, look in zip(arms, looks):
        x, y = mean_curve(arm, panel.column, "ridge")
        ends.append((arm["arm"][0], look.colour, x[-1] * panel.factor, 100 * y[-1]))
    last = axis.get_xlim()[1]
    ends += [(floor["arm"][0], FLOOR, last, 100 * _end_accuracy(floor, "ridge")) for floor in floors]
    low, high = axis.get_ylim()
    height_pt = axis.get_window_extent().height / axis.figure.dpi * 72
    gap = _label_gap_pt([name for name, *_ in ends]) / height_pt * (high - low)
    heights = spread([end[3] for end in ends], gap, low + gap / 2, high - gap / 2)
    for (name, colour, x, y), height in zip(ends, heights):
        axis.annotate(
            "\n".join(_wrap(name)),
            (x, y),
            (1.035, (height - low) / (high - low)),
            textcoords="axes fraction",
            color=colour,
            va="center",
            fontsize=LABEL_PT,
            fontweight="bold",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "alpha": 0.6, "shrinkA": 1, "shrinkB": 3},
        )


def _title(figure: Any, frame: pl.DataFrame, mixed: dict[str, list[str]]) -> None:
    datasets, devices = (", ".join(frame[name].unique(maintain_order=True)) for name in ("dataset", "device"))
    title = f"Accuracy per compute: {datasets} on {devices}"
    if mixed:
        title = f"MIXED {', '.join(f'{name}s' for name in mixed)}, not comparable. {title}"
    counts = sorted({arm["run"].n_unique() for arm in _arms(frame, "method")}) or [1]
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    seeds = f"means of {number} seeds, each faint, bands: their 95 % interval." if counts[-1] > 1 else "one seed."
    ring = "  Ring: Pareto front." if not mixed and _front(_arms(frame, "method")) else ""
    reading = f"Thick: ridge probe, thin dashed: kNN; {seeds}{ring}  Evaluation and compilation are outside the clock."
    height = figure.get_size_inches()[1]
    title_pt = 13 * min(1.0, 72 * (WIDTH - 0.9) / _bold_width_pt(title, 13))  # long names of processors shrink it
    figure.text(0.012, 1 - 0.26 / height, title, fontsize=title_pt, fontweight="bold", color=INK, va="center")
    figure.text(0.012, 1 - 0.57 / height, reading, fontsize=9.5, color=QUIET, va="center")
