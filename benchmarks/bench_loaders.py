"""Times loaders beside their peers and ceilings: from a beton (or the same bytes as files) to uint8 views in memory.

python -m benchmarks.bench_loaders --quick                        a look: one case, half of the images
python -m benchmarks.bench_loaders --cifar cifar10.tar.zst --records results/load/MACHINE/CAMPAIGN.jsonl
python -m benchmarks.bench_loaders --cases jpeg-2x224 --contestants crops threads decode --blocks 6
"""

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.load.campaign import Extent, progress, run_case
from benchmarks.load.cases import MORE_PEERS, THREADS, Case, cases, with_threads
from benchmarks.load.contestant import MODULES
from benchmarks.load.photographs import missing_packages
from benchmarks.load.stored import Cache
from benchmarks.load.write_down import record_of
from fastssl.telemetry.environment import code_version, usable_cores
from fastssl.telemetry.reading import read_records
from fastssl.telemetry.records import append_record

QUICK = ("jpeg-2x224",)
NOT_QUICK = ("crops, plain", "opencv workers", "torchvision v2", "huffman", "images",
             *(name for name in MORE_PEERS if name not in ("turbojpeg", "webdataset", "spdl")))  # fmt: skip
"""What a look leaves out. The three peers that stay are installed in seconds."""
LEAST_BLOCKS = 6


def main() -> int:
    options = _parse()
    if reason := missing_packages():
        print(f"the photographs are missing: {reason}", file=sys.stderr)
        return 1
    if usable_cores() < (most := max(options.threads)):
        print(f"warning: {usable_cores()} cores for {most} threads; images per second say little", file=sys.stderr)
    numbers = (512, 5_120) if options.quick else (1_024, 10_240)
    cache = Cache(options.cache, *numbers, cifar=options.cifar)
    extent = Extent(options.blocks, options.quick)
    before = len(options.records.read_text().splitlines()) if options.records.exists() else 0
    failed = False
    names = options.cases or (QUICK if options.quick else cases())
    for case in (with_threads(cases()[name], count) for name in names for count in options.threads):
        if options.resume and (done := _recorded(options.records, case, before_all=before)):
            print(f"{case.name}: {done} records are there already", file=sys.stderr)
            continue
        started = time.perf_counter()
        entries = run_case(case, _contestants(case.contestants, options), cache, extent)
        for entry in entries:
            append_record(options.records, record_of(entry, options.quick))
        print(progress(entries, started), file=sys.stderr, flush=True)
        failed |= any(not entry.fine and not entry.absent for entry in entries)
    _print_tables(options.records, before)
    return failed


def _recorded(records: Path, case: Case, before_all: int) -> int:
    """How many records of the case, not quick and of this commit, an earlier campaign left; 0 if it left some out."""
    if not before_all:
        return 0
    commit = code_version()["commit"]
    there = {
        record["case"]["contestant"]
        for record in read_records([records])
        if record["suite"] == "load" and record["case"]["name"] == case.name and record["code"]["commit"] == commit
        and not record["case"]["quick"]
    }  # fmt: skip
    return len(there) if there >= set(case.contestants) else 0


def _contestants(named: tuple[str, ...], options: argparse.Namespace) -> tuple[str, ...]:
    """Those of the case that were asked for, or all of them; a quick run leaves the slowest out."""
    wanted = options.contestants or [name for name in named if not (options.quick and name in NOT_QUICK)]
    return tuple(name for name in named if name in wanted)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_loaders",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one case, half of the images, fewer contestants")
    parser.add_argument("--resume", action="store_true", help="leave out the cases that the records hold already")
    parser.add_argument("--cases", nargs="+", choices=tuple(cases()), metavar="CASE", help=", ".join(cases()))
    parser.add_argument("--contestants", nargs="+", choices=tuple(MODULES), metavar="NAME", help=", ".join(MODULES))
    parser.add_argument("--threads", nargs="+", type=int, default=[THREADS], metavar="N", help="2; several: a curve")
    parser.add_argument("--blocks", type=int, default=LEAST_BLOCKS, help="6 by default; fewer have no interval")
    parser.add_argument("--cifar", type=Path, help="archive of CIFAR-10's images; without it, shrunken photographs")
    parser.add_argument("--cache", type=Path, default=Path("runs/bench/stored"), help="where the stored sets are kept")
    parser.add_argument("--records", type=Path, default=Path("runs/bench/load.jsonl"), help="appended to")
    options = parser.parse_args()
    if options.blocks < 1:
        parser.error(f"--blocks {options.blocks}: give 1 or more")
    if min(options.threads) < 1:
        parser.error(f"--threads {min(options.threads)}: give 1 or more")
    if options.cifar is not None and not options.cifar.is_file():
        parser.error(f"--cifar {options.cifar}: there is no such file; give the archive, or leave it out")
    return options


def _print_tables(records: Path, before: int) -> None:
    if find_spec("polars") is None:
        print("the tables need polars, which is not installed; make them elsewhere from the records", file=sys.stderr)
        return
    from fastssl.report.loader_costs import load_loaders
    from fastssl.report.loader_tables import loader_tables

    for table in loader_tables(load_loaders([records], skip=before)):
        print(f"\n{table.title}\n\n{table.markdown()}")


if __name__ == "__main__":
    sys.exit(main())
