"""Times losses beside their peers: from embeddings to the loss and its gradient, with the memory that takes.

python -m benchmarks.bench_losses --quick                          a look: two numbers of views, one width
python -m benchmarks.bench_losses --records results/losses/MACHINE/CAMPAIGN.jsonl
python -m benchmarks.bench_losses --device cuda --cases vicreg barlow_twins-d2048-a8
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import torch

from benchmarks.losses.campaign import Extent, forget, run_group
from benchmarks.losses.cases import LOSSES, Case, cases
from benchmarks.losses.write_down import record_of
from fastssl.telemetry.reading import read_records
from fastssl.telemetry.records import append_record

ROOT = Path(__file__).parent.parent


def main() -> int:
    options = _parse()
    chosen = _chosen(options)
    before = len(options.records.read_text().splitlines()) if options.records.exists() else 0
    losses = list(dict.fromkeys(case.loss for case in chosen))
    if options.quick or len(losses) == 1:
        failed = _run_here(chosen, options)
    else:  # a process per loss: none finds the memory or the libraries as another has left them
        failed = False
        for loss in losses:
            failed |= _run_apart([case.name for case in chosen if case.loss == loss], options)
    if not options.part:
        _show(options, before)
    return failed


def _run_here(chosen: list[Case], options: argparse.Namespace) -> bool:
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no CUDA device; see `fastssl doctor`", file=sys.stderr)
        return True
    torch.set_num_threads(1)
    sys.path.append(str(options.peers))  # at the end: what is installed beside a peer hides nothing
    extent = Extent(options.blocks, 2 if options.device == "cpu" and not options.quick else 1, options.quick)
    failed = False
    for name, group in groupby(chosen, lambda case: case.group):
        started = time.perf_counter()
        entries = run_group(list(group), extent, options.contestants)
        for entry in entries:
            append_record(options.records, record_of(entry, options.quick))
        fine = sum(entry.outcome == "ok" for entry in entries)
        seconds = time.perf_counter() - started
        print(f"{name}: {fine} of {len(entries)} measured, {seconds:.0f} s", file=sys.stderr, flush=True)
        failed |= any(entry.outcome != "ok" and not entry.absent for entry in entries)
        forget(options.device)
    return failed


def _run_apart(names: list[str], options: argparse.Namespace) -> bool:
    command = [sys.executable, "-m", "benchmarks.bench_losses", "--part", "--device", options.device,
               "--records", options.records, "--peers", options.peers, "--blocks", str(options.blocks),
               *(["--contestants", *options.contestants] if options.contestants else []),
               "--cases", *names]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode != 0


def _chosen(options: argparse.Namespace) -> list[Case]:
    """By the names of losses, groups or cases; of all cases, not of the quick ones alone, if some are named."""
    found = cases(options.device, options.quick and not options.cases)
    named = {name: [case for case in found if name in (case.loss, case.group, case.name)]
             for name in options.cases or ()}  # fmt: skip
    if unknown := [name for name, those in named.items() if not those]:
        known = f"give a loss ({', '.join(LOSSES)}), or a case such as {found[0].name}"
        raise SystemExit(f"--cases {' '.join(unknown)}: unknown on {options.device}; {known}")
    wanted = {case for those in named.values() for case in those}
    return [case for case in found if case in wanted or not options.cases]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_losses",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="two numbers of views, one width, one process")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="losses, groups or cases; all by default")
    parser.add_argument("--contestants", nargs="+", metavar="NAME", help="ours, lightly, solo-learn, copy, ...")
    parser.add_argument("--blocks", type=int, default=6, help="6 by default; fewer have no interval")
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="the folder that the peers are in")
    parser.add_argument("--records", type=Path, default=Path("runs/bench/losses.jsonl"), help="appended to")
    parser.add_argument("--json", action="store_true", help="print the records, one a line, in place of the tables")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.blocks < 1:
        parser.error(f"--blocks {options.blocks}: give 1 or more")
    options.records, options.peers = options.records.resolve(), options.peers.resolve()
    return options


def _show(options: argparse.Namespace, before: int) -> None:
    if not options.records.exists():
        return
    if options.json:
        for record in read_records([options.records])[before:]:
            print(json.dumps(record, ensure_ascii=False))
    elif find_spec("polars") is None:
        print("the tables need polars, which is not installed; make them elsewhere from the records", file=sys.stderr)
    else:
        from fastssl.report.loss_costs import load_losses
        from fastssl.report.loss_tables import loss_tables

        for table in loss_tables(load_losses([options.records], skip=before)):
            print(f"\n{table.title}\n\n{table.markdown()}")


if __name__ == "__main__":
    sys.exit(main())
