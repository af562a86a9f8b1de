"""Probe a finished run: any classifier, any layer, few labels, many views averaged, another dataset, fine-tuning."""

from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.errors import InputError
from fastssl.probing.probe import Asked, Kind, probe_run
from fastssl.report.probes import probe_table
from fastssl.telemetry.records import append_record

EXAMPLE = "fastssl probe runs/RUN --kind ridge knn logistic --labels 1.0 0.1 0.01 --layers encoder projector"


@dataclass(frozen=True)
class Command:
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Directories of runs, with a checkpoint each."""
    kind: tuple[Kind, ...] = ("ridge", "knn")
    """Classifiers. `ridge` is closed form; `knn` sweeps k in one pass; `logistic` and `mlp` choose their penalty on a
    held-out tenth of train; `finetune` trains the encoder too."""
    labels: tuple[float, ...] = (1.0,)
    """Class-balanced shares of the labels; below 1, several draws of them (ridge, logistic), or one (finetune)."""
    shots: tuple[int, ...] = ()
    """So many labels of each class, several draws (ridge, logistic)."""
    draws: int = 5
    """Draws of few labels, whose spread makes the interval."""
    layers: tuple[str, ...] = ("encoder",)
    """`encoder`, `projector`, or modules inside the encoder, whose output is averaged over positions."""
    views: tuple[int, ...] = (0,)
    """0: one undistorted view. N: features averaged over N views drawn as in training; a row of its own."""
    dataset: str | None = None
    """Transfer: another dataset, whose train split fits the probe and whose test split scores it."""
    baseline: bool = False
    """Probe the untrained encoder as well."""
    finetune_epochs: int = 10
    """Of fine-tuning; of few labels as many as make up 200 steps."""
    finetune_lr: float = 1e-3
    seed: int = 0
    """Of drawn labels and views, and of fine-tuning."""
    device: str = "auto"
    fresh: bool = False
    """Show the images again although their features are kept in RUN/features."""
    sweep: bool = False
    """Show every k of kNN; they are recorded in any case."""

    def run(self, console: Console) -> dict[str, Any]:
        if not self.runs:
            raise InputError("runs=nothing to probe; give the directory of a run, such as runs/RUN")
        own = {field.name: getattr(self, field.name) for field in fields(Asked) if field.name != "kinds"}
        asked, records = Asked(kinds=self.kind, **own), []
        with ExitStack() as shown:
            bars: dict[str, Any] = {}

            def progress(what: str, done: int, total: int) -> None:
                if what not in bars:
                    bars.clear()
                    shown.close()
                    bars[what] = shown.enter_context(console.progress(what))
                bars[what](done, total)

            for run in self.runs:
                for record in probe_run(run, asked, console.say, progress):
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
