"""Accuracy against compute-hours, views processed and epochs: table, figure and numbers from records."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.errors import InputError
from fastssl.report.figures import budget_csv, budget_figure
from fastssl.report.load import load_runs
from fastssl.report.tables import budget_table


@dataclass(frozen=True)
class Budget:
    """Accuracy against compute-hours, views processed and epochs: a table, PNG, SVG and CSV.

    Example: fastssl report budget results/demo --out budget
    """

    records: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RECORDS")]
    """Record files, run directories, or folders of them."""
    out: Path = Path("budget")
    """Path of the outputs without their ending."""
    dataset_label: str | None = None
    """What to call the dataset in title and note, such as "CIFAR-10 (JPEG)"."""
    allow_mixed: bool = False
    """Draw runs of different datasets, devices or probe protocols on one axis, and say so in the title."""

    def run(self, console: Console) -> dict[str, Any]:
        if not self.out.name:
            raise InputError(f"out={self.out} is a folder; give the beginning of a file's name, such as budget")
        frame = load_runs(self.records, self.dataset_label)
        files = [*budget_figure(frame, self.out, allow_mixed=self.allow_mixed), budget_csv(frame, self.out)]
        table = budget_table(frame)
        console.table(table.header, table.rows)
        for path in files:
            console.say(f"wrote {path}")
        return {"files": [str(path) for path in files], "rows": table.to_json()}
