"""An examination as a picture: what an image costs, stage by stage, and how many a second come out of it."""

import io
from pathlib import Path
from typing import Any

from fastssl.bottleneck.pipeline import shown
from fastssl.bottleneck.report import Report
from fastssl.errors import InputError
from fastssl.telemetry.files import write_atomically

_FORMATS = (".png", ".svg")
_LIMIT, _OTHER, _MEASURED, _PREDICTED = "#D55E00", "#0072B2", "#333333", "#009E73"
"""Of Okabe and Ito's colours, as in the other figures."""
_MOST_ADVICE = 5


def check_out(out: Path) -> None:
    """Raises `InputError` for a name that is neither a PNG's nor an SVG's."""
    if out.suffix.lower() not in _FORMATS:
        raise InputError(f"out={out} ends in none of {', '.join(_FORMATS)}; give a name that does")


def draw(report: Report, out: Path) -> Path:
    """Writes the picture and gives its path.

    Left: the cost of each stage, the one that limits in another colour. Right: rates measured, and predicted with each
    change that was advised. Errors: `InputError` as `check_out`.
    """
    check_out(out)
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from fastssl.report.figures import STYLE

    rates = _rates(report)
    style: dict[Any, Any] = {**STYLE, "axes.grid": False}
    with mpl.rc_context(style):
        height = 1.3 + 0.34 * max(len(report.pipeline.stages), len(rates))
        figure = Figure(figsize=(11.0, height), dpi=160, layout="constrained")
        FigureCanvasAgg(figure)
        costs, speeds = figure.subplots(1, 2, width_ratios=(1, 1.25))
        _draw_costs(costs, report)
        _draw_rates(speeds, rates)
        figure.suptitle(_title(report), x=0.01, ha="left", fontsize=11, fontweight="bold")
        buffer = io.BytesIO()
        metadata = {"Software": None} if out.suffix.lower() == ".png" else {"Date": None, "Creator": None}
        figure.savefig(buffer, format=out.suffix[1:].lower(), metadata=metadata)
    write_atomically(out, buffer.getvalue())
    return out


def _title(report: Report) -> str:
    subject = report.subject
    return (f"{report.pipeline.limit.name} limits {subject.recipe.name} on {subject.served.info.name} "
            f"({subject.device.type}, loader {subject.kind}, {subject.workers} loader threads)")  # fmt: skip


def _draw_costs(axis: Any, report: Report) -> None:
    stages, limit = report.pipeline.stages, report.pipeline.limit
    on_cpu = report.pipeline.cores is not None
    costs = [1e3 * (stage.cost.cpu_s if on_cpu else stage.cost.wall_s) for stage in stages]
    colours = [_LIMIT if stage is limit else _OTHER for stage in stages]
    shares = [f"{cost:,.3f} ms, {report.pipeline.share(stage):.0%}" for cost, stage in zip(costs, stages)]
    _bars(axis, [stage.name for stage in stages], costs, colours, shares)
    axis.set_title(f"{'CPU' if on_cpu else 'wall'} time of one image with all its views", loc="left", fontsize=9.5)


def _rates(report: Report) -> list[tuple[str, float, str]]:
    """(What, images/s, colour): the loader and the run as measured, the ceiling, and what changes would give."""
    loader = report.measured.loaders[report.subject.kind]
    return [
        (f"loader {report.subject.kind} alone", 1 / loader.cost.wall_s, _MEASURED),
        ("step alone", report.ceiling, _MEASURED),
        ("training", 1 / report.run.cost.wall_s, _MEASURED),
        ("training, predicted", report.pipeline.images_per_s, _PREDICTED),
        *((f"... {advice.what}", advice.images_per_s, _PREDICTED) for advice in report.advice[:_MOST_ADVICE]),
    ]


def _draw_rates(axis: Any, rates: list[tuple[str, float, str]]) -> None:
    names, values, colours = (list(column) for column in zip(*rates))
    _bars(axis, names, values, colours, [shown(value) for value in values])
    axis.set_title("images/s: measured (dark) and predicted (green)", loc="left", fontsize=9.5)


def _bars(axis: Any, names: list[str], values: list[float], colours: list[str], labels: list[str]) -> None:
    """Horizontal bars in reading order, each with its number behind it."""
    places = range(len(names))
    axis.barh(places, values, color=colours, height=0.66)
    axis.set_yticks(places, names)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.35 * max(values))
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.spines["bottom"].set_visible(False)
    for place, value, label in zip(places, values, labels):
        axis.annotate(label, (value, place), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
