"""The whole answer of `fastssl report budget`: the table, what was asked on top of it, and who differs from whom."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from fastssl.errors import InputError
from fastssl.report.figures import mixtures
from fastssl.report.intervals import mean_front
from fastssl.report.price import Rates, with_price
from fastssl.report.statistics import area, at_budget, common_range, differences, reached
from fastssl.report.student import mean_and_halfwidth
from fastssl.report.tables import MISSING, Table, budget_table
from fastssl.report.units import compute_unit, short_number

Metric = Literal["ridge", "knn"]


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What to say beyond where each arm ended."""

    metric: Metric = "ridge"
    """The accuracy that targets, budgets, areas, the front and differences are about."""
    target: float | None = None
    """An accuracy, 0 to 1: how long did each arm take to it?"""
    at_h: float | None = None
    """Compute-hours: how good was each arm by then?"""
    rates: Rates | None = None
    """What an hour, or a kilowatt-hour, costs."""

    def __post_init__(self) -> None:
        if self.target is not None and not 0 < self.target < 1:
            raise InputError(f"target={100 * self.target:g} is no accuracy in percent; give a number between 0 and 100")
        if self.at_h is not None and not self.at_h > 0:
            raise InputError(f"at={self.at_h:g} is no budget; give a time above 0, such as 2min")


@dataclass(frozen=True)
class Report:
    table: Table
    summary: tuple[str, ...]
    """Sentences: what is mixed, the Pareto front, differences."""

    def markdown(self, figure: str | None = None) -> str:
        picture = f"![Accuracy against compute, views and epochs]({figure})\n\n" if figure else ""
        return picture + self.table.markdown() + "\n" + "".join(f"- {line}\n" for line in self.summary)


def budget_report(frame: pl.DataFrame, asked: Questions | None = None) -> Report:
    """Table and sentences of the runs of `load_runs`; see docs/report.md for each number's definition."""
    asked = asked or Questions()
    if asked.rates is not None:
        frame = with_price(frame, asked.rates)
    table = budget_table(frame)
    unit, per_hour = compute_unit(frame["compute_h"].to_list())
    arms = {arm["arm"][0]: arm for arm in frame.partition_by("arm", maintain_order=True)}
    span = common_range(frame.filter(pl.col("role") != "floor"), "compute_h")
    front = _front(frame, asked.metric)
    header, rows, values = list(table.header), [list(row) for row in table.rows], [dict(v) for v in table.values]
    columns = _columns(asked, span, unit, per_hour)
    for name, title, of in columns:
        header.append(title)
        for row, value in zip(rows, values):
            found, shown = of(arms[value["arm"]]) if value["arm"] in arms else (None, MISSING)
            value[name] = found
            row.append(shown)
    for value in values:
        value["on_front"] = value["arm"] in front
    table = Table(tuple(header), tuple(tuple(row) for row in rows), tuple(values), table.note)
    return Report(replace(table, note=_note(table.note, asked)), tuple(_summary(frame, asked, front)))


def _columns(asked: Questions, span: tuple[float, float] | None, unit: str, per_hour: float) -> list[Any]:
    """(name in JSON, title, function of an arm -> value and cell)."""
    metric, columns = asked.metric, []
    words = {"ridge": "ridge", "knn": "kNN"}[metric]
    if asked.at_h is not None:
        at_h = asked.at_h
        title = f"{words} % at {short_number(at_h * per_hour)} {unit}"
        columns.append(
            ("at", title, lambda arm: _over_runs(arm, lambda run: at_budget(run, "compute_h", metric, at_h)))
        )
    if asked.target is not None:
        target = asked.target
        columns.append(("to_target", f"{unit} to {100 * target:g} %", lambda arm: _to(arm, metric, target, per_hour)))
    if span is not None and (asked.at_h is not None or asked.target is not None):
        low, high = span
        title = f"mean {words} % from {short_number(low * per_hour)} to {short_number(high * per_hour)} {unit}"
        columns.append(
            ("area", title, lambda arm: _over_runs(arm, lambda run: area(run, "compute_h", metric, low, high)))
        )
    if asked.rates is not None:
        columns.append(("price", f"{asked.rates.currency} per run", lambda arm: _amount(arm, "price", 1.0)))
        columns.append(("energy_kwh", "Wh of training", lambda arm: _amount(arm, "energy_kwh", 1e3)))
    return columns


def _over_runs(arm: pl.DataFrame, of: Any) -> tuple[dict[str, Any], str]:
    found = [of(run) for run in arm.partition_by("run", maintain_order=True)]
    known = [value for value in found if value is not None]
    if not known:
        return {"mean": None, "ci95": None, "runs": 0}, MISSING
    mean, half = mean_and_halfwidth(known)
    some = f" ({len(known)} of {len(found)} runs)" if len(known) < len(found) else ""
    shown = f"{100 * mean:.1f}" + (f" ± {100 * half:.1f}" if half is not None else "") + some
    return {"mean": mean, "ci95": half, "runs": len(known)}, shown


def _to(arm: pl.DataFrame, metric: Metric, target: float, per_hour: float) -> tuple[dict[str, Any], str]:
    found = reached(arm, "compute_h", metric, target)
    value = {"compute_h": found.mean, "ci95": found.halfwidth, "reached": found.reached, "runs": found.runs}
    if found.mean is None:
        assert found.beyond is not None, "nobody reached it, so somebody missed"
        return value, f"missed (> {short_number(found.beyond * per_hour)})"
    if found.reached < found.runs:  # a mean of the quick ones alone would flatter the arm
        assert found.beyond is not None, "somebody missed"
        value |= {"compute_h": None, "ci95": None}
        return value, f"> {short_number(found.beyond * per_hour)} ({found.reached} of {found.runs} reached it)"
    if any(run.sort("step")[metric][0] >= target for run in arm.partition_by("run")):
        value |= {"ci95": None, "at_first_probe": True}  # the probes' schedule, not a time
        return value, f"≤ {short_number(found.mean * per_hour)}"
    half = f" ± {short_number(found.halfwidth * per_hour)}" if found.halfwidth is not None else ""
    return value, short_number(found.mean * per_hour) + half


def _amount(arm: pl.DataFrame, name: str, factor: float) -> tuple[float | None, str]:
    ends = [value for value in arm.filter(pl.col("final"))[name].to_list() if value is not None]
    if not ends:
        return None, MISSING
    mean = sum(ends) / len(ends)
    return mean, f"{mean * factor:.3g}"


def _front(frame: pl.DataFrame, metric: Metric) -> list[str]:
    """Arms that are best at some compute; nobody of one method alone, or of runs that do not compare."""
    methods = frame.filter(pl.col("role") == "method").partition_by("arm", maintain_order=True)
    return list(mean_front(methods, metric)) if len(methods) > 1 and not mixtures(frame) else []


def _summary(frame: pl.DataFrame, asked: Questions, front: Sequence[str]) -> list[str]:
    lines = [
        f"MIXED: {name} differs between runs ({'; '.join(values)}); these rows are not comparable"
        for name, values in mixtures(frame).items()
    ]
    if front:
        lines.append(f"best at some compute, by mean {asked.metric} (the Pareto front): {', '.join(front)}")
    lines += [f"{arm} pools runs that differ in {fields}" for arm, fields in frame.select("arm", "pooled").unique(
        maintain_order=True).iter_rows() if fields]  # fmt: skip
    if mixtures(frame):  # what may not share an axis may not be tested against each other either
        return lines
    ends = frame.filter(pl.col("final") & (pl.col("role") == "method"))
    values = {arm["arm"][0]: arm[asked.metric].to_list() for arm in ends.partition_by("arm", maintain_order=True)}
    if alone := [name for name, found in values.items() if len(found) == 1]:
        lines.append(f"no test of a difference for arms of one run: {', '.join(alone)}")
    found = differences(values)
    best = found[0].first if found else None
    lines += [str(one) for one in found if one.first == best]
    return lines


def _note(note: str, asked: Questions) -> str:
    parts = [note]
    if asked.at_h is not None or asked.target is not None:
        parts.append("Between two probes a curve is a straight line, beyond the last there is none.")
        parts.append("A run that does not reach the target is a miss.")
    if asked.rates is not None:
        parts.append("Prices are of the whole run, evaluation and compilation included.")
    return " ".join(parts)
