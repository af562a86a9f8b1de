"""Accuracy against compute-hours, views processed and epochs: table, figure and numbers from records."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.errors import InputError
from fastssl.report.budget import Metric, Questions, budget_report
from fastssl.report.figures import budget_csv, budget_figure
from fastssl.report.load import load_runs
from fastssl.report.price import Rates
from fastssl.telemetry.files import write_atomically


@dataclass(frozen=True)
class Budget:
    """Accuracy against compute-hours, views processed and epochs: a table, PNG, SVG, CSV and Markdown.

    Example: fastssl report budget results/demo --out budget --target 60 --at 10s
    """

    records: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RECORDS")]
    """Record files, run directories, or folders of them."""
    out: Path = Path("budget")
    """Path of the outputs without their ending."""
    dataset_label: str | None = None
    """What to call the dataset in title and note, such as "CIFAR-10 (JPEG)"."""
    metric: Metric = "ridge"
    """The accuracy that targets, budgets, differences and the Pareto front are about."""
    target: float | None = None
    """An accuracy in percent: the compute that each arm took to it; a run that misses it is a miss."""
    at: str | None = None
    """A budget of compute, such as 90s, 2min or 0.5h: each arm's accuracy by then; nothing is extrapolated."""
    by: str | None = None
    """A field of the recipe, such as views or optim.lr: one arm per method and value of it."""
    only: str | None = None
    """A pattern with * and ?, of recipe names or methods to keep."""
    price_per_gpu_h: float | None = None
    """Of one device for one hour, to price the runs by."""
    price_per_kwh: float | None = None
    """Of electricity, where the records hold joules."""
    currency: str = "USD"
    allow_mixed: bool = False
    """Put runs of different datasets, devices or probe protocols into one table and on one axis, and say so."""

    def run(self, console: Console) -> dict[str, Any]:
        if not self.out.name:
            raise InputError(f"out={self.out} is a folder; give the beginning of a file's name, such as budget")
        priced = self.price_per_gpu_h is not None or self.price_per_kwh is not None
        rates = Rates(per_compute_h=self.price_per_gpu_h, per_kwh=self.price_per_kwh, currency=self.currency)
        asked = Questions(
            metric=self.metric,
            target=None if self.target is None else self.target / 100,
            at_h=None if self.at is None else hours(self.at),
            rates=rates if priced else None,
        )
        frame = load_runs(self.records, self.dataset_label, by=self.by, only=self.only)
        figures = budget_figure(frame, self.out, allow_mixed=self.allow_mixed, target=asked.target)
        report = budget_report(frame, asked)
        page = self.out.with_name(f"{self.out.name}.md")
        write_atomically(page, report.markdown(f"{self.out.name}.svg").encode())
        files = [*figures, budget_csv(frame, self.out), page]
        console.table(report.table.header, report.table.rows)
        for line in report.summary:
            console.say(line)
        for path in files:
            console.say(f"wrote {path}")
        rows = report.table.to_json()
        return {"files": [str(path) for path in files], "rows": rows, "summary": list(report.summary)}


def hours(text: str) -> float:
    """ "90s", "2min", "0.5h" -> hours. Errors: `InputError` for anything else."""
    found = re.fullmatch(r"([\d.]+)\s*(s|min|h)", text.strip())
    try:
        return float(found.group(1)) / {"s": 3600, "min": 60, "h": 1}[found.group(2)]  # type: ignore
    except (AttributeError, ValueError):
        raise InputError(f"at={text} is no time; give a number and a unit, such as 90s, 2min or 0.5h") from None
