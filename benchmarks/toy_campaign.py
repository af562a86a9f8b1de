"""Runs the known-spectrum toy over weights, dimensions, time and views, and keeps a record per evaluation point.

python -m benchmarks.toy_campaign --records results/toy/MACHINE/known-spectrum.jsonl      six CPU-minutes
python -m benchmarks.toy_campaign --experiments weight time --seeds 2                     a look

The experiments and the numbers they are held against are in fastssl/report/toy_tables.py; `make plots` puts the tables
into docs/toy.md.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastssl.report.toy_tables import EXPERIMENTS, Cell
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.records import append_record, new_record
from fastssl.toy import ToyConfig, ToyPoint, run_toy


def main() -> int:
    options = _parse()
    for experiment in options.experiments:
        for cell in EXPERIMENTS[experiment].cells:
            for seed in range(options.seeds):
                for record in records_of(experiment, cell, seed):
                    append_record(options.records, record)
            print(f"{experiment}: {cell.name}", file=sys.stderr, flush=True)
    return 0


def records_of(experiment: str, cell: Cell, seed: int) -> Iterator[dict[str, Any]]:
    """The evaluation points of one run; the clock of each is that of the whole run."""
    config = ToyConfig(**dict(cell.settings), seed=seed)
    clock = Clock("cpu")
    with clock.phase("train"):
        result = run_toy(config)
    for point in result.history:
        yield _record(experiment, cell.name, config, point, clock)


def _record(experiment: str, cell: str, config: ToyConfig, point: ToyPoint, clock: Clock) -> dict[str, Any]:
    images = point.step * config.batch_size
    return new_record(
        suite="toy",
        case={
            "experiment": experiment, "cell": cell, "seed": config.seed, "step": point.step,
            "final": point.step == config.steps, "config": dataclasses.asdict(config),
        },
        scope=["augment", "train_step"],
        clock=clock.record(),
        budget={
            "gpu_h": clock.gpu_hours("train"), "views": images * config.views, "images": images, "steps": point.step,
            "flops": None, "joules": None,
        },
        metrics={"captured": point.captured, "effective_rank": point.effective_rank, "loss": point.loss},
        dataset={},
    )  # fmt: skip


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.toy_campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiments", nargs="+", choices=tuple(EXPERIMENTS), default=list(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=8, help="runs per cell; 8 by default")
    parser.add_argument("--records", type=Path, default=Path("runs/bench/toy.jsonl"), help="appended to")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: give 1 or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
