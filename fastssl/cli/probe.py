"""Probe a finished run: any classifier, any layer, few labels, many views averaged, another dataset, fine-tuning."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.errors import InputError
from fastssl.probing.probe import Asked, probe_run
from fastssl.report.probes import probe_table
from fastssl.runs import find_run
from fastssl.telemetry.records import append_record

EXAMPLE = "fastssl probe runs/RUN --kind ridge knn logistic --labels 1.0 0.1 0.01 --layers encoder projector"


@dataclass(frozen=True)
class Command:
    which: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Directories of runs, or the beginnings of their ids; each with a checkpoint."""
    asked: Asked = field(default_factory=Asked)
    sweep: bool = False
    """Show every k of kNN; they are recorded in any case."""
    runs_dir: Path = Path("runs")
    """Where ids are looked for."""

    def run(self, console: Console) -> dict[str, Any]:
        if not self.which:
            raise InputError("run=nothing to probe; give the directory of a run, such as runs/RUN")
        records: list[dict[str, Any]] = []
        with ExitStack() as shown:
            bars: dict[str, Any] = {}

            def progress(what: str, done: int, total: int) -> None:
                if what not in bars:
                    bars.clear()
                    shown.close()
                    bars[what] = shown.enter_context(console.progress(what))
                bars[what](done, total)

            for run in [find_run(which, self.runs_dir) for which in self.which]:
                for record in probe_run(run, self.asked, console.say, progress):
                    append_record(run / "probes.jsonl", record)
                    records.append(record)
        table = probe_table(records, self.sweep)
        console.table(table.header, table.rows)
        console.say(table.note)
        first = [r for r in records if r["case"]["run"] == records[0]["case"]["run"]]
        return {
            "metrics": {name: value for record in reversed(first) for name, value in record["metrics"].items()},
            "protocol": "; ".join(dict.fromkeys(r["case"]["protocol"] for r in records)),
            "rows": table.to_json(),
        }
