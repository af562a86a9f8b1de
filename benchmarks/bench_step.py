"""Times the training step fed by each loader beside the step with nothing to wait for.

python -m benchmarks.bench_step --quick                            a look: one case
python -m benchmarks.bench_step --device cuda --cases resnet18-32 --records results/step/MACHINE/CAMPAIGN.jsonl
"""

import argparse
import math
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.load.photographs import missing_packages
from benchmarks.load.stored import Cache
from benchmarks.step.campaign import Extent, run_case
from benchmarks.step.cases import cases
from benchmarks.step.write_down import record_of
from fastssl.telemetry.records import append_record

QUICK = ("nano-32", "resnet18-32")
LEAST_BLOCKS = 6


def main() -> int:
    options = _parse()
    if reason := missing_packages():
        print(f"the photographs are missing: {reason}", file=sys.stderr)
        return 1
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no CUDA device; give --device cpu, or see `fastssl doctor`", file=sys.stderr)
        return 1
    until = time.perf_counter() + (options.limit_s or math.inf)
    known = cases(options.device)
    chosen = options.cases or [name for name in known if not options.quick or name in QUICK]
    cache = Cache(options.cache, 1_024, 10_240, cifar=options.cifar)
    before = len(options.records.read_text().splitlines()) if options.records.exists() else 0
    failed = False
    for name in chosen:
        started, case = time.perf_counter(), known[name]
        names = tuple(name for name in case.contestants if not options.contestants or name in options.contestants)
        stored = cache.stored(case.stored)
        entries, found = run_case(case, stored, options.device, names, Extent(options.blocks, options.quick, until))
        for entry in entries:
            append_record(options.records, record_of(entry, found, options.quick))
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        failed |= any(entry.outcome != "ok" for entry in entries)
    _print_tables(options.records, before)
    return failed


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one case, shorter blocks")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cases", nargs="+", metavar="CASE", help=", ".join((*cases("cpu"), *cases("cuda"))))
    parser.add_argument("--contestants", nargs="+", metavar="NAME", help="loaders, torchvision, cached, model only")
    parser.add_argument("--blocks", type=int, default=LEAST_BLOCKS, help="6 by default; fewer have no interval")
    parser.add_argument("--limit-s", type=float, help="no block begins that would not end within so many seconds")
    parser.add_argument("--cifar", type=Path, help="archive of CIFAR-10's images; without it, shrunken photographs")
    parser.add_argument("--cache", type=Path, default=Path("runs/bench/stored"), help="where the stored sets are kept")
    parser.add_argument("--records", type=Path, default=Path("runs/bench/step.jsonl"), help="appended to")
    options = parser.parse_args()
    if unknown := sorted(set(options.cases or ()) - set(cases(options.device))):
        parser.error(f"--cases {' '.join(unknown)}: unknown on {options.device}; "
                     f"give some of {', '.join(cases(options.device))}")  # fmt: skip
    if options.blocks < 1:
        parser.error(f"--blocks {options.blocks}: give 1 or more")
    if options.limit_s is not None and options.limit_s <= 0:
        parser.error(f"--limit-s {options.limit_s:g}: give more than 0")
    if options.cifar is not None and not options.cifar.is_file():
        parser.error(f"--cifar {options.cifar}: there is no such file; give the archive, or leave it out")
    return options


def _print_tables(records: Path, before: int) -> None:
    if find_spec("polars") is None:
        print("the tables need polars, which is not installed; make them elsewhere from the records", file=sys.stderr)
        return
    from fastssl.report.feed_costs import load_steps, step_tables

    for table in step_tables(load_steps([records], skip=before)):
        print(f"\n{table.title}\n\n{table.markdown()}")


if __name__ == "__main__":
    sys.exit(main())
