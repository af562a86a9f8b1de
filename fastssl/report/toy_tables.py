"""The known-spectrum toy (`fastssl.toy`): its experiments, the reference they are held against, tables from records.

The reference is one earlier run of each cell, whose seed and some of whose details are not known; its numbers were
written down together with the equations. What is compared is therefore the median over seeds, within a tolerance.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeAlias

from fastssl.errors import InputError
from fastssl.report.tables import Table
from fastssl.telemetry.reading import read_records

SUITE = "toy"
Metric: TypeAlias = Literal["captured", "effective_rank"]
TOLERANCE: dict[Metric, float] = {"captured": 0.03, "effective_rank": 0.5}
DIGITS: dict[Metric, int] = {"captured": 3, "effective_rank": 1}
WORDS: dict[Metric, str] = {"captured": "captured", "effective_rank": "effective rank"}


@dataclass(frozen=True)
class Expected:
    """A number of the reference."""

    metric: Metric
    value: float
    step: int | None = None
    """None is the end of the run."""


@dataclass(frozen=True)
class Cell:
    """One setting of an experiment; `settings` are fields of ToyConfig that differ from its defaults."""

    name: str
    settings: tuple[tuple[str, Any], ...]
    expected: tuple[Expected, ...]


@dataclass(frozen=True)
class Experiment:
    title: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Comparison:
    """A cell's number beside the reference."""

    cell: str
    expected: Expected
    values: tuple[float, ...]
    """One per seed."""

    @property
    def ours(self) -> float:
        return median(self.values)

    @property
    def within(self) -> bool:
        return abs(self.ours - self.expected.value) <= TOLERANCE[self.expected.metric]


def _weights() -> Iterable[Cell]:
    reference = {1e-4: (0.861, 3.0), 1e-3: (0.881, 3.6), 1e-2: (0.995, 7.0), 0.1: (0.997, 7.9), 1.0: (0.930, 7.9)}
    for weight, (share, rank) in reference.items():
        expected = (Expected("captured", share), Expected("effective_rank", rank))
        yield Cell(f"weight {weight:g}", (("weight", weight),), expected)


def _time() -> Iterable[Cell]:
    steps = {100: 6.5, 300: 5.0, 700: 3.9, 1500: 3.0}
    settings = (("weight", 1e-4), ("measure_at", tuple(steps)))
    yield Cell("weight 0.0001", settings, tuple(Expected("effective_rank", rank, at) for at, rank in steps.items()))


def _dimensions() -> Iterable[Cell]:
    for dim, rank in {8: 5.8, 16: 7.2, 32: 9.0, 64: 11.0}.items():
        yield Cell(f"d {dim}, weight .005", (("dim", dim), ("weight", 5e-3)), (Expected("effective_rank", rank),))
    for dim, rank in {8: 7.9, 16: 15.8, 32: 20.1, 64: 21.0}.items():
        yield Cell(f"d {dim}, weight 3.2/d", (("dim", dim), ("weight", 3.2 / dim)), (Expected("effective_rank", rank),))


def _views() -> Iterable[Cell]:
    reference = {(2, 200): 0.666, (4, 200): 0.721, (8, 200): 0.740, (2, 400): 0.798, (8, 100): 0.582}
    for (views, steps), share in reference.items():
        settings = (("views", views), ("steps", steps), ("num_images", 200), ("weight", 0.01))
        yield Cell(f"{views} views, {steps} steps", settings, (Expected("captured", share),))


EXPERIMENTS: dict[str, Experiment] = {
    "weight": Experiment("Weight of the off-diagonal term (d 8, 2 views, 1,500 steps)", tuple(_weights())),
    "time": Experiment("Over time, at a weight too small", tuple(_time())),
    "dimension": Experiment("Dimensions (2 views, 1,500 steps)", tuple(_dimensions())),
    "views": Experiment("Views of 200 images; 4 views x 200 steps are in both comparisons", tuple(_views())),
}


def compare(experiment: str, records: list[dict[str, Any]]) -> list[Comparison]:
    """Every number of one experiment, in the order of its cells. Errors: `InputError` for a cell without a record."""
    compared = []
    for cell in EXPERIMENTS[experiment].cells:
        points = [r for r in records if (r["case"]["experiment"], r["case"]["cell"]) == (experiment, cell.name)]
        for expected in cell.expected:
            chosen = [p for p in points if _is_at(p, expected.step)]
            if not chosen:
                raise InputError(f"records hold no toy of {experiment}: {cell.name}; run benchmarks.toy_campaign")
            values = tuple(p["metrics"][expected.metric] for p in chosen)
            compared.append(Comparison(cell.name, expected, values))
    return compared


def load_toys(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The toy's records in these files, in order."""
    return [record for record in read_records(list(paths)) if record["suite"] == SUITE]


def toy_tables(records: list[dict[str, Any]]) -> list[tuple[str, Table]]:
    """Title and table of every experiment."""
    return [(experiment.title, _table(compare(name, records))) for name, experiment in EXPERIMENTS.items()]


def _is_at(record: dict[str, Any], step: int | None) -> bool:
    return record["case"]["final"] if step is None else record["case"]["step"] == step


def _table(compared: list[Comparison]) -> Table:
    header = ("cell", "measure", "reference", "ours, median", "lowest", "highest", "within")
    rows, values = [], []
    for one in compared:
        metric, step = one.expected.metric, one.expected.step
        digits = DIGITS[metric]
        cell = one.cell if step is None else f"{one.cell}, step {step:,}"
        numbers = (one.expected.value, one.ours, min(one.values), max(one.values))
        rows.append((cell, WORDS[metric], *(f"{n:.{digits}f}" for n in numbers), "yes" if one.within else "no"))
        values.append({"cell": cell, "metric": metric, "reference": one.expected.value, "ours": one.ours})
    seeds = len(compared[0].values)
    limits = ", ".join(f"{WORDS[m]} {limit:g}" for m, limit in TOLERANCE.items())
    return Table(
        header, tuple(rows), tuple(values), f"{seeds} seeds. Within: the median is no further off than {limits}."
    )
